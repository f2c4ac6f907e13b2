"""From radiance to the stored picture: optics, exposure, noise, tone, colour, sharpening."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.synthetic.thermal import ThermalSensor, develop_thermal

__all__ = ["Sensor", "develop", "draw_sensor"]

Floats = NDArray[np.float32]
_METER, _METERING = 0.2, 0.55
"""Automatic exposure: the mean it aims at, and how much of the way it goes."""
_CHROMA_NOISE = 0.35
"""What noise reduction leaves of the noise in colour."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """A camera's electronics.

    Attributes:
        exposure: gain on radiance.
        blur_px: standard deviation of the optics' blur, in pixels of the picture.
        shot, read: noise at full scale and at black, as fractions of full scale.
        grain_px: size that noise reduction leaves noise with.
        gamma: exponent of the tone curve.
        black, white: where the curve's ends lie, of full scale.
        balance: gains of red, green and blue.
        saturation: 1 as the light came.
        sharpen: strength of unsharp masking.
        vignette: loss towards the corners.
        jpeg_quality: of the stored file.
        shutter_s: exposure time, for motion blur.
    """

    infrared: bool
    exposure: float
    blur_px: float
    shot: float
    read: float
    grain_px: float
    gamma: float
    black: float
    white: float
    balance: tuple[float, float, float]
    saturation: float
    sharpen: float
    vignette: float
    jpeg_quality: int
    shutter_s: float


def draw_sensor(generator: np.random.Generator, infrared: bool, dim: bool) -> Sensor:
    """A sensor; `dim` scenes are exposed longer and noisier."""
    noisy = 2.2 if dim else 1.0
    exposure = float(np.exp(generator.normal(0, 0.22)))
    balance = np.clip(1 + generator.normal(0, 0.05, 3), 0.85, 1.15)
    balance = balance / balance[1]
    return Sensor(
        infrared=infrared,
        exposure=exposure * (1.05 if infrared else 2.2 if dim else 0.95),
        blur_px=float(generator.uniform(0.35, 1.0)),
        shot=float(generator.uniform(0.003, 0.016)) * noisy * (1.8 if infrared else 1.0),
        read=float(generator.uniform(0.0004, 0.0028)) * noisy * (1.8 if infrared else 1.0),
        grain_px=float(generator.uniform(0.3, 0.9)),
        gamma=float(generator.uniform(0.42, 0.52) if not infrared else generator.uniform(0.45, 0.7)),
        black=float(generator.uniform(0.0, 0.06)),
        white=float(generator.uniform(0.9, 1.0)),
        balance=(float(balance[0]), 1.0, float(balance[2])),
        saturation=float(generator.uniform(0.6, 1.0)) * (0.8 if dim else 1.0),
        sharpen=float(generator.uniform(0.0, 0.9)),
        vignette=float(generator.uniform(0.0, 0.25)),
        jpeg_quality=int(generator.integers(62, 93)),
        shutter_s=float(generator.uniform(0.004, 0.02)) * (1.8 if dim or infrared else 1.0),
    )


def develop(
    radiance: Floats,
    size: tuple[int, int],
    sensor: Sensor | ThermalSensor,
    offset: tuple[float, float],
    motion_px: tuple[float, float],
    generator: np.random.Generator,
) -> NDArray[np.uint8]:
    """The picture ``uint8[H, W, 3]`` BGR of a window that was drawn finer than the sensor's pixels.

    Args:
        radiance: ``float32[h, w, 3]`` RGB.
        size: width and height to deliver.
        offset: of the window's centre from the picture's, each -1 to 1.
        motion_px: how far the image moves while the shutter is open.
    """
    if isinstance(sensor, ThermalSensor):
        return develop_thermal(radiance, size, sensor, generator)
    linear = cv2.resize(radiance, size, interpolation=cv2.INTER_AREA)
    if sensor.infrared:
        linear = linear[:, :, :1]
    metered = (_METER / max(float(linear.mean()) * sensor.exposure, 1e-4)) ** _METERING
    linear = linear * (
        sensor.exposure
        * float(np.clip(metered, 0.4, 2.0))
        * (1 - sensor.vignette * (offset[0] ** 2 + offset[1] ** 2) / 2)
    )
    if np.hypot(*motion_px) > 0.7:
        linear = cv2.filter2D(linear, -1, _streak(motion_px))
    linear = cv2.GaussianBlur(linear, (0, 0), sensor.blur_px)
    linear = linear.reshape(size[1], size[0], -1)
    channels = linear.shape[2]
    noise = generator.standard_normal(linear.shape, dtype=np.float32)
    if sensor.grain_px > 0.4:
        gain = max(1.0, 2.2 * sensor.grain_px)
        noise = cv2.GaussianBlur(noise, (0, 0), sensor.grain_px).reshape(linear.shape) * gain
    if channels == 3:
        common = noise.mean(axis=2, keepdims=True) * 1.7
        noise = common + _CHROMA_NOISE * (noise - common)
    linear = np.maximum(linear, 0)
    linear = linear + noise * np.sqrt(sensor.shot**2 * linear + sensor.read**2)
    if channels == 3:
        linear = linear * np.array(sensor.balance, np.float32)
        grey = linear @ np.array([0.2126, 0.7152, 0.0722], np.float32)
        linear = grey[:, :, None] + sensor.saturation * (linear - grey[:, :, None])
    tone = np.clip(linear, 0, None) ** sensor.gamma
    tone = np.where(tone > 0.8, 0.8 + 0.2 * np.tanh((tone - 0.8) / 0.2), tone)  # highlights roll off
    tone = sensor.black + (sensor.white - sensor.black) * tone
    if sensor.sharpen > 0.05:
        soft = cv2.GaussianBlur(tone, (0, 0), 1.2).reshape(tone.shape)
        tone = tone + sensor.sharpen * (tone - soft)
    picture = (np.clip(tone, 0, 1) * 255 + 0.5).astype(np.uint8)
    if channels == 1:
        return np.repeat(picture, 3, axis=2)
    return np.ascontiguousarray(picture[:, :, ::-1])


def _streak(motion_px: tuple[float, float]) -> Floats:
    """A line kernel along the motion."""
    length = float(np.hypot(*motion_px))
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for t in np.linspace(-0.5, 0.5, max(5, round(4 * length))):
        kernel[round(half + t * motion_px[1]), round(half + t * motion_px[0])] += 1
    return np.asarray(cv2.GaussianBlur(kernel / kernel.sum(), (0, 0), 0.4), np.float32)
