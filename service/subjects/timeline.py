"""When a subject was where: sightings by time, how long, from where to where, and what of it cannot be."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from pipeline.types import Sighting
from service.subjects.walking import Walking

__all__ = ["MAX_CONFLICTS", "CameraStay", "Conflict", "Timeline", "Transition", "conflicts_with", "timeline_of"]

MAX_CONFLICTS = 200  # told one by one; all are counted


@dataclass(frozen=True, slots=True)
class Transition:
    """From one camera's sighting to the next one of another camera.

    Attributes:
        gap_s: from the end of the one to the beginning of the other; negative when they overlap.
        least_s: that the way takes; None when it is not known.
        impossible: a person cannot have been in both.
    """

    before: Sighting
    after: Sighting
    gap_s: float
    least_s: float | None
    impossible: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two sightings that cannot be of one person, whatever lies between them."""

    first: Sighting
    second: Sighting
    gap_s: float
    least_s: float


@dataclass(frozen=True, slots=True)
class CameraStay:
    """How long a subject was before one camera; what several sightings saw at once is counted once."""

    camera_id: str
    sightings: int
    dwell_s: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """A subject's sightings, oldest first.

    Attributes:
        first_seen, last_seen: None without sightings.
        conflicts: at most `MAX_CONFLICTS` of `conflict_count`.
    """

    sightings: tuple[Sighting, ...]
    transitions: tuple[Transition, ...]
    stays: tuple[CameraStay, ...]
    conflicts: tuple[Conflict, ...]
    conflict_count: int
    first_seen: datetime | None
    last_seen: datetime | None


def timeline_of(sightings: Iterable[Sighting], walking: Walking) -> Timeline:
    """Put sightings of one subject in order and judge the ways between them."""
    ordered = tuple(sorted(sightings, key=lambda s: (s.started_at, s.ended_at, s.id)))
    conflicts, conflict_count = _conflicts(ordered, walking)
    return Timeline(
        sightings=ordered,
        transitions=tuple(
            _transition(before, after, walking)
            for before, after in pairwise(ordered)
            if before.camera_id != after.camera_id
        ),
        stays=_stays(ordered),
        conflicts=tuple(conflicts),
        conflict_count=conflict_count,
        first_seen=ordered[0].started_at if ordered else None,
        last_seen=max((s.ended_at for s in ordered), default=None),
    )


def conflicts_with(sighting: Sighting, others: Iterable[Sighting], walking: Walking) -> list[Conflict]:
    """Which of a subject's sightings another one contradicts."""
    pairs = (sorted((sighting, other), key=lambda s: s.started_at) for other in others)
    return [found for first, second in pairs if (found := _conflict(first, second, walking)) is not None]


def _conflicts(ordered: Sequence[Sighting], walking: Walking) -> tuple[list[Conflict], int]:
    """The first `MAX_CONFLICTS`, and how many there are: of the sightings of one subject that can be a million.

    A sighting excludes those that begin too soon after it: before each other camera a run of neighbours, of which only
    the end is looked for.
    """
    places: dict[str, list[int]] = {}
    for place, sighting in enumerate(ordered):
        places.setdefault(sighting.camera_id, []).append(place)
    ways = {one: [(other, walking.least_s(one, other) or 0.0) for other in places if other != one] for one in places}
    ways = {one: [(other, least_s) for other, least_s in known if least_s > 0] for one, known in ways.items()}
    passed = dict.fromkeys(places, 0)
    found, count = list[Conflict](), 0
    for first in ordered:
        passed[first.camera_id] += 1
        told = list[int]()
        for other, least_s in ways[first.camera_id]:
            after, begin = places[other], passed[other]
            end = bisect_left(
                after,
                True,
                lo=begin,
                key=lambda at: not walking.impossible(least_s, _gap_s(first, ordered[at])),
            )
            count += end - begin
            told += after[begin : min(end, begin + MAX_CONFLICTS - len(found))]
        for at in sorted(told)[: MAX_CONFLICTS - len(found)]:
            conflict = _conflict(first, ordered[at], walking)
            if conflict is not None:
                found.append(conflict)
    return found, count


def _conflict(first: Sighting, second: Sighting, walking: Walking) -> Conflict | None:
    """Whether two sightings, the one that began first before the other, exclude each other."""
    least_s = walking.least_s(first.camera_id, second.camera_id)
    gap_s = _gap_s(first, second)
    if least_s is None or not walking.impossible(least_s, gap_s):
        return None
    return Conflict(first, second, gap_s, least_s)


def _transition(before: Sighting, after: Sighting, walking: Walking) -> Transition:
    least_s = walking.least_s(before.camera_id, after.camera_id)
    gap_s = _gap_s(before, after)
    return Transition(before, after, gap_s, least_s, walking.impossible(least_s, gap_s))


def _gap_s(before: Sighting, after: Sighting) -> float:
    return (after.started_at - before.ended_at).total_seconds()


def _stays(ordered: Sequence[Sighting]) -> tuple[CameraStay, ...]:
    by_camera: dict[str, list[Sighting]] = {}
    for sighting in ordered:
        by_camera.setdefault(sighting.camera_id, []).append(sighting)
    return tuple(CameraStay(one, len(seen), _covered_s(seen)) for one, seen in sorted(by_camera.items()))


def _covered_s(ordered: Sequence[Sighting]) -> float:
    """Length of the union of their times."""
    total, until = timedelta(), None
    for sighting in ordered:
        begins = sighting.started_at if until is None else max(until, sighting.started_at)
        total += max(sighting.ended_at - begins, timedelta())
        until = sighting.ended_at if until is None else max(until, sighting.ended_at)
    return total.total_seconds()
