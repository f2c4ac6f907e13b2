"""Changing values: everything that maps a pixel by its own value is folded into one table of 256 entries a channel."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from models.data.augment.options import AugmentOptions
from models.preprocessing import Image
from models.types import Modality

__all__ = ["Curve", "add_noise", "apply_curve", "blur", "channel_weights", "curve", "draw_curve", "mix_channels"]

Curve = npt.NDArray[np.float64]  # 256 x 3: what each value of each channel (BGR) becomes
_LUMINANCE_BGR = np.array([0.114, 0.587, 0.299])  # ITU-R BT.601, as `models.layers.grey`
_BLUR_SIGMA_PX = (0.1, 2.0)


def curve() -> Curve:
    """The curve that changes nothing."""
    return np.repeat(np.arange(256.0)[:, None], 3, axis=1)


def draw_curve(
    options: AugmentOptions, modality: Modality, mean: float, generator: np.random.Generator
) -> Curve | None:
    """One draw of gain, gamma, contrast and brightness; None when the options ask for none of them.

    Args:
        mean: about which contrast turns, 0..255: the clip's own, for a night picture is dark throughout.
    """
    values = curve()
    changed = False
    if options.channel_gain and modality is Modality.VISIBLE:
        values *= np.exp(generator.uniform(-options.channel_gain, options.channel_gain, size=3))
        changed = True
    if options.gamma:
        power = np.exp(generator.uniform(-options.gamma, options.gamma))
        values = 255.0 * (np.clip(values, 0, 255) / 255.0) ** power
        mean = 255.0 * (mean / 255.0) ** power
        changed = True
    extra = options.infrared_jitter if modality is Modality.INFRARED else 0.0
    for contrast, brightness in ((options.contrast, options.brightness), (extra, extra / 2)):
        if contrast or brightness:
            factor = generator.uniform(1 - contrast, 1 + contrast)
            values = (values - mean) * factor + mean + 255.0 * generator.uniform(-brightness, brightness)
            changed = True
    return values if changed else None


def apply_curve(frames: Sequence[Image], values: Curve) -> list[Image]:
    table = np.clip(values + 0.5, 0, 255).astype(np.uint8)[None]
    return [cv2.LUT(frame, table) for frame in frames]


def channel_weights(mode: str, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Weights ``[3]`` of B, G, R that one grey value is made of, see `AugmentOptions.channels`."""
    if mode == "grey":
        return _LUMINANCE_BGR
    if mode == "exchange":
        choice = int(generator.integers(4))
        return np.eye(3)[choice] if choice < 3 else _LUMINANCE_BGR
    if mode == "mix":
        return np.eye(3)[generator.integers(3)] if generator.random() < 0.5 else generator.dirichlet(np.ones(3))
    raise ValueError(f"channel_weights: expected exchange, grey or mix, got {mode!r}")


def mix_channels(frames: Sequence[Image], weights: npt.NDArray[np.float64]) -> list[Image]:
    """Replace all three channels by one mixture of them."""
    return [cv2.transform(frame, np.tile(weights, (3, 1))) for frame in frames]


def blur(frames: Sequence[Image], generator: np.random.Generator) -> list[Image]:
    """A Gaussian blur of one drawn width."""
    sigma = generator.uniform(*_BLUR_SIGMA_PX)
    return [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames]


def add_noise(
    frames: Sequence[Image], deviation: float, modality: Modality, generator: np.random.Generator
) -> list[Image]:
    """Gaussian noise; the channels of infrared pictures stay equal."""
    planes = 1 if modality is Modality.INFRARED else 3
    noisy = []
    for frame in frames:
        noise = generator.standard_normal((*frame.shape[:2], planes), np.float32) * np.float32(deviation)
        noisy.append(np.clip(frame + noise + np.float32(0.5), 0, 255).astype(np.uint8))
    return noisy
