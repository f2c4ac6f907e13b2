"""How soon a person seen by one camera can be seen by another: from a table, or from where the cameras stand.

A time of the table counts first. Without one, both cameras must have a place on one plan, or on the globe: the way
between them, less what both cameras overlook, at the greatest speed. Without either nothing is known, and nothing
is called impossible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import redis

from pipeline.camera import CameraPosition
from service.gallery.store import redis_at_work

__all__ = ["Walking", "WalkingRules", "WalkingTimes", "distance_m"]

_TIMES = "tapetum:walking"  # hash: two cameras' ids in order, with | between -> seconds
_EARTH_RADIUS_M = 6_371_008.8


@dataclass(frozen=True, slots=True)
class WalkingRules:
    """What is taken for possible.

    Attributes:
        max_speed_mps: nobody gets along faster.
        view_m: a camera may see a person so far from where it stands.
        clock_slack_s: two cameras' clocks may differ by so much.
    """

    max_speed_mps: float = 8.0
    view_m: float = 25.0
    clock_slack_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Walking:
    """What is known about the ways between cameras.

    Attributes:
        positions: by camera id; cameras without one are left out.
        times_s: by pair of camera ids, each pair in order.
    """

    rules: WalkingRules = WalkingRules()
    positions: Mapping[str, CameraPosition] = field(default_factory=dict)
    times_s: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def least_s(self, camera_id: str, other_id: str) -> float | None:
        """The least time from the view of one camera to that of the other; None when it is not known."""
        if camera_id == other_id:
            return 0.0
        known = self.times_s.get(_pair(camera_id, other_id))
        if known is not None:
            return known
        here, there = self.positions.get(camera_id), self.positions.get(other_id)
        way_m = distance_m(here, there) if here is not None and there is not None else None
        return None if way_m is None else max(0.0, way_m - 2 * self.rules.view_m) / self.rules.max_speed_mps

    def impossible(self, least_s: float | None, gap_s: float) -> bool:
        """Whether `gap_s`, negative for sightings that overlap, is too short for a way that takes `least_s`."""
        return least_s is not None and least_s > 0 and gap_s + self.rules.clock_slack_s < least_s


class WalkingTimes:
    """The table in Redis. Every method raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def all(self) -> dict[tuple[str, str], float]:
        """Seconds by pair of camera ids."""
        with redis_at_work():
            found = cast("dict[bytes, bytes]", self._redis.hgetall(_TIMES))
        return {_read(pair): float(seconds) for pair, seconds in found.items()}

    def put(self, camera_id: str, other_id: str, seconds: float) -> None:
        """The same in both directions. Raises ValueError for one camera twice, or a time that is none."""
        if camera_id == other_id:
            raise ValueError("expected two cameras")
        if not 0 <= seconds <= 86_400:
            raise ValueError(f"seconds: expected 0 to 86400, got {seconds}")
        with redis_at_work():
            self._redis.hset(_TIMES, "|".join(_pair(camera_id, other_id)), repr(float(seconds)))

    def remove(self, camera_id: str, other_id: str) -> bool:
        """Whether there was one."""
        with redis_at_work():
            return bool(self._redis.hdel(_TIMES, "|".join(_pair(camera_id, other_id))))


def distance_m(here: CameraPosition, there: CameraPosition) -> float | None:
    """Metres between two positions on one plan, or on the globe (haversine); None when they share neither."""
    on_plan = _numbers(here.x_m, here.y_m, there.x_m, there.y_m)
    if on_plan is not None and here.plan == there.plan:
        return math.hypot(on_plan[0] - on_plan[2], on_plan[1] - on_plan[3])
    on_globe = _numbers(here.latitude, here.longitude, there.latitude, there.longitude)
    if on_globe is None:
        return None
    latitude, longitude, to_latitude, to_longitude = (math.radians(v) for v in on_globe)
    chord = (
        math.sin((to_latitude - latitude) / 2) ** 2
        + math.cos(latitude) * math.cos(to_latitude) * math.sin((to_longitude - longitude) / 2) ** 2
    )
    return 2 * _EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))


def _numbers(*values: float | None) -> tuple[float, ...] | None:
    known = tuple(v for v in values if v is not None)
    return known if len(known) == len(values) else None


def _pair(*cameras: str) -> tuple[str, str]:
    first, second = sorted(cameras)
    return first, second


def _read(pair: bytes) -> tuple[str, str]:
    return _pair(*pair.decode().split("|"))
