"""Who walks past which camera and when, in a world that is filmed instead of cut into crops. Nothing is drawn here.

The day's cameras share a clock, the night's another: everybody passes them one after the other, leaves one and enters
the next some seconds later. People keep to the right, as they do, so that those who meet pass each other (who overtakes
may walk through somebody); some stand still for a while, some walk side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["RAMP_S", "ClipCamera", "ClipOptions", "Visit", "plan_cameras", "plan_visits"]

RAMP_S = 0.5
"""To come to a stand, and to walk again."""
_TRAVEL_S = (3.0, 9.0)
"""From one camera to the next."""
_BEFORE_S = 6.0
"""Some are in the picture when it begins."""


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """What to film.

    Attributes:
        people: how many, from `first_person` on.
        visible, infrared, switching: cameras in colour, in infrared, and of those that change over half way.
        seconds, fps: of each video.
        height_px: of the picture, which is 16:9.
        seed: of the world.
        part: of the world, as `models.synthetic.cameras.draw_camera` takes it; another one has other cameras.
        first_person: of the world's people.
    """

    people: int = 20
    visible: int = 2
    infrared: int = 2
    switching: int = 1
    seconds: float = 60.0
    fps: int = 8
    height_px: int = 540
    seed: int = 0
    part: str = "clips"
    first_person: int = 1

    def __post_init__(self) -> None:
        for name, least in (("people", 1), ("visible", 0), ("infrared", 0), ("switching", 0), ("fps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected {least} or more, got {getattr(self, name)}")
        if not self.visible + self.infrared + self.switching:
            raise ValueError("expected at least one camera")
        if not 1 <= self.seconds <= 3600:
            raise ValueError(f"seconds: expected 1 to 3600, got {self.seconds}")
        if not 64 <= self.height_px <= 2160 or self.height_px % 2:
            raise ValueError(f"height_px: expected an even number from 64 to 2160, got {self.height_px}")
        if not (self.part.isascii() and self.part.isalnum()):
            raise ValueError(f"part: expected letters and digits, got {self.part!r}")

    @property
    def width_px(self) -> int:
        return round(self.height_px * 16 / 9 / 2) * 2

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)


@dataclass(frozen=True, slots=True)
class ClipCamera:
    """A camera of the plan.

    Attributes:
        kind: ``visible``, ``infrared`` or ``switching``.
        number: of `models.synthetic.cameras.draw_camera`.
    """

    id: str
    kind: str
    number: int


@dataclass(frozen=True, slots=True)
class Visit:
    """One person passes one camera.

    Attributes:
        begins_s: when the walk begins, at the near or the far end; it may be before the video does.
        away: from the camera.
        lane: where on the walkway, -1 to 1; negative on the left of who walks away from the camera.
        sway_m, sway_s, phase: the path swings to and fro.
        pauses_at, pauses_s: share of the way where they stand, and how long.
        beside: the person whose walk this one keeps up with, half a metre to the side; else their own pace.
    """

    person: int
    begins_s: float
    away: bool
    lane: float
    sway_m: float
    sway_s: float
    phase: float
    pauses_at: float
    pauses_s: float
    beside: int | None = None


def plan_cameras(options: ClipOptions) -> list[ClipCamera]:
    """The cameras, in order."""
    names = {"visible": "day", "infrared": "night", "switching": "dusk"}
    found = []
    for kind, count in (("visible", options.visible), ("infrared", options.infrared), ("switching", options.switching)):
        for number in range(1, count + 1):
            # A camera that switches is one of the colour cameras' kind, beyond those.
            own = number + (options.visible if kind == "switching" else 0)
            found.append(ClipCamera(f"{names[kind]}-{number}", kind, own))
    return found


def plan_visits(options: ClipOptions, way_m: Sequence[float], speed_m_s: Mapping[int, float]) -> list[list[Visit]]:
    """The visits to each camera of `plan_cameras`, by when they begin; nobody is at two places at once.

    Args:
        way_m: how long the way past each camera is.
        speed_m_s: of everybody, by number.
    """
    cameras = plan_cameras(options)
    if len(way_m) != len(cameras):
        raise ValueError(f"way_m: expected {len(cameras)} lengths, got {len(way_m)}")
    generator = np.random.default_rng([options.seed, 7, *options.part.encode(), options.first_person, options.people])
    visits: list[list[Visit]] = [[] for _ in cameras]

    def lasts_s(camera: int, visit: Visit) -> float:
        speed = speed_m_s[visit.person if visit.beside is None else visit.beside]
        return way_m[camera] / speed + visit.pauses_s + 2 * RAMP_S

    for kind in ("visible", "infrared", "switching"):
        clock = [i for i, camera in enumerate(cameras) if camera.kind == kind]
        for person in range(options.first_person, options.first_person + options.people):
            order = [int(i) for i in generator.permutation(clock)] * (2 if kind == "switching" else 1)
            own = [_visit(generator, person, 0.0) for _ in order]
            needed = sum(lasts_s(camera, visit) for camera, visit in zip(order, own, strict=True))
            gaps = generator.uniform(*_TRAVEL_S, size=len(order))
            # Whoever cannot be in time for all is late for the last.
            spare = max(options.seconds - needed - float(gaps[:-1].sum()), 0.0)
            moment = float(generator.uniform(-_BEFORE_S, spare))
            for camera, visit, gap in zip(order, own, gaps, strict=True):
                visits[camera].append(replace(visit, begins_s=moment))
                moment += lasts_s(camera, visit) + float(gap) + (spare / 3 if kind == "switching" else 0.0)
        for camera in clock:
            others = [(there, visit) for there in clock for visit in visits[there]]
            visits[camera] = _in_company(generator, camera, visits[camera], others, lasts_s)
    return visits


def _visit(generator: np.random.Generator, person: int, begins_s: float) -> Visit:
    away = bool(generator.random() < 0.5)
    stands = generator.random() < 0.15
    return Visit(
        person,
        begins_s,
        away,
        lane=float(generator.uniform(0.15, 1.0)) * (1 if away else -1),
        sway_m=float(generator.uniform(0.05, 0.3)),
        sway_s=float(generator.uniform(5, 11)),
        phase=float(generator.random()),
        pauses_at=float(generator.uniform(0.25, 0.6)),
        pauses_s=float(generator.uniform(1.5, 4.0)) if stands else 0.0,
    )


def _in_company(
    generator: np.random.Generator,
    camera: int,
    visits: Sequence[Visit],
    others: Sequence[tuple[int, Visit]],
    lasts_s: Callable[[int, Visit], float],
) -> list[Visit]:
    """Now and then somebody joins the one before, if they were to come soon after and are nowhere else meanwhile.

    Args:
        others: all visits of this clock by camera.
    """
    found: list[Visit] = []
    for visit in sorted(visits, key=lambda one: one.begins_s):
        leader = found[-1] if found else None
        if (
            leader is not None
            and leader.beside is None
            and leader.person != visit.person
            and visit.begins_s - leader.begins_s < 4
            and generator.random() < 0.35
        ):
            joined = replace(leader, person=visit.person, phase=visit.phase, beside=leader.person)
            ends_s = joined.begins_s + lasts_s(camera, joined)
            elsewhere = [
                (one.begins_s, one.begins_s + lasts_s(there, one))
                for there, one in others
                if one.person == visit.person and one != visit
            ]
            if all(ends_s + 1 < begin or end + 1 < joined.begins_s for begin, end in elsewhere):
                visit = joined
        found.append(visit)
    return found
