"""An uploaded photo, from untrusted bytes to the persons in it. Nothing here is written to a disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np

from models.runtime.engine import EngineDescription
from models.types import Modality
from pipeline.types import Detections, FloatArray, Image
from service.pictures import PictureError, PictureRules, decode_picture, fitted

__all__ = ["FoundPerson", "PersonDetector", "PersonEmbedder", "PhotoAnalysis", "analyse", "decode_photo"]

PHOTO = PictureRules(
    "photo",
    ("JPEG", "PNG", "WEBP", "BMP", "TIFF"),
    "JPEG, PNG, WebP, BMP or TIFF",
    side_px=2560,  # neither network sees more than this
    least_px=(16, 32),
    too_small="a person cannot be recognised below",
    ground=128,
)
PREVIEW_SIDE_PX = 960
MIN_PERSON_PX = 24
MAX_PERSONS = 50
# A crop of one standing person is taller than wide.
CROP_ASPECT = (1.2, 5.0)


class PersonDetector(Protocol):
    """Finds persons: ``uint8[H, W, 3]`` BGR pictures to one `Detections` each."""

    def detect(self, images: Sequence[Image]) -> list[Detections]: ...


class PersonEmbedder(Protocol):
    """Turns pictures of single persons into vectors ``float32[N, D]``, L2-normalised."""

    model_hash: str

    def embed_images(self, crops: Sequence[Image], modalities: Sequence[Modality]) -> FloatArray: ...

    def embed_clips(self, clips: Sequence[Sequence[Image]], modalities: Sequence[Modality]) -> FloatArray: ...

    def describe(self) -> EngineDescription: ...


@dataclass(frozen=True, slots=True)
class FoundPerson:
    """One person of a photo.

    Attributes:
        index: place in the photo, from 0, largest first.
        box: fractions of the upright photo, ``x1 y1 x2 y2``.
        score: the detector's, 1.0 for a whole photo.
        vector: ``float32[D]``, L2-normalised.
        whole_image: nobody was detected, and the whole photo is taken for one person.
    """

    index: int
    box: tuple[float, float, float, float]
    score: float
    vector: FloatArray = field(repr=False)
    whole_image: bool = False


@dataclass(frozen=True, slots=True)
class PhotoAnalysis:
    """What was found in a photo. `preview_jpeg` is the upright photo, small, for the one who sent it."""

    width_px: int
    height_px: int
    modality: Modality
    model_hash: str
    persons: tuple[FoundPerson, ...]
    preview_jpeg: bytes = field(repr=False)


def decode_photo(data: bytes, *, max_pixels: int) -> Image:
    """Decode untrusted bytes to an upright picture ``uint8[H, W, 3]`` BGR. Raises PictureError."""
    return decode_picture(data, PHOTO, max_pixels=max_pixels)


def analyse(
    image: Image,
    detector: PersonDetector,
    embedder: PersonEmbedder,
    *,
    modality: Modality,
    whole: bool = False,
) -> PhotoAnalysis:
    """Find and embed every person of a decoded photo.

    Args:
        image: ``uint8[H, W, 3]`` BGR.
        modality: what kind of light it was taken in.
        whole: take the entire photo for one person, without looking for persons.
    """
    height, width = image.shape[:2]
    found: list[tuple[tuple[int, int, int, int], float, bool]] = []
    if not whole:
        found = [(box, score, False) for box, score in _persons(detector.detect([image])[0], width, height)]
    if whole or (not found and CROP_ASPECT[0] <= height / width <= CROP_ASPECT[1]):
        found = [((0, 0, width, height), 1.0, True)]
    crops = [np.ascontiguousarray(image[y1:y2, x1:x2]) for (x1, y1, x2, y2), _, _ in found]
    vectors = embedder.embed_images(crops, [modality] * len(crops)) if crops else np.zeros((0, 0), np.float32)
    persons = tuple(
        FoundPerson(
            index=index,
            box=(x1 / width, y1 / height, x2 / width, y2 / height),
            score=score,
            vector=np.asarray(vectors[index], np.float32),
            whole_image=is_whole,
        )
        for index, ((x1, y1, x2, y2), score, is_whole) in enumerate(found)
    )
    return PhotoAnalysis(width, height, modality, embedder.model_hash, persons, _preview(image))


def _persons(detections: Detections, width: int, height: int) -> list[tuple[tuple[int, int, int, int], float]]:
    """Boxes clipped to whole pixels, too small ones left out, largest first."""
    kept = []
    for (x1, y1, x2, y2), score in zip(detections.boxes.tolist(), detections.scores.tolist(), strict=True):
        box = (max(int(x1), 0), max(int(y1), 0), min(int(np.ceil(x2)), width), min(int(np.ceil(y2)), height))
        if box[2] - box[0] >= MIN_PERSON_PX // 3 and box[3] - box[1] >= MIN_PERSON_PX:
            kept.append((box, float(score)))
    kept.sort(key=lambda item: (item[0][2] - item[0][0]) * (item[0][3] - item[0][1]), reverse=True)
    return kept[:MAX_PERSONS]


def _preview(image: Image) -> bytes:
    ok, data = cv2.imencode(".jpg", fitted(image, PREVIEW_SIDE_PX), [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not ok:
        raise PictureError("The photo could not be prepared for display.")
    return bytes(data)
