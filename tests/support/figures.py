"""A drawn world of people in two kinds of light, for measuring what helps and what does not.

A person is a fixed shape: proportions, hair or hat, the cuts of the clothes, a bag, a pattern. Every part has a
visible colour and an infrared reflectance that are drawn independently, so that only shape carries over from one
kind of light to the other. Many people differ from another one by a few details (look-alikes). The frames of a
tracklet differ in gait, heading, distance, light, and what stands in front, so that one frame often does not tell
two people apart and several do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.data.samples import ArrayRow, ReidDataset, Sample
from models.types import Modality
from tests.support.figure_drawing import SCALE, Canvas, Paint, Pose, paint_person

__all__ = ["HEIGHT_PX", "WIDTH_PX", "Person", "draw_people", "draw_tracklet", "write_world"]

HEIGHT_PX, WIDTH_PX = 96, 48

Picture = npt.NDArray[np.uint8]

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


def draw_tracklet(person: Person, modality: Modality, frames: int, random: np.random.Generator) -> Picture:
    """A walk through one camera's view: its own light and heading; every frame its own accidents.

    Returns:
        ``uint8[frames, HEIGHT_PX, WIDTH_PX, 3]``, RGB; the channels of infrared pictures are equal.
    """
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
        pose = Pose(phase + pace * index, heading + turn * index + random.normal(0, 0.15))
        paint_person(Canvas(picture, foot, unit), person, pose, paints)
        _obstruct(picture, infrared, random)
        small = cv2.resize(picture, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
        small *= (gain * random.uniform(0.8, 1.2)).astype(np.float32)
        if random.random() < 0.2:
            small = cv2.GaussianBlur(small, (0, 0), random.uniform(0.5, 1.2))
        noise = random.standard_normal((HEIGHT_PX, WIDTH_PX, 1 if infrared else 3), np.float32)
        small += (0.03 if infrared else 0.02) * noise
        out[index] = np.clip(255 * small, 0, 255).astype(np.uint8)
    return out


def _backdrop(infrared: bool, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """A wall and a ground with some boxes; dark by night."""
    size = (HEIGHT_PX * SCALE, WIDTH_PX * SCALE)
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
                rows.append(draw_tracklet(people[identity], modality, frames, random))
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
