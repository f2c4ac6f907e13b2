"""From crops to vectors: one call for single pictures, one for clips, whichever engine runs underneath."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import structlog

from models.calibration import Calibration
from models.checkpoint import Checkpoint, load_checkpoint
from models.export import EXPORT_VERSION, INPUT, OUTPUT, export_embedder
from models.preprocessing import Preprocessing, check_crop
from models.runtime import load_engine
from models.runtime.engine import Engine, EngineDescription, EngineError
from models.shipped import shipped_checkpoint
from models.types import Modality
from models.weights import cache_lock
from pipeline.types import FloatArray, Image

__all__ = ["Embedder", "load_embedder", "sample_evenly"]

log = structlog.get_logger(__name__)

OpenEngine = Callable[[Modality, int], Engine]
"""Opens the engine for one modality and a number of frames."""

_BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Engines plan anew for a batch size they have not met; so they meet few, padded by a third at most."""


def sample_evenly(count: int, wanted: int) -> list[int]:
    """Which of `count` crops make a clip of `wanted`: the middle of each of `wanted` equal strips.

    Fewer crops than wanted are repeated, each about equally often, in the order of time.
    """
    if count < 1 or wanted < 1:
        raise ValueError(f"expected at least one crop and one frame, got {count} and {wanted}")
    return [int((index + 0.5) * count / wanted) for index in range(wanted)]


class Embedder:
    """Turns crops into vectors ``float32[N, D]`` of unit length.

    Engines are opened on first use, one for each modality and kind of input that is met.

    Attributes:
        dim: D.
        model_hash: vectors of two models are never compared.
        label: what people are shown.
        calibration: from cosine to probability, where it was fitted.
        model_card: Markdown; what it was trained on, and its limits.
        association_distance: largest cosine distance for a tracker, see `models.checkpoint.Checkpoint`.
        takes_clips: whether a clip tells the network more than its pictures one by one.
        frames: crops of a clip that are looked at.
    """

    def __init__(self, checkpoint: Checkpoint, *, dim: int, clip_frames: int, open_engine: OpenEngine) -> None:
        self.dim = dim
        self.model_hash = checkpoint.model_hash
        self.label = checkpoint.label
        self.calibration: Calibration = checkpoint.calibration
        self.model_card = checkpoint.model_card
        self.association_distance = checkpoint.association_distance
        self.frames = clip_frames if clip_frames > 1 else checkpoint.tracklet_frames
        self.takes_clips = clip_frames > 1
        self._preprocessing: Preprocessing = checkpoint.preprocessing
        self._open_engine = open_engine
        self._engines: dict[tuple[Modality, int], Engine] = {}
        self._lock = Lock()

    def describe(self) -> EngineDescription:
        """Which engine embeds; opens it when none is open."""
        engine = next(iter(self._engines.values()), None) or self._engine(Modality.VISIBLE, 1)
        return engine.describe()

    def warm_up(self, modalities: Sequence[Modality] = tuple(Modality)) -> None:
        """Open the engines now and run each small batch once, so that the first person is not late."""
        grey = np.full((8, 4, 3), 127, np.uint8)
        for modality in modalities:
            for size in _BATCHES:
                self.embed_images([grey] * size, [modality] * size)
            self.embed_clips([[grey]], [modality])

    def embed_images(self, crops: Sequence[Image], modalities: Sequence[Modality]) -> FloatArray:
        """One vector for each crop ``uint8[H, W, 3]`` BGR of any size; no crops give ``[0, D]``.

        Raises:
            ValueError: a crop is not such a picture, or there is not one modality a crop.
            EngineError: the engine failed.
        """
        self._check_count(len(crops), modalities, "crops")
        for index, crop in enumerate(crops):
            check_crop(crop, f"crops[{index}]")
        return self._by_modality([[crop] for crop in crops], modalities, 1)

    def embed_clips(self, clips: Sequence[Sequence[Image]], modalities: Sequence[Modality]) -> FloatArray:
        """One vector for each clip of crops in the order of time; see `sample_evenly` for its length.

        Raises:
            ValueError: an empty clip, and as `embed_images`.
            EngineError: the engine failed.
        """
        self._check_count(len(clips), modalities, "clips")
        chosen: list[list[Image]] = []
        for index, clip in enumerate(clips):
            if not len(clip):
                raise ValueError(f"clips[{index}]: expected at least one crop, got none")
            for position, crop in enumerate(clip):
                check_crop(crop, f"clips[{index}][{position}]")
            wanted = self.frames if self.takes_clips else min(self.frames, len(clip))
            chosen.append([clip[i] for i in sample_evenly(len(clip), wanted)])
        if self.takes_clips:
            return self._by_modality(chosen, modalities, self.frames)
        return self._mean_of_images(chosen, modalities)

    def _mean_of_images(self, clips: list[list[Image]], modalities: Sequence[Modality]) -> FloatArray:
        """For networks of single pictures: the direction of the mean of the crops' vectors."""
        lengths = [len(clip) for clip in clips]
        flat = [[crop] for clip in clips for crop in clip]
        vectors = self._by_modality(flat, np.repeat(np.array(modalities, object), lengths).tolist(), 1)
        sums = [part.sum(axis=0) for part in np.split(vectors, np.cumsum(lengths)[:-1])] if clips else []
        return _unit(np.stack(sums)) if sums else vectors

    def _by_modality(self, clips: Sequence[Sequence[Image]], modalities: Sequence[Modality], frames: int) -> FloatArray:
        vectors = np.zeros((len(clips), self.dim), np.float32)
        for modality in Modality:
            rows = [row for row, m in enumerate(modalities) if Modality(m) is modality]
            step = max(n for n in _BATCHES if n == 1 or n * frames <= _BATCHES[-1])
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                vectors[part] = self._run([clips[row] for row in part], modality, frames)
        return vectors

    def _run(self, clips: Sequence[Sequence[Image]], modality: Modality, frames: int) -> FloatArray:
        pictures = self._preprocessing.batch([crop for clip in clips for crop in clip])
        if frames > 1:
            pictures = pictures.reshape(len(clips), frames, *pictures.shape[1:])
        size = next(n for n in _BATCHES if n >= len(clips))
        if size > len(clips):
            pad = np.broadcast_to(pictures[-1:], (size - len(clips), *pictures.shape[1:]))
            pictures = np.concatenate((pictures, pad))
        outputs = self._engine(modality, frames).run({INPUT: pictures})
        return _unit(outputs[OUTPUT][: len(clips)])

    def _engine(self, modality: Modality, frames: int) -> Engine:
        key = (modality, frames)
        with self._lock:
            if key not in self._engines:
                self._engines[key] = self._open_engine(modality, frames)
            return self._engines[key]

    @staticmethod
    def _check_count(count: int, modalities: Sequence[Modality], what: str) -> None:
        if len(modalities) != count:
            raise ValueError(f"modalities: expected one for each of {count} {what}, got {len(modalities)}")


