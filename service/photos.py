"""An uploaded photo, from untrusted bytes to the persons in it. Nothing here is written to a disk."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from models.runtime.engine import EngineDescription
from models.types import Modality
from pipeline.types import Detections, FloatArray, Image

__all__ = ["FoundPerson", "PersonDetector", "PersonEmbedder", "PhotoAnalysis", "PhotoError", "analyse", "decode_photo"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
MIN_WIDTH_PX, MIN_HEIGHT_PX = 16, 32
# Larger photos are scaled down after decoding: neither network sees more than this.
WORKING_SIDE_PX = 2560
PREVIEW_SIDE_PX = 960
MIN_PERSON_PX = 24
MAX_PERSONS = 50
# A crop of one standing person is taller than wide.
CROP_ASPECT = (1.2, 5.0)
_GREY_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})


class PhotoError(ValueError):
    """The photo cannot be used; the message is a sentence for the person who sent it."""


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
    """Decode untrusted bytes to an upright picture ``uint8[H, W, 3]`` BGR.

    JPEG, PNG, WebP, BMP and TIFF; the first frame of an animation; 16-bit and float grey is stretched
    between its 1st and 99th percentile, because infrared cameras use a small part of the range.

    Raises:
        PhotoError: not such a photo, damaged, too large or too small.
    """
    try:
        picture = Pillow.open(io.BytesIO(data), formats=FORMATS)
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise _too_many_pixels(max_pixels) from None
    except (UnidentifiedImageError, ImportError):
        # ImportError: Ultralytics, where it is loaded, puts a function of its own in the place of Pillow's, which
        # wants a package for HEIF whenever a file is not known.
        raise PhotoError("This is not a photo that can be read. Send JPEG, PNG, WebP, BMP or TIFF.") from None
    except Exception as error:  # a hostile header reaches many parsers, each with its own exceptions
        raise PhotoError("The photo's header is damaged.") from error
    with picture:
        width, height = picture.size
        if width * height > max_pixels:
            raise _too_many_pixels(max_pixels)
        if min(width, height) < MIN_WIDTH_PX or max(width, height) < MIN_HEIGHT_PX:
            raise PhotoError(
                f"The photo is {width} × {height} pixels; a person cannot be recognised below "
                f"{MIN_WIDTH_PX} × {MIN_HEIGHT_PX}."
            )
        try:
            picture.draft("RGB", (WORKING_SIDE_PX, WORKING_SIDE_PX))
            picture.load()
            upright = _upright(picture)
            return _to_bgr(upright)
        except MemoryError:
            raise
        except Exception as error:
            raise PhotoError("The photo is damaged or cut off; save it again and retry.") from error


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


def _upright(picture: Pillow.Image) -> Pillow.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a damaged EXIF block is no reason to refuse the pixels
        return picture


def _to_bgr(picture: Pillow.Image) -> Image:
    if picture.mode in _GREY_MODES:
        grey = _stretched(np.asarray(picture))
        return _fitted(np.repeat(grey[:, :, None], 3, axis=2))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Pillow.new("RGBA", picture.size, (128, 128, 128, 255))
        picture = Pillow.alpha_composite(ground, picture)
    rgb = np.asarray(picture.convert("RGB"), np.uint8)
    return _fitted(np.ascontiguousarray(rgb[:, :, ::-1]))


def _stretched(grey: np.ndarray[Any, Any]) -> Image:
    """``[H, W]`` of any depth to ``uint8[H, W]`` between the 1st and 99th percentile."""
    values = np.nan_to_num(grey.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (float(v) for v in np.percentile(values, (1.0, 99.0)))
    if high <= low:
        return np.full(grey.shape, 128, np.uint8)
    stretched: Image = (np.clip((values - low) / (high - low), 0.0, 1.0) * 255.0).round().astype(np.uint8)
    return stretched


def _fitted(image: Image, side_px: int = WORKING_SIDE_PX) -> Image:
    height, width = image.shape[:2]
    scale = side_px / max(height, width)
    if scale >= 1.0:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _preview(image: Image) -> bytes:
    ok, data = cv2.imencode(".jpg", _fitted(image, PREVIEW_SIDE_PX), [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not ok:
        raise PhotoError("The photo could not be prepared for display.")
    return bytes(data)


def _too_many_pixels(max_pixels: int) -> PhotoError:
    return PhotoError(f"The photo has more than {max_pixels / 1e6:.0f} million pixels; send a smaller one.")
