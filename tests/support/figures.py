"""A drawn world of people in two kinds of light, for measuring what helps and what does not.

A person is a fixed shape: proportions, hair or hat, the cuts of the clothes, a bag, a pattern. Every part has a
visible colour and an infrared reflectance that are drawn independently, so that only shape carries over from one
kind of light to the other. Many people differ from another one by a few details (look-alikes). The frames of a
tracklet differ in gait, heading, distance, light, and what stands in front, so that one frame often does not tell
two people apart and several do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.data.samples import ArrayRow, ReidDataset, Sample
from models.types import Modality

__all__ = ["HEIGHT_PX", "WIDTH_PX", "Person", "Tracklet", "draw_people", "draw_tracklet", "write_world"]

HEIGHT_PX, WIDTH_PX = 96, 48
_SCALE = 2  # drawn larger and averaged down, for smooth edges
_FIXED_POINT = 4  # fractional bits of cv2's coordinates

Picture = npt.NDArray[np.uint8]
Paint = tuple[float, float, float]
Point = tuple[float, float]

_HAIR = ("bald", "short", "long", "bun", "cap", "brim", "hood")
_UPPER = ("vest", "shirt", "sweater", "jacket", "coat")
_LOWER = ("trousers", "shorts", "skirt", "long skirt", "boots")
_BAG = ("none", "none", "backpack", "shoulder bag", "handbag")
_PATTERN = ("plain", "plain", "stripes", "blocks", "bars", "print")
_PARTS = ("skin", "hair", "upper", "inner", "pattern", "lower", "shoes", "bag", "belt")


@dataclass(frozen=True)
class Person:
    """Who somebody is: everything that does not change from frame to frame.

    Attributes:
        height: of the picture, 0.75..0.92; shoulders, hips: half widths as shares of the height.
        leg: where the hips are, as a share of the height from the ground.
        head: radius as a share of the height.
        stride, arm_swing: in radians.
        open_front, belt: details of the clothes.
        colour: visible RGB of every part, 0..1.
        reflectance: near-infrared, 0..1, drawn independently of the colour.
    """

    height: float
    shoulders: float
    hips: float
    leg: float
    head: float
    stride: float
    arm_swing: float
    hair: str
    upper: str
    lower: str
    bag: str
    pattern: str
    pattern_period: float
    open_front: bool
    belt: bool
    colour: dict[str, Paint] = field(repr=False)
    reflectance: dict[str, float] = field(repr=False)


def _colour(part: str, random: np.random.Generator) -> Paint:
    if part == "skin":
        tone = random.uniform(0.35, 0.9)
        return (tone, 0.78 * tone, 0.62 * tone)
    hue, saturation, value = random.uniform(0, 180), random.uniform(0.2, 1.0) ** 0.7, random.uniform(0.15, 0.95)
    if part in ("hair", "shoes"):
        saturation, value = 0.4 * saturation, 0.7 * value
    hsv = np.array([[[hue, 255 * saturation, 255 * value]]], np.uint8)
    red, green, blue = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0] / 255.0
    return (float(red), float(green), float(blue))


def _shape(random: np.random.Generator) -> dict[str, object]:
    return {
        "height": random.uniform(0.76, 0.92),
        "shoulders": random.uniform(0.085, 0.16),
        "hips": random.uniform(0.065, 0.135),
        "leg": random.uniform(0.4, 0.56),
        "head": random.uniform(0.05, 0.085),
        "stride": random.uniform(0.25, 0.6),
        "arm_swing": random.uniform(0.1, 0.7),
        "hair": str(random.choice(_HAIR)),
        "upper": str(random.choice(_UPPER)),
        "lower": str(random.choice(_LOWER)),
        "bag": str(random.choice(_BAG)),
        "pattern": str(random.choice(_PATTERN)),
        "pattern_period": random.uniform(0.05, 0.12),
        "open_front": bool(random.random() < 0.4),
        "belt": bool(random.random() < 0.4),
    }


def draw_people(count: int, random: np.random.Generator, look_alikes: float = 0.3) -> list[Person]:
    """`count` people; that share of them takes all but three traits of somebody drawn before."""
    people: list[Person] = []
    for _ in range(count):
        shape = _shape(random)
        paints = {part: _colour(part, random) for part in _PARTS}
        reflectance = {part: float(random.uniform(0.1, 0.9)) for part in _PARTS}
        reflectance["skin"] = float(random.uniform(0.5, 0.58))
        if people and random.random() < look_alikes:
            new = random.choice(sorted(shape), size=3, replace=False)
            model = people[int(random.integers(len(people)))]
            person = replace(model, colour=paints, reflectance=reflectance, **{str(name): shape[name] for name in new})
        else:
            person = Person(colour=paints, reflectance=reflectance, **shape)  # type: ignore[arg-type]
        people.append(person)
    return people


class _Canvas:
    """Filled shapes in units of the person's height, the origin between the feet, y up."""

    def __init__(self, picture: npt.NDArray[np.float32], foot: Point, unit_px: float) -> None:
        self.picture = picture
        self.foot = foot
        self.unit = unit_px * _SCALE

    def _points(self, points: Sequence[Point]) -> npt.NDArray[np.int32]:
        moved = np.array(
            [(self.foot[0] * _SCALE + x * self.unit, self.foot[1] * _SCALE - y * self.unit) for x, y in points]
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
class _Pose:
    """One frame: `phase` of the gait and `heading` in radians, 0 towards the camera."""

    phase: float
    heading: float


def _paint_person(canvas: _Canvas, person: Person, pose: _Pose, paint: dict[str, Paint]) -> None:
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


def _legs(c: _Canvas, person: Person, paint: dict[str, Paint], swing: float, side: float, hip: float) -> None:
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
    c: _Canvas,
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
    c: _Canvas,
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
    c: _Canvas, person: Person, paint: dict[str, Paint], side: float, facing: float, shoulder: float, *, behind: bool
) -> None:
    if person.bag != "backpack" or behind != (facing > 0):
        return
    centre = -side * (shoulder + 0.02)
    half = 0.05 + 0.07 * abs(facing)
    c.polygon(
        [(centre - half, 0.82), (centre + half, 0.82), (centre + half, 0.54), (centre - half, 0.54)], paint["bag"]
    )


