"""A small scene with persons walking through it, drawn from a picture inside the ultralytics package.

It stands in for a street video where none can be had: two persons are cut out of one picture and walk to and
fro over a ground in its own colours, at sizes and times of their own, so that a detector finds them and a
tracker follows.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.types import FloatArray, Image

__all__ = ["SCENE_LENGTH", "scene_frames"]

SCENE_LENGTH = 600
WIDTH_PX, HEIGHT_PX = 768, 576
# Where persons stand in bus.jpg at half its size (405x540): x1 y1 x2 y2.
PERSONS = ((23, 198, 125, 454), (109, 201, 174, 432))


@dataclass(frozen=True, slots=True)
class _Walker:
    picture: Image
    opacity: FloatArray
    height_px: int
    feet_y_px: int
    speed_px: float
    begin: int


def scene_frames() -> Iterator[Image]:
    """`SCENE_LENGTH` pictures ``uint8[576, 768, 3]`` BGR. Raises RuntimeError without the ultralytics package."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        raise RuntimeError("The demo's scene needs the pictures of the ultralytics package, which is not installed.")
    street = cv2.imread(str(Path(spec.origin).parent / "assets" / "bus.jpg"))
    if street is None:
        raise RuntimeError("The ultralytics package has no picture assets/bus.jpg.")
    ground = _ground(street)
    street = cv2.resize(street, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)  # persons are drawn that small
    cut = [_cut_out(street, box) for box in PERSONS]
    walkers = [
        _Walker(*cut[0], height_px=250, feet_y_px=500, speed_px=6.0, begin=0),
        _Walker(*cut[1], height_px=210, feet_y_px=430, speed_px=-5.0, begin=30),
    ]
    for number in range(SCENE_LENGTH):
        picture = ground.copy()
        for walker in sorted(walkers, key=lambda w: w.feet_y_px):
            _draw(picture, walker, number)
        yield picture


def _ground(street: Image) -> Image:
    """A square without persons: a wall and a pavement in the picture's own colours, with grain."""
    rng = np.random.default_rng(3)
    wall, floor = street[20:120, 500:800].mean((0, 1)), street[1000:1070, 100:700].mean((0, 1))
    horizon = 230
    canvas = np.empty((HEIGHT_PX, WIDTH_PX, 3), np.float32)
    canvas[:horizon] = wall * np.linspace(1.05, 0.9, horizon)[:, None, None]
    canvas[horizon:] = floor * np.linspace(0.8, 1.1, HEIGHT_PX - horizon)[:, None, None]
    canvas[:horizon] *= (0.7, 0.85, 1.15)  # brick, and grass along it: a place by day has colours
    canvas[horizon : horizon + 60] *= (0.6, 1.1, 0.75)
    for x in range(40, WIDTH_PX, 120):  # windows and paving: motion gating needs something that stands still
        canvas[60:150, x : x + 60] *= 0.6
    for y in np.geomspace(1, HEIGHT_PX - horizon, 9).astype(int):
        canvas[horizon + y - 1 : horizon + y] *= 0.85
    grain = cv2.GaussianBlur(rng.normal(0, 12, canvas.shape[:2]).astype(np.float32), (0, 0), 1.2)
    ground: Image = np.clip(canvas + grain[..., None], 0, 255).astype(np.uint8)
    return ground


def _cut_out(street: Image, box: tuple[int, int, int, int]) -> tuple[Image, FloatArray]:
    """A person with an opacity ``float32[H, W, 1]``; GrabCut finds the outline within the box."""
    x1, y1, x2, y2 = box
    margin = 6
    left, top = max(x1 - margin, 0), max(y1 - margin, 0)
    part = street[top : y2 + margin, left : x2 + margin].copy()
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    # What is around is ground, a slim figure in the middle is certainly the person, the rest is to be found out.
    width, height = x2 - x1, y2 - y1
    middle = (x1 - left + width // 2, y1 - top + height // 2)
    cv2.rectangle(mask, (x1 - left, y1 - top), (x2 - left, y2 - top), int(cv2.GC_PR_BGD), -1)
    cv2.ellipse(mask, middle, (width * 2 // 5, height // 2), 0, 0, 360, int(cv2.GC_PR_FGD), -1)
    cv2.ellipse(mask, middle, (width // 7, height * 9 // 20), 0, 0, 360, int(cv2.GC_FGD), -1)
    state = np.zeros((2, 1, 65), np.float64)
    cv2.grabCut(part, mask, (0, 0, 1, 1), state[0], state[1], 5, cv2.GC_INIT_WITH_MASK)
    person = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    return part, cv2.GaussianBlur(person, (0, 0), 0.6)[..., None]


def _draw(picture: Image, walker: _Walker, number: int) -> None:
    """Put a walker where it is at this picture: over the width, a pause out of sight, and over it again."""
    scale = walker.height_px / walker.picture.shape[0]
    width_px = round(walker.picture.shape[1] * scale)
    way_px = WIDTH_PX + 2 * width_px + 120
    passed_px = ((number - walker.begin) * abs(walker.speed_px)) % way_px
    x = round(passed_px - width_px) if walker.speed_px > 0 else round(WIDTH_PX - passed_px)
    y = walker.feet_y_px - walker.height_px + round(2.5 * np.sin(number * 0.9 + walker.begin))
    size = (width_px, walker.height_px)
    person = cv2.resize(walker.picture, size, interpolation=cv2.INTER_AREA)
    opacity = cv2.resize(walker.opacity, size, interpolation=cv2.INTER_AREA)[..., None]
    left, right = max(x, 0), min(x + width_px, WIDTH_PX)
    top, bottom = max(y, 0), min(y + walker.height_px, HEIGHT_PX)
    if left >= right or top >= bottom:
        return
    cut = (slice(top - y, bottom - y), slice(left - x, right - x))
    place = picture[top:bottom, left:right]
    place[:] = (place * (1 - opacity[cut]) + person[cut] * opacity[cut]).astype(np.uint8)
