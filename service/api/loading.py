"""The real networks and cameras behind the API."""

from __future__ import annotations

import structlog

from models.types import Modality
from pipeline.camera import CameraConfig
from pipeline.camera_url import UrlPolicy
from pipeline.types import Image
from service.api.engines import LoadedDetector, LoadedModel
from service.api.probing import CameraProbe
from service.api.services import Loaders
from service.memory import leave_out_what_is_loaded
from service.settings import Settings

__all__ = ["real_loaders"]

_log = structlog.get_logger(__name__)


def real_loaders(settings: Settings) -> Loaders:
    """Engines as the settings name them, one thread each: the API shares its machine with the worker."""

    def model() -> LoadedModel:
        from service.engines import load_embedder

        embedder = load_embedder(settings, threads=1)
        return LoadedModel(embedder, embedder.dim, embedder.label, embedder.calibration, embedder.model_card)

    def detector() -> LoadedDetector:
        from service.engines import load_detector

        found = load_detector(settings, photos=True, threads=settings.threads or 1)
        found.warm_up()
        loaded = LoadedDetector(found, found.describe())
        leave_out_what_is_loaded()  # the last of what the process loads
        return loaded

    return Loaders(model, detector, _judge_photo, _probe)


def _judge_photo(image: Image) -> Modality:
    from pipeline.modality import photo_modality

    return photo_modality(image)


def _probe(config: CameraConfig, policy: UrlPolicy) -> CameraProbe:
    from pipeline.sources import SourceError, probe

    try:
        found = probe(config.url, policy, config.open_timeout_s)
    except SourceError as error:
        return CameraProbe(reason=str(error))
    except Exception:
        _log.exception("camera_probe_failed")
        return CameraProbe(reason="The camera's stream could not be read.")
    return CameraProbe(
        image=found.frame.image,
        codec=found.codec,
        fps=found.fps,
        modality=config.modality or _judge_photo(found.frame.image),
        clock_offset_s=found.clock_offset_s,
    )
