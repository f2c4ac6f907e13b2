"""Vectors kept in a file, so that judging another way does not embed again; and never those of something else."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.data.samples import Sample
from models.files import replaced_whole

__all__ = ["FeatureFileError", "load_features", "origin_of", "save_features"]


class FeatureFileError(ValueError):
    """The file holds no vectors, or those of another network, data set or way of embedding."""


def origin_of(model_hash: str, flip: bool, frames: int, samples: Sequence[Sample], root: Path) -> str:
    """A hash that changes with whatever decides the vectors; pictures count by their names below `root`."""
    digest = hashlib.sha256(json.dumps([model_hash, flip, frames]).encode())
    for sample in samples:
        names = [
            (_below(picture, root), 0) if isinstance(picture, Path) else (_below(picture.file, root), picture.row)
            for picture in sample.pictures
        ]
        digest.update(json.dumps([names, sample.identity, sample.camera, sample.modality.value]).encode())
    return digest.hexdigest()


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def save_features(path: Path, features: npt.NDArray[np.float32], origin: str) -> None:
    """Write ``features`` ``float32[N, D]`` and ``origin`` as NPZ, whole or not at all."""
    with replaced_whole(path) as scratch, scratch.open("wb") as file:
        np.savez(file, features=features, origin=np.array(origin))


def load_features(path: Path, origin: str) -> npt.NDArray[np.float32]:
    """Read what `save_features` wrote for the same origin.

    Raises:
        FeatureFileError: it is no such file, or was written for something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            features: npt.NDArray[np.float32] = stored["features"]
            written_for = str(stored["origin"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FeatureFileError(f"{path}: expected vectors that were saved by an evaluation ({error})") from error
    if written_for != origin:
        raise FeatureFileError(
            f"{path}: holds vectors of another checkpoint, data set or option; name another file or remove this one"
        )
    return features
