"""Uploaded pictures, from untrusted bytes to upright pixels. Nothing here is written to a disk."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from pipeline.types import Image

__all__ = ["PictureError", "PictureRules", "decode_picture", "fitted"]

_GREY_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})


class PictureError(ValueError):
    """The picture cannot be used; the message is a sentence for the person who sent it."""


@dataclass(frozen=True, slots=True)
class PictureRules:
    """What is accepted, and how it is spoken of.

    Attributes:
        noun: what the picture is called in sentences.
        formats: as Pillow names them.
        told_formats: as people do.
        side_px: larger pictures are scaled down after decoding.
        least_px: of the shorter and of the longer side.
        too_small: why smaller ones are of no use.
        ground: grey level, 0 to 255, under what is transparent.
    """

    noun: str
    formats: tuple[str, ...]
    told_formats: str
    side_px: int
    least_px: tuple[int, int]
    too_small: str
    ground: int


def decode_picture(data: bytes, rules: PictureRules, *, max_pixels: int) -> Image:
    """Decode untrusted bytes to an upright picture ``uint8[H, W, 3]`` BGR.

    The first frame of an animation; 16-bit and float grey is stretched between its 1st and 99th percentile, because
    infrared cameras use a small part of the range.

    Raises:
        PictureError: not such a picture, damaged, too large or too small.
    """
    noun = rules.noun
    try:
        picture = Pillow.open(io.BytesIO(data), formats=rules.formats)
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise _too_many_pixels(noun, max_pixels) from None
    except (UnidentifiedImageError, ImportError):
        # ImportError: Ultralytics, where it is loaded, puts a function of its own in the place of Pillow's, which
        # wants a package for HEIF whenever a file is not known.
        raise PictureError(f"This is not a {noun} that can be read. Send {rules.told_formats}.") from None
    except Exception as error:  # a hostile header reaches many parsers, each with its own exceptions
        raise PictureError(f"The {noun}'s header is damaged.") from error
    with picture:
        width, height = picture.size
        if width * height > max_pixels:
            raise _too_many_pixels(noun, max_pixels)
        if min(width, height) < rules.least_px[0] or max(width, height) < rules.least_px[1]:
            least = f"{rules.least_px[0]} × {rules.least_px[1]}"
            raise PictureError(f"The {noun} is {width} × {height} pixels; {rules.too_small} {least}.")
        try:
            picture.draft("RGB", (rules.side_px, rules.side_px))
            picture.load()
            return fitted(_to_bgr(_upright(picture), rules.ground), rules.side_px)
        except MemoryError:
            raise
        except Exception as error:
            raise PictureError(f"The {noun} is damaged or cut off; save it again and retry.") from error


def fitted(image: Image, side_px: int) -> Image:
    """The picture, scaled down where its longer side is longer than that."""
    height, width = image.shape[:2]
    scale = side_px / max(height, width)
    if scale >= 1.0:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _upright(picture: Pillow.Image) -> Pillow.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a damaged EXIF block is no reason to refuse the pixels
        return picture


def _to_bgr(picture: Pillow.Image, ground: int) -> Image:
    if picture.mode in _GREY_MODES:
        grey = _stretched(np.asarray(picture))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Pillow.alpha_composite(Pillow.new("RGBA", picture.size, (ground, ground, ground, 255)), picture)
    rgb = np.asarray(picture.convert("RGB"), np.uint8)
    return np.ascontiguousarray(rgb[:, :, ::-1])


def _stretched(grey: np.ndarray[Any, Any]) -> Image:
    """``[H, W]`` of any depth to ``uint8[H, W]`` between the 1st and 99th percentile."""
    values = np.nan_to_num(grey.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (float(v) for v in np.percentile(values, (1.0, 99.0)))
    if high <= low:
        return np.full(grey.shape, 128, np.uint8)
    stretched: Image = (np.clip((values - low) / (high - low), 0.0, 1.0) * 255.0).round().astype(np.uint8)
    return stretched


def _too_many_pixels(noun: str, max_pixels: int) -> PictureError:
    return PictureError(f"The {noun} has more than {max_pixels / 1e6:.0f} million pixels; send a smaller one.")