def _unit(vectors: FloatArray) -> FloatArray:
    """Engines that calculate in half precision miss unit length by more than a gallery accepts."""
    exact = vectors.astype(np.float32)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 1e-6).all()):
        raise EngineError("the embedding engine gave vectors that are not finite or have no length")
    unit: FloatArray = (exact / norms).astype(np.float32)
    return unit


def load_embedder(
    checkpoint: Path | None,
    *,
    cache_dir: Path,
    backend: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    streams: int = 1,
) -> Embedder:
    """Open a checkpoint, or the one that ships for None, on the engine that the settings name.

    Args:
        threads, streams: of each engine, as for `models.runtime.load_engine`.
        cache_dir: holds the exported graphs and what engines compile from them; can be deleted.
        precision: ``auto`` leaves the engine its choice where the checkpoint says that vectors rank alike
            in low precision, and is fp32 otherwise.

    Raises:
        models.checkpoint.CheckpointError: no checkpoint at that path, or a damaged one.
    """
    loaded = load_checkpoint(checkpoint or shipped_checkpoint())
    network = loaded.build()
    dim, frames = int(network.embedding_dim), int(network.frames)  # type: ignore[arg-type]
    del network

    if precision == "auto" and not loaded.low_precision:
        precision = "fp32"

    def open_engine(modality: Modality, length: int) -> Engine:
        name = f"{loaded.model_hash[:24]}-{modality.value}-{length}-v{EXPORT_VERSION}.onnx"
        path = cache_dir / "embedders" / name
        if not path.is_file():
            with cache_lock(path.with_suffix(".lock")):
                if not path.is_file():
                    export_embedder(loaded, modality, length, path)
        return load_engine(
            path, backend=backend, precision=precision, threads=threads, cache_dir=cache_dir, streams=streams
        )

    embedder = Embedder(loaded, dim=dim, clip_frames=frames, open_engine=open_engine)
    log.info("embedder.loaded", label=loaded.label, model_hash=loaded.model_hash[:12], dim=dim)
    return embedder
