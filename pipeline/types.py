"""The value types that flow through the pipeline, one per arrow.

Every type is frozen and checks what it was given; an error says what was expected and what came.
Boxes are ``float32[N, 4]`` as ``x1 y1 x2 y2`` in pixels of the full frame. Images are ``uint8[H, W, 3]`` BGR.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from models.types import Modality
from pipeline.footage import Footage, Fractions

__all__ = [
    "Crop",
    "CropQuality",
    "Detections",
    "Embedding",
    "Frame",
    "Modality",
    "Moment",
    "Sighting",
    "Still",
    "Tracklet",
    "Tracks",
]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Image = npt.NDArray[np.uint8]


def _check_shape(name: str, array: npt.NDArray[Any], expected: tuple[int | None, ...]) -> None:
    got = array.shape
    if len(got) != len(expected) or any(e is not None and e != g for e, g in zip(expected, got, strict=True)):
        want = tuple("N" if e is None else e for e in expected)
        raise ValueError(f"{name}: expected shape {want}, got {got}")


def _check_image(name: str, image: Image) -> None:
    _check_shape(name, image, (None, None, 3))
    if image.dtype != np.uint8:
        raise ValueError(f"{name}: expected dtype uint8, got {image.dtype}")
    if 0 in image.shape:
        raise ValueError(f"{name}: expected at least one pixel, got shape {image.shape}")


def _check_utc(name: str, moment: datetime) -> None:
    if moment.tzinfo is None or moment.utcoffset() != UTC.utcoffset(None):
        raise ValueError(f"{name}: expected an aware UTC time, got {moment!r}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture of one camera.

    Attributes:
        camera_id: which camera.
        sequence: counts decoded frames of this connection from 0; a gap means frames were skipped.
        image: ``uint8[H, W, 3]`` BGR.
        pts_s: presentation time of the stream, seconds; never falls within one connection.
        captured_at: UTC, from the stream's own clock where it has one, else the time of arrival.
        modality: visible or infrared once `pipeline.modality` has judged it, else None.
    """

    camera_id: str
    sequence: int
    image: Image
    pts_s: float
    captured_at: datetime
    modality: Modality | None = None

    def __post_init__(self) -> None:
        _check_image("Frame.image", self.image)
        _check_utc("Frame.captured_at", self.captured_at)

    @property
    def width_px(self) -> int:
        return int(self.image.shape[1])

    @property
    def height_px(self) -> int:
        return int(self.image.shape[0])


@dataclass(frozen=True, slots=True)
class Detections:
    """Persons found in one frame: boxes ``float32[N, 4]``, scores ``float32[N]``."""

    boxes: FloatArray
    scores: FloatArray

    def __post_init__(self) -> None:
        _check_shape("Detections.boxes", self.boxes, (None, 4))
        _check_shape("Detections.scores", self.scores, (len(self.boxes),))

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class Tracks:
    """Tracked persons of one frame.

    Attributes:
        boxes: ``float32[N, 4]``.
        track_ids: ``int64[N]``, unique within the frame, stable over the life of a track.
        scores: ``float32[N]``, the detector's.
        detection_indices: ``int64[N]``, the row in the frame's `Detections`, or -1 when predicted.
    """

    boxes: FloatArray
    track_ids: IntArray
    scores: FloatArray
    detection_indices: IntArray

    def __post_init__(self) -> None:
        _check_shape("Tracks.boxes", self.boxes, (None, 4))
        for name in ("track_ids", "scores", "detection_indices"):
            _check_shape(f"Tracks.{name}", getattr(self, name), (len(self.boxes),))

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls) -> Tracks:
        none = np.zeros(0, np.int64)
        return cls(np.zeros((0, 4), np.float32), none, np.zeros(0, np.float32), none)


