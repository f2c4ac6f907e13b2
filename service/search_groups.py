"""Matches gathered by camera, or by stretches of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.search import Match

__all__ = ["MatchGroup", "by_camera", "by_time"]


@dataclass(frozen=True, slots=True)
class MatchGroup:
    """At least one match, best first.

    Attributes:
        camera_id: of all of them; None for a group of a time.
        since, until: from the first's begin to the last's end.
    """

    camera_id: str | None
    since: datetime
    until: datetime
    matches: tuple[Match, ...]


def by_camera(matches: Sequence[Match]) -> list[MatchGroup]:
    """One group a camera, the one with the best match first."""
    cameras: dict[str, list[Match]] = {}
    for match in sorted(matches, key=lambda m: m.rank):
        cameras.setdefault(match.record.camera_id, []).append(match)
    return [_group(camera, found) for camera, found in cameras.items()]


def by_time(matches: Sequence[Match], gap: timedelta) -> list[MatchGroup]:
    """Stretches of time, newest first: where nobody is seen for longer than the gap, another begins."""
    groups: list[list[Match]] = []
    until: datetime | None = None
    for match in sorted(matches, key=lambda m: (m.record.started_at, m.record.id)):
        if until is None or match.record.started_at - until > gap:
            groups.append([])
            until = match.record.ended_at
        groups[-1].append(match)
        until = max(until, match.record.ended_at)
    return [_group(None, found) for found in reversed(groups)]


def _group(camera_id: str | None, matches: Iterable[Match]) -> MatchGroup:
    ordered = tuple(sorted(matches, key=lambda m: m.rank))
    records = [match.record for match in ordered]
    return MatchGroup(camera_id, min(r.started_at for r in records), max(r.ended_at for r in records), ordered)
