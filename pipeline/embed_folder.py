"""A folder of pictures as vectors: what researchers judge a checkpoint with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.types import Modality
from pipeline.embed import Embedder
from pipeline.types import FloatArray, Image

__all__ = ["FolderEmbeddings", "embed_folder", "read_picture"]

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_AT_ONCE = 32
_MAX_PIXELS = 50_000_000

Progress = Callable[[int, int], None]
"""Called with how many names are done and how many there are."""


@dataclass(frozen=True, slots=True)
class FolderEmbeddings:
    """Vectors of a folder.

    Attributes:
        names: paths below the folder with forward slashes, sorted; of the picture, or of the clip's folder.
        vectors: ``float32[len(names), D]``, L2-normalised.
        unreadable: pictures that could not be read, sorted; they have no row, and a clip goes without them.
    """

    names: tuple[str, ...]
    vectors: FloatArray
    unreadable: tuple[str, ...]


def read_picture(path: Path) -> Image | None:
    """A picture file as ``uint8[H, W, 3]`` BGR, upright; None if it cannot be read.

    Sixteen-bit and floating-point pictures (thermal cameras) are stretched from their 0.5 % to their
    99.5 % quantile, because their useful range is a small part of the possible one.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    decoded = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if decoded is None:  # OpenCV cannot bring floating-point grey to three channels while it reads
        decoded = _decode(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if decoded is None or decoded.shape[0] * decoded.shape[1] > _MAX_PIXELS:
        return None
    if decoded.ndim == 2:
        decoded = np.repeat(decoded[:, :, None], 3, axis=2)
    return decoded if decoded.dtype == np.uint8 else _stretch(decoded)


def _decode(data: npt.NDArray[np.uint8], flags: int) -> npt.NDArray[Any] | None:
    try:
        decoded: npt.NDArray[Any] | None = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        return None
    return decoded


def _stretch(picture: npt.NDArray[Any]) -> Image:
    values = np.nan_to_num(picture.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = np.quantile(values, (0.005, 0.995))
    scaled = (values - low) / max(float(high - low), 1e-12)
    return np.asarray(np.clip(scaled * 255.0 + 0.5, 0, 255), np.uint8)


def embed_folder(
    folder: Path,
    modality: Modality,
    embedder: Embedder,
    *,
    clips: bool = False,
    progress: Progress | None = None,
) -> FolderEmbeddings:
    """Embed each picture of a folder (one person each), or each folder of pictures as one clip.

    Args:
        folder: searched with all its sub-folders; files that are no pictures by their suffix are ignored.
        clips: pictures of one folder are the frames of one clip, in the order of their names; pictures
            directly in `folder` make a clip called ``.``.

    Raises:
        ValueError: no such folder, or no pictures in it.
    """
    if not folder.is_dir():
        raise ValueError(f"expected a folder, got {folder}")
    items = _clips(folder) if clips else [(_name(p, folder), [p]) for p in _pictures(folder)]
    if not items:
        raise ValueError(f"no pictures ({', '.join(sorted(_SUFFIXES))}) in {folder}")
    names: list[str] = []
    parts: list[FloatArray] = []
    unreadable: list[str] = []
    for start in range(0, len(items), _AT_ONCE):
        readable: list[list[Image]] = []
        for name, paths in items[start : start + _AT_ONCE]:
            pictures = [(path, read_picture(path)) for path in paths]
            unreadable += [_name(path, folder) for path, picture in pictures if picture is None]
            kept = [picture for _, picture in pictures if picture is not None]
            if kept:
                names.append(name)
                readable.append(kept)
        parts.append(_embed(readable, modality, embedder, clips=clips))
        if progress is not None:
            progress(min(start + _AT_ONCE, len(items)), len(items))
    return FolderEmbeddings(tuple(names), np.concatenate(parts), tuple(sorted(unreadable)))


def _embed(
    clips_of_pictures: Sequence[Sequence[Image]], modality: Modality, embedder: Embedder, *, clips: bool
) -> FloatArray:
    modalities = [modality] * len(clips_of_pictures)
    if clips:
        return embedder.embed_clips(clips_of_pictures, modalities)
    return embedder.embed_images([pictures[0] for pictures in clips_of_pictures], modalities)


def _pictures(folder: Path) -> list[Path]:
    found = (p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    return sorted(found, key=lambda path: _name(path, folder))


def _clips(folder: Path) -> list[tuple[str, list[Path]]]:
    return list(_grouped(_pictures(folder), folder))


def _grouped(pictures: Sequence[Path], folder: Path) -> Iterator[tuple[str, list[Path]]]:
    by_folder: dict[str, list[Path]] = {}
    for path in pictures:
        by_folder.setdefault(_name(path.parent, folder), []).append(path)
    yield from sorted(by_folder.items())


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
