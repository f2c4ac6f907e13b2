"""What a data set consists of: pictures or tracklets of known people. No pixels are read here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.types import Modality

__all__ = ["ArrayRow", "DataError", "Picture", "ReidDataset", "Sample"]


class DataError(ValueError):
    """A data set's folder is not as its makers lay it out; the message says what is missing or wrong, and where."""


@dataclass(frozen=True, slots=True)
class ArrayRow:
    """One picture in an array file: ``uint8[count, H, W, 3]`` RGB, as AGW's preprocessing writes SYSU-MM01."""

    file: Path
    row: int


Picture = Path | ArrayRow


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture, or the pictures of one tracklet in the order of time.

    Attributes:
        pictures: one for data sets of single pictures.
        identity: the data set's own number of the person.
        camera: the data set's own number of the camera.
    """

    pictures: tuple[Picture, ...]
    identity: int
    camera: int
    modality: Modality

    def __post_init__(self) -> None:
        if not self.pictures:
            raise ValueError("Sample.pictures: expected at least one, got none")


@dataclass(frozen=True)
class ReidDataset:
    """A data set, split. Identities of the three parts never overlap.

    Attributes:
        name: e.g. ``sysu-mm01``.
        protocol: how its test part is judged, see `models.evaluation`.
        train: to learn from.
        validation: to choose epochs by; never the test part.
        test: all test samples, in the order that the official lists or folders give.
        queries: rows of `test` that the official lists name as queries; None where the protocol draws them.
    """

    name: str
    protocol: str
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    test: tuple[Sample, ...]
    queries: tuple[int, ...] | None = None
