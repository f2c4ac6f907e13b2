"""From a crop to what a network eats. Part of a checkpoint, because weights mean nothing without it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Image", "Preprocessing", "check_crop"]

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

_INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
_MAX_SIDE_PX = 16384


def check_crop(crop: object, name: str = "crop") -> Image:
    """The crop if it is ``uint8[H, W, 3]`` with at least one pixel; ValueError with expected and got otherwise."""
    if not isinstance(crop, np.ndarray):
        raise ValueError(f"{name}: expected uint8[H, W, 3] BGR, got {type(crop).__name__}")
    if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3:
        raise ValueError(f"{name}: expected uint8[H, W, 3] BGR, got {crop.dtype}{list(crop.shape)}")
    if 0 in crop.shape:
        raise ValueError(f"{name}: expected at least one pixel, got shape {crop.shape}")
    if max(crop.shape) > _MAX_SIDE_PX:
        raise ValueError(f"{name}: expected sides of at most {_MAX_SIDE_PX} px, got shape {crop.shape}")
    return crop


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Resize, scale, normalise: ``(pixel * scale - mean) / std`` for each channel, in `channel_order`.

    Attributes:
        height_px, width_px: what every crop is stretched to; the shape of a person is lost on purpose,
            as the field does it.
        scale: 1/255 for networks that were trained on 0..1, 1 for 0..255.
        mean, std: in scaled units, in `channel_order`.
        channel_order: ``rgb`` or ``bgr``.
        interpolation: ``linear``, ``cubic`` or ``area``.
    """

    height_px: int = 256
    width_px: int = 128
    scale: float = 1.0 / 255.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    channel_order: str = "rgb"
    interpolation: str = "linear"

    def __post_init__(self) -> None:
        if not (1 <= self.height_px <= 4096 and 1 <= self.width_px <= 4096):
            raise ValueError(f"Preprocessing: expected 1 to 4096 px a side, got {self.height_px} x {self.width_px}")
        if self.channel_order not in ("rgb", "bgr"):
            raise ValueError(f"Preprocessing.channel_order: expected rgb or bgr, got {self.channel_order!r}")
        if self.interpolation not in _INTERPOLATIONS:
            expected = ", ".join(_INTERPOLATIONS)
            raise ValueError(f"Preprocessing.interpolation: expected {expected}, got {self.interpolation!r}")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ValueError(f"Preprocessing: expected three means and stds, got {self.mean} and {self.std}")
        if not np.isfinite([*self.mean, *self.std, self.scale]).all() or min(self.std) <= 0 or self.scale <= 0:
            raise ValueError("Preprocessing: expected finite means and positive std and scale")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_dict`. Raises ValueError or TypeError for what is missing, unknown or wrong."""
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that change when anything here changes, and never otherwise."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def resized(self, crop: Image) -> Image:
        """One crop ``uint8[H, W, 3]`` stretched to the network's size, colours untouched."""
        size = (self.width_px, self.height_px)
        stretched: Image = cv2.resize(crop, size, interpolation=_INTERPOLATIONS[self.interpolation])
        return stretched

    def batch(self, crops: Sequence[Image], out: FloatArray | None = None) -> FloatArray:
        """Prepare B crops ``uint8[H, W, 3]`` BGR of any size: ``float32[B, 3, height_px, width_px]``.

        Args:
            out: an array of that shape to write to and return, for those who have one already.

        Raises:
            ValueError: a crop is not such a picture; the message says what was expected and what came.
        """
        shape = (len(crops), 3, self.height_px, self.width_px)
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32:
            raise ValueError(f"out: expected float32{list(shape)}, got {out.dtype}{list(out.shape)}")
        planes = (2, 1, 0) if self.channel_order == "rgb" else (0, 1, 2)
        for index, crop in enumerate(crops):
            resized = self.resized(check_crop(crop, f"crops[{index}]"))
            for channel, plane in enumerate(planes):
                std, mean = self.std[channel], self.mean[channel]
                values = out[index, channel]
                np.multiply(resized[:, :, plane], np.float32(self.scale / std), out=values)
                values -= np.float32(mean / std)
        return out
