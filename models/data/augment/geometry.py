"""Moving pixels: mirror, crop, zoom, slant, turn, all as one affine map."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from models.data.augment.options import AugmentOptions
from models.preprocessing import Image

__all__ = ["Affine", "draw_affine", "turned", "warp"]

Affine = npt.NDArray[np.float64]  # 2 x 3, from source to target pixels


def draw_affine(options: AugmentOptions, height_px: int, width_px: int, generator: np.random.Generator) -> Affine:
    """One draw of flip, crop, scale and shear, about the centre of the picture.

    Padding by p and cropping to the old size moves the picture by -p to p whole pixels and fills with black.
    """
    mirror = -1.0 if generator.random() < options.flip else 1.0
    zoom = generator.uniform(1 - options.scale, 1 + options.scale)
    slant = generator.uniform(-options.shear, options.shear)
    shift = generator.integers(-options.crop_px, options.crop_px, size=2, endpoint=True)
    return _about_centre([[mirror * zoom, mirror * slant], [0.0, zoom]], shift, height_px, width_px)


def turned(height_px: int, width_px: int, *, degrees: float = 0.0, slant: float = 0.0, shift_px: float = 0.0) -> Affine:
    """Turn about the centre, slant and move sideways."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return _about_centre([[cosine, slant - sine], [sine, cosine]], (shift_px, 0.0), height_px, width_px)


def _about_centre(linear: npt.ArrayLike, shift: npt.ArrayLike, height_px: int, width_px: int) -> Affine:
    matrix = np.asarray(linear, np.float64)
    centre = np.array([(width_px - 1) / 2, (height_px - 1) / 2])
    return np.column_stack([matrix, centre + np.asarray(shift) - matrix @ centre])


def warp(frames: Sequence[Image], affine: Affine) -> list[Image]:
    """Apply one map to all frames; what comes from outside is black. The identity and the mirror cost nothing."""
    height, width = frames[0].shape[:2]
    if np.array_equal(affine, np.eye(2, 3)):
        return list(frames)
    if np.array_equal(affine, [[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]]):
        return [cv2.flip(frame, 1) for frame in frames]
    return [cv2.warpAffine(frame, affine, (width, height), flags=cv2.INTER_LINEAR) for frame in frames]
