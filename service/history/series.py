"""Where figures over time lie in Redis, and how one process brings its part of them there.

A hash per series, resolution and day holds a field per bucket and process. A process writes the whole of its own part
of a bucket again and again while it grows, so that nothing is counted twice, nobody waits for anybody, and the death
of a process costs some seconds of figures. Readers add the parts up.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.history.tally import Tally

__all__ = [
    "COARSE",
    "DAY_S",
    "FINE",
    "RESOLUTIONS",
    "SYSTEM",
    "Command",
    "Resolution",
    "SeriesRecorder",
    "history_keys",
]

DAY_S = 86_400
PREFIX = "tapetum:history:"
SYSTEM = "system"
"""The series of the whole installation; a camera's is ``camera:`` and its id."""
Command = list[str]
_MOST_WAITING = 400
"""Finished buckets of one process that wait for Redis: a day and a half of them; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Buckets of `step_s` are kept for `keep_s`, and for the rest of the day in which they began."""

    name: str
    step_s: int
    keep_s: int

    def start(self, at_s: float) -> int:
        """Of the bucket that a moment lies in, in seconds since 1970."""
        return int(at_s // self.step_s) * self.step_s

    def key(self, series: str, at_s: float) -> str:
        return f"{PREFIX}{series}:{self.name}:{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}"


FINE = Resolution("fine", 300, DAY_S)
COARSE = Resolution("coarse", 3600, 30 * DAY_S)
RESOLUTIONS = (FINE, COARSE)


def camera_series(camera_id: str) -> str:
    return f"camera:{camera_id}"


def changes_key(camera_id: str) -> str:
    """Stream: the camera's changes of state."""
    return f"{PREFIX}{camera_series(camera_id)}:changes"


def seen_key(camera_id: str) -> str:
    """String: when a worker last spoke of the camera."""
    return f"{PREFIX}{camera_series(camera_id)}:seen"


def history_keys(camera_id: str, now: datetime) -> list[str]:
    """Every key that a camera's history can have."""
    series = camera_series(camera_id)
    days = [now + timedelta(days=n) for n in range(-COARSE.keep_s // DAY_S - 2, 3)]  # clocks may differ
    buckets = [resolution.key(series, day.timestamp()) for resolution in RESOLUTIONS for day in days]
    return [changes_key(camera_id), seen_key(camera_id), *buckets]


class SeriesRecorder:
    """What one process tells of one series. It asks nobody: whoever has it sends its commands."""

    def __init__(self, series: str) -> None:
        self._series = series
        self._process = secrets.token_hex(3)
        self._under_way: dict[Resolution, tuple[int, Tally]] = {}
        self._waiting: dict[tuple[str, str], tuple[str, int]] = {}  # key, field: value, for how long

    def count(self, name: str, count: float, at_s: float) -> None:
        """Add to what happened at a moment."""
        for tally in self._tallies(at_s):
            tally.count(name, count)

    def sample(self, name: str, value: float, at_s: float) -> None:
        """Note how something stands at a moment."""
        for tally in self._tallies(at_s):
            tally.sample(name, value)

    def commands(self) -> list[Command]:
        """What Redis does not know yet: finished buckets, and those under way as far as they are."""
        for resolution in self._under_way:
            self._put_in_line(resolution)
        commands: list[Command] = []
        for (key, name), (value, keep_s) in self._waiting.items():
            commands += [["HSET", key, name, value], ["EXPIRE", key, str(keep_s)]]
        return commands

    def sent(self) -> None:
        """What `commands` gave has arrived."""
        self._waiting.clear()

    def _tallies(self, at_s: float) -> Iterator[Tally]:
        for resolution in RESOLUTIONS:
            start = resolution.start(at_s)
            under_way = self._under_way.get(resolution)
            if under_way is None or under_way[0] != start:
                if under_way is not None:
                    self._put_in_line(resolution)
                under_way = self._under_way[resolution] = start, Tally()
            yield under_way[1]

    def _put_in_line(self, resolution: Resolution) -> None:
        start, tally = self._under_way[resolution]
        name = f"{start}:{self._process}"
        # A day's key holds buckets up to its end; two days more, because a bucket at its beginning is asked for then.
        self._waiting[resolution.key(self._series, start), name] = tally.part().write(), resolution.keep_s + DAY_S
        while len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