@dataclass(frozen=True, slots=True)
class CropQuality:
    """Five marks from 0 to 1; `score` is their product with the soft ones rooted, again 0 to 1."""

    size: float
    sharpness: float
    confidence: float
    visibility: float
    completeness: float

    @property
    def score(self) -> float:
        return float(np.sqrt(self.size * self.sharpness) * self.confidence * self.visibility * self.completeness)

    @property
    def weakest(self) -> str:
        """Name of the lowest mark: why a crop was refused."""
        return min(fields(self), key=lambda mark: getattr(self, mark.name)).name


@dataclass(frozen=True, slots=True)
class Crop:
    """One picture of a tracked person.

    Attributes:
        image: ``uint8[H, W, 3]`` BGR, a copy, so that the frame can go.
        box: ``float32[4]`` in the frame.
        quality: 0 (useless) to 1, see `pipeline.tracklets`.
        pts_s, captured_at: of the frame.
        vector: ``float32[D]`` of this very picture, where association computed one.
    """

    image: Image
    box: FloatArray
    quality: float
    pts_s: float
    captured_at: datetime
    vector: FloatArray | None = None

    def __post_init__(self) -> None:
        _check_image("Crop.image", self.image)
        _check_shape("Crop.box", self.box, (4,))
        _check_utc("Crop.captured_at", self.captured_at)


@dataclass(frozen=True, slots=True)
class Still:
    """A whole picture of a camera, small, as JPEG."""

    jpeg: bytes = field(repr=False)
    pts_s: float
    captured_at: datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """Somebody in a whole picture: where, and how well seen (0 to 1)."""

    still: Still
    box: Fractions
    quality: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a tracklet is in every form it takes on its way: who saw whom when.

    The same tracklet is handed on several times while the person is in view: `id` stays,
    `revision` rises, and the last one is `closed`, as is the one that brings its clip after it.
    A long track yields several tracklets that share `track_id`.

    Attributes:
        id: ULID made by the worker; sorts by the time the tracklet began.
        frame_count: analysed frames in which the person was seen.
        quality: 0 to 1, of the whole tracklet.
        marks: what its best crop's quality is made of; None for one from before they were kept.
        footage: what is kept of the whole picture.
    """

    id: str
    revision: int
    camera_id: str
    track_id: int
    modality: Modality
    started_at: datetime
    ended_at: datetime
    closed: bool
    frame_count: int
    quality: float
    marks: CropQuality | None = field(default=None, kw_only=True)
    footage: Footage = field(default=Footage(), kw_only=True)

    def common(self) -> dict[str, Any]:
        """These fields by name, to build the next form from."""
        return {one.name: getattr(self, one.name) for one in fields(Sighting)}


@dataclass(frozen=True, slots=True)
class Tracklet(Sighting):
    """An unbroken sighting of one person by one camera in one modality, with its pictures.

    Attributes:
        crops: the best pictures, in the order of time, at least one.
        best_moment: the whole picture in which the person is seen best; None where none was taken.
        reel: whole pictures around it, in the order of time, for a clip of the sighting that has ended.
    """

    crops: tuple[Crop, ...] = field(repr=False)
    best_moment: Moment | None = field(default=None, repr=False)
    reel: tuple[Moment, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        _check_utc("Tracklet.started_at", self.started_at)
        _check_utc("Tracklet.ended_at", self.ended_at)
        if self.ended_at < self.started_at:
            raise ValueError(f"Tracklet: expected ended_at >= started_at, got {self.ended_at} < {self.started_at}")
        if not self.crops:
            raise ValueError("Tracklet.crops: expected at least one crop, got none")


@dataclass(frozen=True, slots=True)
class Embedding:
    """Where a tracklet lies in the space of persons.

    Attributes:
        vector: ``float32[D]``, L2-normalised.
        model_hash: of the checkpoint; vectors of two models are never compared.
    """

    vector: FloatArray
    model_hash: str

    def __post_init__(self) -> None:
        _check_shape("Embedding.vector", self.vector, (None,))
        norm = float(np.linalg.norm(self.vector))
        if not abs(norm - 1.0) < 1e-3:
            raise ValueError(f"Embedding.vector: expected unit length, got norm {norm}")