def _head(c: _Canvas, person: Person, paint: dict[str, Paint], side: float, facing: float, neck_y: float) -> None:
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


@dataclass(frozen=True)
class Tracklet:
    """The frames ``uint8[N, H, W, 3]`` RGB of one person in one camera."""

    frames: Picture
    modality: Modality


def draw_tracklet(person: Person, modality: Modality, frames: int, random: np.random.Generator) -> Tracklet:
    """A walk through one camera's view: its own light, heading and distance; every frame its own accidents."""
    infrared = modality is Modality.INFRARED
    heading, turn = math.pi / 2 * random.integers(4) + random.normal(0, 0.3), random.normal(0, 0.1)
    phase, pace = random.uniform(0, 2 * math.pi), random.uniform(0.5, 0.9)
    gain = random.uniform(0.8, 1.1, 3) if not infrared else np.full(3, random.uniform(0.6, 1.2))
    paints: dict[str, Paint] = (
        {part: (value,) * 3 for part, value in person.reflectance.items()} if infrared else person.colour
    )
    out = np.empty((frames, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    for index in range(frames):
        picture = _backdrop(infrared, random)  # another one each time: a lasting one would name the tracklet
        unit = person.height * HEIGHT_PX * random.uniform(0.94, 1.05)
        foot = (WIDTH_PX * random.normal(0.5, 0.05), HEIGHT_PX * random.normal(0.955, 0.015))
        pose = _Pose(phase + pace * index, heading + turn * index + random.normal(0, 0.15))
        _paint_person(_Canvas(picture, foot, unit), person, pose, paints)
        _obstruct(picture, infrared, random)
        small = cv2.resize(picture, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
        small *= (gain * random.uniform(0.8, 1.2)).astype(np.float32)
        if random.random() < 0.2:
            small = cv2.GaussianBlur(small, (0, 0), random.uniform(0.5, 1.2))
        noise = random.standard_normal((HEIGHT_PX, WIDTH_PX, 1 if infrared else 3), np.float32)
        small += (0.03 if infrared else 0.02) * noise
        out[index] = np.clip(255 * small, 0, 255).astype(np.uint8)
    return Tracklet(out, modality)


def _backdrop(infrared: bool, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """A wall and a ground with some boxes; dark by night."""
    size = (HEIGHT_PX * _SCALE, WIDTH_PX * _SCALE)
    level = 0.3 if infrared else 1.0

    def paint() -> npt.NDArray[np.float64]:
        return level * (random.uniform(0.2, 0.7) + (0.0 if infrared else random.uniform(-0.12, 0.12, 3)) * np.ones(3))

    picture = np.empty((*size, 3), np.float32)
    horizon = int(size[0] * random.uniform(0.45, 0.85))
    picture[:horizon], picture[horizon:] = paint(), paint()
    for _ in range(int(random.integers(0, 4))):
        x, y = random.uniform(-0.2, 1.0) * size[1], random.uniform(0, 1) * size[0]
        w, h = random.uniform(0.1, 0.5) * size[1], random.uniform(0.1, 0.5) * size[0]
        cv2.rectangle(picture, (int(x), int(y)), (int(x + w), int(y + h)), paint().tolist(), -1)
    return picture


def _obstruct(picture: npt.NDArray[np.float32], infrared: bool, random: np.random.Generator) -> None:
    """In three frames of ten something stands in front: a post, a low wall, somebody's shoulder."""
    if random.random() > 0.3:
        return
    height, width = picture.shape[:2]
    paint = (
        [random.uniform(0.05, 0.6)] * 3
        if infrared
        else (random.uniform(0.15, 0.8) + random.uniform(-0.15, 0.15, 3)).tolist()
    )
    kind = random.integers(3)
    if kind == 0:
        x, w = random.uniform(0.1, 0.9) * width, random.uniform(0.1, 0.3) * width
        cv2.rectangle(picture, (int(x - w / 2), 0), (int(x + w / 2), height), paint, -1)
    elif kind == 1:
        cv2.rectangle(picture, (0, int(random.uniform(0.45, 0.8) * height)), (width, height), paint, -1)
    else:
        x = 0.0 if random.random() < 0.5 else float(width)
        centre = (int(x), int(random.uniform(0.1, 0.6) * height))
        cv2.ellipse(picture, centre, (int(0.45 * width), int(0.3 * height)), 0, 0, 360, paint, -1)


def write_world(
    folder: Path,
    *,
    seed: int,
    train: int,
    validation: int,
    test: int,
    tracklets: int = 2,
    frames: int = 8,
) -> ReidDataset:
    """Draw a data set of tracklets into one array file and return it, judged by HITSZ-VCM's protocol.

    Args:
        train, validation, test: how many people in each part; nobody is in two.
        tracklets: of each person in each kind of light, each from a camera of its own.
        frames: of a tracklet.
    """
    random = np.random.default_rng(seed)
    people = draw_people(train + validation + test, random)
    order = random.permutation(len(people))  # look-alikes fall on both sides of the split, and within each part
    rows: list[Picture] = []
    samples: list[Sample] = []
    file = folder / "figures.npy"
    for identity in order.tolist():
        for modality in Modality:
            for number in range(tracklets):
                first = len(rows) * frames
                rows.append(draw_tracklet(people[identity], modality, frames, random).frames)
                pictures = tuple(ArrayRow(file, row) for row in range(first, first + frames))
                camera = 1 + number + (tracklets if modality is Modality.INFRARED else 0)
                samples.append(Sample(pictures, identity, camera, modality))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(file, np.concatenate(rows))
    each = tracklets * len(Modality)
    cuts = (train * each, (train + validation) * each)
    tested = tuple(samples[cuts[1] :])
    return ReidDataset(
        name="figures",
        protocol="hitsz-vcm",
        train=tuple(samples[: cuts[0]]),
        validation=tuple(samples[cuts[0] : cuts[1]]),
        test=tested,
        queries=tuple(row for row, sample in enumerate(tested) if sample.modality is Modality.INFRARED),
    )
