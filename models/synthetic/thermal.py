"""Thermal cameras: what they look at, and what their electronics make of it.

A microbolometer has few pixels, noise that stays in its columns, and no exposure: its gain follows the range of what
it sees. Few are set to show warmth dark.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.synthetic.renderer import Heat

__all__ = ["ThermalSensor", "develop_thermal", "draw_heat", "draw_thermal_sensor"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ThermalSensor:
    """A thermal camera's electronics; its picture is enlarged to the size that is delivered.

    Attributes:
        pitch_px: delivered pixels for each of the bolometer's, in either direction.
        blur_px: standard deviation of the optics' blur, in delivered pixels.
        noise: of a reading, of the range shown.
        stripes: the same of whole columns of a crop, alike in all crops of a camera.
        stretch: how far the gain follows what is seen; the rest is fixed.
        low, high: where the ends of the range are shown, of full scale.
        black_hot: warmth is dark.
        seed: of the columns.
        jpeg_quality: of the stored file.
        shutter_s: a bolometer's time constant; movement is not blurred by it.
    """

    pitch_px: float
    blur_px: float
    noise: float
    stripes: float
    stretch: float
    low: float
    high: float
    black_hot: bool
    seed: int
    jpeg_quality: int
    shutter_s: float


def draw_heat(generator: np.random.Generator, indoor: bool) -> Heat:
    """A place: indoors nothing mirrors the sky."""
    return Heat(
        air=float(generator.uniform(0.3, 0.5)),
        skin=float(generator.uniform(0.25, 0.55)),
        chill=float(np.exp(generator.uniform(np.log(0.6), np.log(1.9)))),
        sky=0.0 if indoor else float(generator.uniform(0.0, 0.25)),
    )


def draw_thermal_sensor(generator: np.random.Generator) -> ThermalSensor:
    """A thermal camera."""
    return ThermalSensor(
        pitch_px=float(np.exp(generator.uniform(np.log(1.2), np.log(3.5)))),
        blur_px=float(generator.uniform(0.6, 1.6)),
        noise=float(generator.uniform(0.006, 0.03)),
        stripes=float(generator.uniform(0.0, 0.015)),
        stretch=float(generator.uniform(0.4, 1.0)),
        low=float(generator.uniform(0.02, 0.2)),
        high=float(generator.uniform(0.75, 1.0)),
        black_hot=bool(generator.random() < 0.15),
        seed=int(generator.integers(2**31)),
        jpeg_quality=int(generator.integers(70, 95)),
        shutter_s=float(generator.uniform(0.008, 0.014)),  # a bolometer's time constant
    )


def develop_thermal(
    radiance: Floats,
    size: tuple[int, int],
    sensor: ThermalSensor,
    generator: np.random.Generator,
) -> NDArray[np.uint8]:
    """The picture ``uint8[H, W, 3]``, three equal channels, of what was drawn finer: ``float32[h, w, 3]``."""
    cells = tuple(max(4, round(side / sensor.pitch_px)) for side in size)
    soft = cv2.GaussianBlur(radiance[:, :, 0], (0, 0), sensor.blur_px * radiance.shape[1] / size[0])
    seen = cv2.resize(soft, cells, interpolation=cv2.INTER_AREA)
    low, high = np.percentile(seen, (1, 99.5))
    low, high = sensor.stretch * low + (1 - sensor.stretch) * 0.1, sensor.stretch * high + (1 - sensor.stretch) * 1.0
    level = (seen - low) / max(float(high - low), 0.05)
    columns = np.random.default_rng(sensor.seed).standard_normal(cells[0], dtype=np.float32)
    level = level + sensor.stripes * columns
    level = level + sensor.noise * generator.standard_normal(level.shape, dtype=np.float32)
    level = np.clip(level, 0, 1)
    if sensor.black_hot:
        level = 1 - level
    shown = sensor.low + (sensor.high - sensor.low) * level
    large = cv2.resize(shown.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    picture = (np.clip(large, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.repeat(picture[:, :, None], 3, axis=2)
