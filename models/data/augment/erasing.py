"""Erasing a rectangle."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from models.data.augment.options import AugmentOptions

__all__ = ["Box", "draw_box", "erase"]

Box = tuple[slice, slice]
FloatArray = npt.NDArray[np.float32]


def draw_box(options: AugmentOptions, height_px: int, width_px: int, generator: np.random.Generator) -> Box | None:
    """The rows and columns to erase; None as often as the options say. Sides are cut to the picture's."""
    if generator.random() >= options.erasing:
        return None
    area = generator.uniform(*options.erasing_area) * height_px * width_px
    low, high = options.erasing_aspect
    aspect = math.exp(generator.uniform(math.log(low), math.log(high)))
    height = min(max(1, round(math.sqrt(area * aspect))), height_px)
    width = min(max(1, round(math.sqrt(area / aspect))), width_px)
    top = int(generator.integers(height_px - height, endpoint=True))
    left = int(generator.integers(width_px - width, endpoint=True))
    return slice(top, top + height), slice(left, left + width)


def erase(pictures: FloatArray, box: Box, fill: str, generator: np.random.Generator) -> None:
    """Erase in place from normalised ``[N, 3, H, W]``: to zero, which is the mean, or to normal noise."""
    region = pictures[..., box[0], box[1]]
    region[...] = generator.standard_normal(region.shape[1:], np.float32) if fill == "noise" else 0.0
