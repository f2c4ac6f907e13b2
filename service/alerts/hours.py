"""Hours of the day in a time zone; they may wrap midnight."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

__all__ = ["Hours"]


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start` until before `end` by the clocks of a zone, every day; 22:00 to 06:00 is a night.

    Raises:
        ValueError: no such zone, or hours that are none or all day.
    """

    start: time
    end: time
    zone: str

    def __post_init__(self) -> None:
        if self.zone not in _zones():
            raise ValueError(f"zone: expected one like Europe/Berlin, got {self.zone[:60]!r}")
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            raise ValueError("start, end: expected times of the day without an offset; zone says what they mean")
        if self.start == self.end:
            raise ValueError("start, end: expected two different times; leave the hours out for the whole day")

    def touch(self, since: datetime, until: datetime) -> bool:
        """Whether a stretch of time, aware and both ends inclusive, has a moment within the hours."""
        begin = since.astimezone(ZoneInfo(self.zone))
        if self._holds(begin.time()) or self._holds(until.astimezone(begin.tzinfo).time()):
            return True
        opening = datetime.combine(begin.date(), self.start, begin.tzinfo)
        if opening < begin:
            opening = datetime.combine(begin.date() + timedelta(days=1), self.start, begin.tzinfo)
        return opening <= until

    def _holds(self, moment: time) -> bool:
        if self.start < self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end

    def to_dict(self) -> dict[str, Any]:
        return {"start": self.start.isoformat(), "end": self.end.isoformat(), "zone": self.zone}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Hours:
        return cls(time.fromisoformat(values["start"]), time.fromisoformat(values["end"]), values["zone"])


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
