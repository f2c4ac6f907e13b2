"""TrivialAugment (Mueller and Hutter, ICCV 2021): one operation, one strength, both drawn uniformly, no tuning.

Decision: of the published operations those stay that leave a person recognisable and a body upright. Turning goes to
15 degrees, slanting to 0.15, moving to a tenth of the width; solarise and posterise, which destroy what infrared
pictures are made of, are out. Saturation changes colour and is for visible pictures only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from models.data.augment.colour import apply_curve, curve
from models.data.augment.geometry import turned, warp
from models.preprocessing import Image
from models.types import Modality

__all__ = ["operations", "trivial_augment"]

Operation = Callable[[Sequence[Image], float], list[Image]]  # strength from -1 to 1

_TURN_DEGREES = 15.0
_SLANT = 0.15
_MOVE = 0.1
_CHANGE = 0.7  # of brightness, contrast, saturation, sharpness, as a factor of 1 - 0.7 to 1 + 0.7


def _identity(frames: Sequence[Image], strength: float) -> list[Image]:
    return list(frames)


def _turn(frames: Sequence[Image], strength: float) -> list[Image]:
    return warp(frames, turned(*frames[0].shape[:2], degrees=_TURN_DEGREES * strength))


def _slant(frames: Sequence[Image], strength: float) -> list[Image]:
    return warp(frames, turned(*frames[0].shape[:2], slant=_SLANT * strength))


def _move(frames: Sequence[Image], strength: float) -> list[Image]:
    height, width = frames[0].shape[:2]
    return warp(frames, turned(height, width, shift_px=_MOVE * width * strength))


def _brightness(frames: Sequence[Image], strength: float) -> list[Image]:
    return apply_curve(frames, curve() * (1 + _CHANGE * strength))


def _contrast(frames: Sequence[Image], strength: float) -> list[Image]:
    mean = float(frames[0].mean())
    return apply_curve(frames, (curve() - mean) * (1 + _CHANGE * strength) + mean)


def _stretch(frames: Sequence[Image], strength: float) -> list[Image]:
    """Autocontrast of the first frame, for all; it has no strength."""
    low, high = float(frames[0].min()), float(frames[0].max())
    return apply_curve(frames, (curve() - low) * (255.0 / max(high - low, 1.0)))


def _sharpness(frames: Sequence[Image], strength: float) -> list[Image]:
    return [_blended(frame, cv2.blur(frame, (3, 3)), strength) for frame in frames]


def _saturation(frames: Sequence[Image], strength: float) -> list[Image]:
    return [
        _blended(frame, cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), strength)
        for frame in frames
    ]


def _blended(frame: Image, degenerate: Image, strength: float) -> Image:
    factor = 1 + _CHANGE * strength
    blended: Image = cv2.addWeighted(frame, factor, degenerate, 1 - factor, 0.0)
    return blended


_BOTH: tuple[Operation, ...] = (_identity, _turn, _slant, _move, _brightness, _contrast, _stretch, _sharpness)
_OPERATIONS: dict[Modality, tuple[Operation, ...]] = {
    Modality.VISIBLE: (*_BOTH, _saturation),
    Modality.INFRARED: _BOTH,
}


def operations(modality: Modality) -> tuple[Operation, ...]:
    """The operations that are drawn from; each takes frames and a strength from -1 to 1."""
    return _OPERATIONS[modality]


def trivial_augment(frames: Sequence[Image], modality: Modality, generator: np.random.Generator) -> list[Image]:
    """One operation with one strength on all frames."""
    known = operations(modality)
    operation = known[generator.integers(len(known))]
    return operation(frames, float(generator.uniform(-1.0, 1.0)))
