"""What a rendered data set holds: who is in which part, and which cameras see whom. Nothing is drawn here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["LAYOUTS", "Part", "Passage", "ReidOptions", "passages", "split"]

Layout = Literal["hitsz-vcm", "sysu-mm01"]
LAYOUTS: tuple[Layout, ...] = ("hitsz-vcm", "sysu-mm01")
Part = Literal["train", "val", "test"]

SYSU_VISIBLE, SYSU_INFRARED = (1, 2, 4, 5), (3, 6)
_MAX_IDENTITIES = 9999  # folders have four digits


@dataclass(frozen=True, slots=True)
class ReidOptions:
    """What to render.

    Attributes:
        identities: people in all.
        layout: folders and lists as of ``hitsz-vcm`` (tracklets) or ``sysu-mm01`` (pictures).
        seed: of the world; the same seed gives the same people, cameras and passages.
        visible_cameras, infrared_cameras: that training people are spread over; the test part has as many others.
        views: cameras of each kind that one person passes (``sysu-mm01`` has at most 4 visible and 2 infrared).
        frames: pictures of one passage.
        seconds: that they span.
        test_share: share of the people that are for the test.
        validation_share: share that is for validation; in ``hitsz-vcm``, whose lists know no such part, they are in
            the training part too, and a list of ours names them.
        thermal_cameras: how many of the infrared cameras, the last ones, see warmth instead of reflected light.
    """

    identities: int
    layout: Layout = "hitsz-vcm"
    seed: int = 0
    visible_cameras: int = 12
    infrared_cameras: int = 12
    views: int = 3
    frames: int = 8
    seconds: float = 2.0
    test_share: float = 0.25
    validation_share: float = 0.1
    thermal_cameras: int = 0

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, got {self.layout!r}")
        if not 2 <= self.identities <= _MAX_IDENTITIES:
            raise ValueError(f"identities: expected 2 to {_MAX_IDENTITIES}, got {self.identities}")
        for name in ("visible_cameras", "infrared_cameras", "views", "frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.views > min(self.visible_cameras, self.infrared_cameras):
            raise ValueError(
                f"views: expected at most the number of cameras of either kind "
                f"({min(self.visible_cameras, self.infrared_cameras)}), got {self.views}"
            )
        if not 0 <= self.thermal_cameras <= self.infrared_cameras:
            raise ValueError(
                f"thermal_cameras: expected 0 to the number of infrared cameras ({self.infrared_cameras}), "
                f"got {self.thermal_cameras}"
            )
        if self.seconds <= 0:
            raise ValueError(f"seconds: expected more than 0, got {self.seconds}")
        if not 0 < self.test_share < 1:
            raise ValueError(
                f"test_share: expected above 0 (a set without a test part opens nowhere) and below 1, "
                f"got {self.test_share}"
            )
        if not 0 <= self.validation_share < 1:
            raise ValueError(f"validation_share: expected 0 to 1, got {self.validation_share}")
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share: expected a sum below 1, so that somebody is left")


@dataclass(frozen=True, slots=True)
class Passage:
    """One person before one camera.

    Attributes:
        camera: number within its part and kind, for `models.synthetic.cameras.draw_camera`.
        filed_under: the camera's number in the data set's layout.
        others: people who may be near; of the same part.
    """

    camera: int
    infrared: bool
    thermal: bool
    filed_under: int
    others: tuple[int, ...]


def split(options: ReidOptions) -> dict[Part, tuple[int, ...]]:
    """People by part: a shuffle by the seed, cut; somebody is tested and somebody learned, whatever the shares."""
    order = np.random.default_rng([options.seed, 4]).permutation(options.identities) + 1
    test = min(max(round(options.identities * options.test_share), 1), options.identities - 1)
    val = min(round(options.identities * options.validation_share), options.identities - test - 1)
    people = [int(number) for number in order]
    return {
        "test": tuple(sorted(people[:test])),
        "val": tuple(sorted(people[test : test + val])),
        "train": tuple(sorted(people[test + val :])),
    }


def passages(options: ReidOptions, part: Part, number: int, members: tuple[int, ...]) -> list[Passage]:
    """Where person `number` of a part, of which `members` are all, is seen: visible cameras, then infrared ones."""
    generator = np.random.default_rng([options.seed, 5, number])
    found = []
    for infrared in (False, True):
        pool = options.infrared_cameras if infrared else options.visible_cameras
        views = options.views
        if options.layout == "sysu-mm01":
            views = min(views, len(SYSU_INFRARED if infrared else SYSU_VISIBLE))
        chosen = generator.permutation(pool)[:views] + 1
        for place, camera in enumerate(int(c) for c in chosen):
            if options.layout == "sysu-mm01":
                filed = (SYSU_INFRARED if infrared else SYSU_VISIBLE)[place]
            else:
                filed = camera + (options.visible_cameras if infrared else 0)
            rest = [member for member in generator.choice(members, 3) if member != number]
            thermal = infrared and camera > options.infrared_cameras - options.thermal_cameras
            found.append(Passage(camera, infrared, thermal, filed, tuple(int(member) for member in rest[:2])))
    return found
