"""The networks that the API needs: loaded once, in the background, so that it starts quickly.

The re-identification model comes first, because the index belongs to one model; then the detector, which only
photos need.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from models.calibration import Calibration
from models.runtime.engine import EngineDescription
from service.gallery.model_in_use import GalleryModel
from service.photos import PersonDetector, PersonEmbedder
from service.problems import ProblemError

__all__ = ["LoadedDetector", "LoadedModel", "PhotoEngines", "State"]

_log = structlog.get_logger(__name__)
State = Literal["loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The re-identification model in use.

    Attributes:
        dimension: D of its vectors.
        card: its model card, Markdown.
    """

    embedder: PersonEmbedder
    dimension: int
    label: str
    calibration: Calibration | None = None
    card: str = ""

    @property
    def hash(self) -> str:
        return self.embedder.model_hash

    @property
    def of_gallery(self) -> GalleryModel:
        """What a gallery needs to know of it."""
        return GalleryModel(self.hash, self.dimension, self.label, self.calibration)


@dataclass(frozen=True, slots=True)
class LoadedDetector:
    """The person detector in use."""

    detector: PersonDetector
    engine: EngineDescription


class PhotoEngines:
    """Holds the networks of this process.

    Args:
        load_model, load_detector: make them; slow, called once, in a thread of their own.
        on_model: told as soon as the model is there.
    """

    def __init__(
        self,
        load_model: Callable[[], LoadedModel],
        load_detector: Callable[[], LoadedDetector],
        on_model: Callable[[LoadedModel], None],
    ) -> None:
        self._load_model = load_model
        self._load_detector = load_detector
        self._on_model = on_model
        self._thread: threading.Thread | None = None
        self.model: LoadedModel | None = None
        self.detector: LoadedDetector | None = None
        self.error: str | None = None
        self.descriptions: tuple[tuple[str, EngineDescription], ...] = ()

    @property
    def state(self) -> State:
        if self.error is not None:
            return "failed"
        return "ready" if self.model and self.detector else "loading"

    def start(self) -> None:
        """Begin loading in the background."""
        self._thread = threading.Thread(target=self._run, name="engines", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait until loading has ended, either way."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def require(self) -> tuple[LoadedModel, LoadedDetector]:
        """Both networks. Raises ProblemError 503 while they load or when they cannot be had."""
        if self.model is not None and self.detector is not None:
            return self.model, self.detector
        if self.error is None:
            raise ProblemError(503, "engines-loading", "The networks are still loading.", headers={"Retry-After": "5"})
        raise ProblemError(503, "engines-unavailable", "The networks cannot be used. The log of the service says why.")

    def _run(self) -> None:
        try:
            model = self._load_model()
            self.model = model
            self._on_model(model)
            detector = self._load_detector()
            embedding = model.embedder.describe()  # opens the engine now, so that the first photo is not slow
            self.descriptions = (("re-identification", embedding), ("detection", detector.engine))
            self.detector = detector
            _log.info("engines_ready", model=model.label, engines=[str(e) for _, e in self.descriptions])
        except Exception as error:
            # For administrators of the system; it may hold paths. The trace goes to the log.
            self.error = str(error) or type(error).__name__
            _log.exception("engines_failed")
