"""The detector and the embedder as the settings ask for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.runtime.processor import available_threads
from pipeline.detect import Detector
from pipeline.embed import Embedder
from service.settings import Settings

__all__ = ["Models", "load_detector", "load_embedder", "load_models"]

Progress = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Models:
    """What analysis runs on.

    Attributes:
        workers: detector runs that gain from being under way at once.
        batch: pictures a detector run; above 1 only where batching gains (GPU).
    """

    detector: Detector
    embedder: Embedder
    workers: int
    batch: int


def load_detector(
    settings: Settings,
    *,
    live: bool = False,
    photos: bool = False,
    threads: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Detector:
    """Fetch, convert and compile what is missing in the cache; seconds when all is there.

    Args:
        live: on a CPU, the smaller input for live cameras.
        photos: pictures of any shape will come, rather than those of a few cameras.
        workers: detector runs that will be under way at once.
    """
    from models.runtime import load_engine
    from models.weights import detector_onnx

    onnx = detector_onnx(
        settings.detector, settings.cache_dir, precision=settings.precision, backend=settings.backend, progress=progress
    )
    engine = load_engine(
        onnx,
        backend=settings.backend,
        precision=settings.precision,
        threads=threads,
        cache_dir=settings.cache_dir / "engines",
        streams=workers,
    )
    on_cpu = engine.describe().device.lower().startswith("cpu")
    size = settings.live_detector_size_px if live and on_cpu else settings.detector_size_px
    return Detector(engine, confidence=settings.detector_confidence, longer_side_px=size, square=photos)


def load_embedder(settings: Settings, *, threads: int | None = None, workers: int = 1) -> Embedder:
    """Open the configured checkpoint, or the one that ships. `workers` runs will be under way at once."""
    from pipeline.embed import load_embedder as load

    # Eight bits are for the detector: a vector's direction is worth more than the milliseconds.
    precision = "auto" if settings.precision == "int8" else settings.precision
    return load(
        settings.checkpoint,
        cache_dir=settings.cache_dir,
        backend=settings.backend,
        precision=precision,
        threads=threads,
        streams=workers,
    )


def load_models(settings: Settings, *, live: bool, progress: Progress | None = None) -> Models:
    """Both, with the cores divided: on a CPU, two detector runs at once on half the cores each beat one on all."""
    cores = settings.threads or available_threads()
    workers = 2 if cores > 1 else 1
    detector = load_detector(settings, live=live, threads=cores, workers=workers, progress=progress)
    on_cpu = detector.describe().device.lower().startswith("cpu")
    embedder = load_embedder(settings, threads=workers if on_cpu else None, workers=workers)
    return Models(detector, embedder, workers, 1 if on_cpu else 8)
