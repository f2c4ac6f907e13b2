"""Tileable noise that stands in for grain, stains, leaves and creases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["noise_texture"]

_SIZE = 256


def noise_texture() -> NDArray[np.uint8]:
    """``uint8[256, 256, 4]``: two smooth fractal fields (r, a), fine grain (g) and clumps (b); tiles seamlessly."""
    generator = np.random.default_rng(20240611)
    smooth = _fractal(generator, 1.9)
    grain = _fractal(generator, 0.5)
    clumps = _fractal(generator, 1.2)
    other = _fractal(generator, 1.7)
    return (np.stack([smooth, grain, clumps, other], axis=-1) * 255).astype(np.uint8)


def _fractal(generator: np.random.Generator, exponent: float) -> NDArray[np.float64]:
    """Noise whose amplitude falls with frequency to the power of `exponent`, spread over 0 to 1."""
    spectrum = np.fft.rfft2(generator.standard_normal((_SIZE, _SIZE)))
    fy = np.fft.fftfreq(_SIZE)[:, None] * _SIZE
    fx = np.fft.rfftfreq(_SIZE)[None] * _SIZE
    radius = np.hypot(fy, fx)
    radius[0, 0] = 1
    spectrum = spectrum / np.maximum(radius, 2.0) ** exponent
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (_SIZE, _SIZE))
    return np.asarray(np.clip(0.5 + field / field.std() * 0.18, 0, 1))
