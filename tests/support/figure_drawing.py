"""Drawing one person of the drawn world: limbs, clothes, hair and bag as filled shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tests.support.figures import Person

__all__ = ["SCALE", "Canvas", "Paint", "Pose", "paint_person"]

SCALE = 2  # drawn larger and averaged down, for smooth edges
_FIXED_POINT = 4  # fractional bits of cv2's coordinates

Paint = tuple[float, float, float]
Point = tuple[float, float]


class Canvas:
    """Filled shapes in units of the person's height, the origin between the feet, y up."""

    def __init__(self, picture: npt.NDArray[np.float32], foot: Point, unit_px: float) -> None:
        self.picture = picture
        self.foot = foot
        self.unit = unit_px * SCALE

    def _points(self, points: Sequence[Point]) -> npt.NDArray[np.int32]:
        moved = np.array(
            [(self.foot[0] * SCALE + x * self.unit, self.foot[1] * SCALE - y * self.unit) for x, y in points]
        )
        return np.round(moved * 2**_FIXED_POINT).astype(np.int32)

    def polygon(self, points: Sequence[Point], paint: Paint) -> None:
        cv2.fillPoly(self.picture, [self._points(points)], paint, cv2.LINE_8, _FIXED_POINT)

    def limb(self, start: Point, end: Point, width: float, paint: Paint, end_width: float | None = None) -> None:
        """A tapered bar."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy) or 1e-6
        nx, ny = -dy / length, dx / length
        a, b = width / 2, (width if end_width is None else end_width) / 2
        self.polygon(
            [
                (start[0] + nx * a, start[1] + ny * a),
                (start[0] - nx * a, start[1] - ny * a),
                (end[0] - nx * b, end[1] - ny * b),
                (end[0] + nx * b, end[1] + ny * b),
            ],
            paint,
        )

    def ellipse(self, centre: Point, radius_x: float, radius_y: float, paint: Paint) -> None:
        (x, y), *_ = self._points([centre])
        axes = (round(radius_x * self.unit * 2**_FIXED_POINT), round(radius_y * self.unit * 2**_FIXED_POINT))
        cv2.ellipse(self.picture, (int(x), int(y)), axes, 0, 0, 360, paint, -1, cv2.LINE_8, _FIXED_POINT)


@dataclass(frozen=True)
class Pose:
    """One frame: `phase` of the gait and `heading` in radians, 0 towards the camera."""

    phase: float
    heading: float


def paint_person(canvas: Canvas, person: Person, pose: Pose, paint: dict[str, Paint]) -> None:
    side = math.sin(pose.heading)  # -1 leftwards, 0 towards or away, 1 rightwards
    facing = math.cos(pose.heading)  # 1 towards the camera, -1 away
    narrow = 0.62 + 0.38 * abs(facing)
    shoulder, hip = person.shoulders * narrow, person.hips * narrow
    hip_y, neck_y = person.leg, 0.84
    swing = math.sin(pose.phase)
    _backpack(canvas, person, paint, side, facing, shoulder, behind=True)
    _legs(canvas, person, paint, swing, side, hip)
    arms = [(sign, sign * swing * person.arm_swing) for sign in (-1, 1)]
    _arm(canvas, person, paint, arms[0], side, facing, shoulder)
    _trunk(canvas, person, paint, shoulder, hip, hip_y, neck_y, facing)
    _arm(canvas, person, paint, arms[1], side, facing, shoulder)
    _backpack(canvas, person, paint, side, facing, shoulder, behind=False)
    _head(canvas, person, paint, side, facing, neck_y)


def _legs(c: Canvas, person: Person, paint: dict[str, Paint], swing: float, side: float, hip: float) -> None:
    hip_y, half = person.leg, person.leg / 2
    bare = person.lower in ("shorts", "skirt")
    for sign in (-1, 1):
        angle = sign * swing * person.stride * side
        lift = max(0.0, -sign * swing) * 0.05
        start = (sign * hip * 0.5, hip_y)
        knee = (start[0] + half * math.sin(angle), hip_y - half)
        foot = (knee[0] + half * math.sin(angle * 1.2), 0.02 + lift)
        width = 0.085 if person.lower == "trousers" else 0.07
        c.limb(start, knee, width * 1.15, paint["skin" if person.lower == "skirt" else "lower"], width)
        c.limb(knee, foot, width, paint["skin" if bare else "lower"], 0.8 * width)
        if person.lower == "boots":
            c.limb((knee[0], knee[1] - 0.06), foot, 1.05 * width, paint["shoes"], 0.95 * width)
        toe = 0.06 * side
        c.polygon(
            [
                (foot[0] - 0.035, foot[1] + 0.03),
                (foot[0] + 0.035, foot[1] + 0.03),
                (foot[0] + 0.04 + toe, foot[1] - 0.02),
                (foot[0] - 0.04 + min(0.0, toe), foot[1] - 0.02),
            ],
            paint["shoes"],
        )
    if person.lower in ("skirt", "long skirt"):
        hem = hip_y - (0.2 if person.lower == "skirt" else 0.36)
        flare = hip * 1.35 + 0.03
        c.polygon([(-hip, hip_y + 0.04), (hip, hip_y + 0.04), (flare, hem), (-flare, hem)], paint["lower"])


def _arm(
    c: Canvas,
    person: Person,
    paint: dict[str, Paint],
    swung: tuple[int, float],
    side: float,
    facing: float,
    shoulder: float,
) -> None:
    sign, angle = swung
    lean = angle * side + sign * 0.12 * abs(facing)
    start = (sign * (shoulder - 0.015), 0.8)
    elbow = (start[0] + 0.17 * math.sin(lean), 0.8 - 0.17 * math.cos(lean))
    hand = (elbow[0] + 0.16 * math.sin(lean * 1.3), elbow[1] - 0.16 * math.cos(lean * 1.3))
    upper = "skin" if person.upper == "vest" else "upper"
    lower = "skin" if person.upper in ("vest", "shirt") else "upper"
    c.limb(start, elbow, 0.06, paint[upper], 0.052)
    c.limb(elbow, hand, 0.052, paint[lower], 0.042)
    c.ellipse(hand, 0.022, 0.025, paint["skin"])
    if person.bag == "handbag" and sign == 1:
        c.polygon(
            [
                (hand[0] - 0.07, hand[1] - 0.03),
                (hand[0] + 0.07, hand[1] - 0.03),
                (hand[0] + 0.08, hand[1] - 0.16),
                (hand[0] - 0.08, hand[1] - 0.16),
            ],
            paint["bag"],
        )


def _trunk(
    c: Canvas,
    person: Person,
    paint: dict[str, Paint],
    shoulder: float,
    hip: float,
    hip_y: float,
    neck_y: float,
    facing: float,
) -> None:
    hem = {"jacket": hip_y - 0.06, "coat": hip_y - 0.22}.get(person.upper, hip_y)
    wide = hip * (1.3 if person.upper == "coat" else 1.1)

    def half_width(y: float) -> float:
        t = min(1.0, max(0.0, (neck_y - 0.03 - y) / (neck_y - 0.03 - hem)))
        return shoulder + (wide - shoulder) * t

    def band(low: float, high: float, colour: Paint, inset: float = 0.0) -> None:
        a, b = half_width(high) - inset, half_width(low) - inset
        c.polygon([(-a, high), (a, high), (b, low), (-b, low)], colour)

    band(hem, neck_y - 0.02, paint["upper"])
    c.limb((0.0, neck_y), (0.0, neck_y + 0.04), 0.05, paint["skin"])
    period = person.pattern_period
    if person.pattern == "stripes":
        y = hem + period / 2
        while y + period / 2 < neck_y - 0.02:
            band(y, y + period / 2, paint["pattern"])
            y += period
    elif person.pattern == "blocks":
        band((hem + neck_y) / 2, neck_y - 0.02, paint["pattern"])
    elif person.pattern == "bars":
        for x in np.arange(-shoulder + period / 2, shoulder, period):
            c.limb((float(x), neck_y - 0.03), (float(x), hem), period / 3, paint["pattern"])
    elif person.pattern == "print" and facing > 0.2:
        c.ellipse((0.0, neck_y - 0.13), shoulder * 0.5, 0.06, paint["pattern"])
    if person.open_front and facing > 0.2:
        c.polygon([(-0.035, neck_y - 0.02), (0.035, neck_y - 0.02), (0.05, hem), (-0.05, hem)], paint["inner"])
    if person.belt:
        band(hip_y + 0.02, hip_y + 0.055, paint["belt"])
    if person.bag == "shoulder bag":
        c.limb((-shoulder, neck_y - 0.03), (hip * 1.1, hip_y + 0.04), 0.025, paint["bag"])
        c.polygon(
            [(hip * 0.7, hip_y + 0.08), (hip * 1.9, hip_y + 0.08), (hip * 1.9, hip_y - 0.1), (hip * 0.7, hip_y - 0.1)],
            paint["bag"],
        )


def _backpack(
    c: Canvas, person: Person, paint: dict[str, Paint], side: float, facing: float, shoulder: float, *, behind: bool
) -> None:
    if person.bag != "backpack" or behind != (facing > 0):
        return
    centre = -side * (shoulder + 0.02)
    half = 0.05 + 0.07 * abs(facing)
    c.polygon(
        [(centre - half, 0.82), (centre + half, 0.82), (centre + half, 0.54), (centre - half, 0.54)], paint["bag"]
    )


def _head(c: Canvas, person: Person, paint: dict[str, Paint], side: float, facing: float, neck_y: float) -> None:
    radius = person.head
    centre = (side * 0.015, neck_y + 0.02 + radius)
    hair, top = paint["hair"], centre[1] + radius
    if person.hair == "hood":
        c.ellipse(centre, radius * 1.4, radius * 1.35, paint["upper"])
    if person.hair == "long":
        c.polygon(
            [
                (centre[0] - radius * 1.15, centre[1] + 0.3 * radius),
                (centre[0] + radius * 1.15, centre[1] + 0.3 * radius),
                (centre[0] + radius * 1.2, centre[1] - 2.2 * radius),
                (centre[0] - radius * 1.2, centre[1] - 2.2 * radius),
            ],
            hair,
        )
    c.ellipse(centre, radius * 0.85, radius, paint["skin"])
    covered = -facing  # the face is hidden from behind
    if person.hair in ("short", "long", "bun"):
        c.ellipse((centre[0] - side * 0.4 * radius, centre[1] + 0.45 * radius), radius * 0.95, radius * 0.65, hair)
        if covered > 0.2:
            c.ellipse(centre, radius * 0.9, radius * 0.95, hair)
    if person.hair == "bun":
        c.ellipse((centre[0] - side * radius, top), radius * 0.5, radius * 0.5, hair)
    if person.hair in ("cap", "brim"):
        c.ellipse((centre[0], centre[1] + 0.5 * radius), radius * 0.95, radius * 0.7, hair)
        brim = (-2.0, 2.0) if person.hair == "brim" else (-0.9 + 0.9 * min(side, 0), 0.9 + 0.9 * max(side, 0))
        c.polygon(
            [
                (centre[0] + brim[0] * radius, centre[1] + 0.45 * radius),
                (centre[0] + brim[1] * radius, centre[1] + 0.45 * radius),
                (centre[0] + brim[1] * radius, centre[1] + 0.15 * radius),
                (centre[0] + brim[0] * radius, centre[1] + 0.15 * radius),
            ],
            hair,
        )
