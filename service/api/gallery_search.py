"""What this process searches: an index of the gallery's model, exchanged whole when the gallery goes over to another.

Until the new index is complete the old one answers, and no answer is of both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import redis
import structlog

from models.calibration import Calibration
from pipeline.sealing import Sealer
from service.alerts import ModelInUse
from service.api.engines import LoadedModel
from service.gallery import Gallery, GalleryUnavailable, IndexFollower, MediaError, MediaStore, VectorIndex
from service.gallery.feed import Feed, FeedLostError
from service.gallery.model_in_use import GalleryModel, GalleryModels
from service.reembedding import Jobs, JobState, Runner
from service.search import PhotoLookup, Searcher

__all__ = ["GallerySearch", "Searched"]

_log = structlog.get_logger(__name__)
LOOK_EVERY_S = 1.0
_WORK_EVERY_S = 3.0
_CHANGES = 1000
_LOADED_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Searched:
    """An index with what belongs to it."""

    model: GalleryModel
    calibration: Calibration | None
    index: VectorIndex
    follower: IndexFollower
    searcher: Searcher

    @property
    def in_use(self) -> ModelInUse:
        """What alerts are raised by."""
        return ModelInUse(self.model.hash, self.model.dimension, self.calibration)


class GallerySearch:
    """Follows the gallery's model, and works on a re-embedding to the model that this process has loaded.

    Args:
        on_event: told of what a re-embedding here did.
        on_model: told of the model by which this process searches from now on.
    """

    def __init__(
        self,
        client: redis.Redis,
        gallery: Gallery,
        media: MediaStore,
        sealer: Sealer,
        photo: PhotoLookup,
        on_event: Callable[..., object],
        on_model: Callable[[ModelInUse], object],
    ) -> None:
        self._redis, self._gallery, self._sealer, self._photo = client, gallery, sealer, photo
        self._models, self._jobs = GalleryModels(client), Jobs(client)
        self.runner = Runner(client, media, sealer, on_event=on_event)
        self._on_model = on_model
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._loaded: LoadedModel | None = None
        self._feed = Feed(client)
        self._looked_until: str | None = None  # position in the gallery's changes
        self.current: Searched | None = None

    def use(self, loaded: LoadedModel) -> None:
        """Begin to search, now that a model is loaded, which need not be the gallery's."""
        self._loaded = loaded
        mine = loaded.of_gallery
        try:
            model = self._models.claim(mine)
        except (GalleryUnavailable, ValueError) as error:
            _log.warning("gallery_model_unknown", reason=str(error)[:200])
            model = mine  # put right as soon as Redis answers
        self.current = self._searched(model)
        self._gallery.model_hash = model.hash
        if self._stop.is_set():
            return
        self.current.follower.start()
        self._on_model(self.current.in_use)
        for name, work in (("gallery-model", self._follow), ("reembedding", self._work)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30.0)
        if self.current is not None:
            self.current.follower.stop()

    def _searched(self, model: GalleryModel) -> Searched:
        loaded = self._loaded
        mine = loaded is not None and loaded.hash == model.hash
        calibration = loaded.calibration if loaded is not None and mine else model.calibration
        labels = {model.hash: model.label} | ({loaded.hash: loaded.label} if loaded is not None else {})
        index = VectorIndex(model.dimension, model.hash)
        searcher = Searcher(self._gallery, index, self._photo, calibration, labels)
        return Searched(model, calibration, index, IndexFollower(self._redis, index, self._sealer), searcher)

    def _follow(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self.go_over()
            except GalleryUnavailable:
                continue  # the follower says so already
            except Exception:  # a defect here must not end the following for good
                _log.exception("gallery_model_not_followed")

    def go_over(self) -> bool:
        """Search by the gallery's model, if it is another one by now. Returns whether it was."""
        model, old = self._models.read(), self.current
        if model is None or old is None or model.hash == old.model.hash:
            return False
        new = self._searched(model)
        new.follower.start()
        while not new.follower.wait_ready(_LOADED_WITHIN_S):
            if self._stop.is_set():
                new.follower.stop()
                return False
        self._gallery.model_hash = model.hash
        self.current = new
        self._on_model(new.in_use)
        old.follower.stop()
        _log.info("gallery_model", now=model.hash, before=old.model.hash, rows=len(new.index))
        return True

    def _work(self) -> None:
        while not self._stop.wait(_WORK_EVERY_S):
            try:
                self.work()
            except (GalleryUnavailable, MediaError) as error:
                _log.warning("reembedding_waits", reason=str(error)[:200])
            except Exception:
                _log.exception("reembedding_failed")

    def work(self) -> None:
        """Work on a re-embedding to this process's model; afterwards on what workers with another one deliver."""
        loaded, current, job = self._loaded, self.current, self._jobs.read()
        if loaded is None or current is None or job is None or job.target.hash != loaded.hash:
            return
        if job.state is JobState.RUNNING:
            try:
                self.runner.run(loaded.embedder, self._stop)
            except (GalleryUnavailable, MediaError) as error:
                self._jobs.note(error=str(error)[:300])
                raise
        elif job.state is JobState.DONE and current.model.hash == loaded.hash:
            self._late(loaded)

    def _late(self, loaded: LoadedModel) -> None:
        """What workers with another model deliver: once all that is there, then what comes."""
        position, ids = self._feed.position(), None
        if self._looked_until is not None:
            try:
                changes = self._feed.since(self._looked_until, _CHANGES)
            except FeedLostError:
                changes = []
            else:
                ids = list({change.id for change in changes if change.op == "put"})
                position = changes[-1].position if changes else self._looked_until
        if ids == [] or self.runner.late(loaded.embedder, self._stop, ids) is not None:
            self._looked_until = position
