"""A subject's timeline as the chart draws it: everything in fractions of its width, and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from service.dashboard import strings
from service.dashboard.wording import Clock, span
from service.subjects import Timeline, Transition

__all__ = ["chart_of", "told_transition"]

_STEPS_S = (10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 86400, 7 * 86400)
_TICKS = 8


def chart_of(timeline: Timeline, names: Mapping[str, str], clock: Clock) -> dict[str, Any]:
    """Lanes, spans, ways and ticks of a timeline with at least one sighting."""
    first, last = timeline.first_seen, timeline.last_seen
    if first is None or last is None:
        raise ValueError("expected a timeline with a sighting, got none")
    margin = max((last - first) * 0.02, timedelta(seconds=1))
    begin, length = first - margin, (last - first + 2 * margin).total_seconds()

    def place(moment: datetime) -> float:
        return round((moment - begin).total_seconds() / length, 5)

    return {
        "lanes": [{"id": stay.camera_id, "name": names.get(stay.camera_id, stay.camera_id)} for stay in timeline.stays],
        "spans": [
            {
                "id": s.id,
                "lane": s.camera_id,
                "modality": s.modality.value,
                "from": place(s.started_at),
                "to": place(s.ended_at),
                "told": f"{names.get(s.camera_id, s.camera_id)}, {clock.short(s.started_at)}",
                "picture": f"/api/v1/tracklets/{s.id}/thumbnail",
            }
            for s in timeline.sightings
        ],
        "ways": [
            {
                "a": t.before.camera_id,
                "b": t.after.camera_id,
                "from": place(t.before.ended_at),
                "to": place(t.after.started_at),
                "impossible": t.impossible,
            }
            for t in timeline.transitions
        ],
        "ticks": _ticks(begin, length, clock, place_of=place),
    }


def told_transition(way: Transition) -> str:
    """What lies between two sightings of different cameras, in words."""
    if not way.impossible:
        return strings.LATER.format(time=span(way.gap_s)) if way.gap_s >= 0 else strings.OVERLAPS
    if way.gap_s < 0:
        return strings.IMPOSSIBLE_AT_ONCE
    return strings.IMPOSSIBLE.format(time=span(way.gap_s), least=span(way.least_s or 0.0))


def _ticks(begin: datetime, length: float, clock: Clock, *, place_of: Any) -> list[dict[str, Any]]:
    step = next((s for s in _STEPS_S if length / s <= _TICKS), math.ceil(length / _TICKS / 86400) * 86400)
    local = begin.astimezone(clock.zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = midnight + timedelta(seconds=math.ceil((local - midnight).total_seconds() / step) * step)
    found = []
    while (moment - begin).total_seconds() <= length:
        text = clock.day(moment) if step >= 86400 else f"{moment:%H:%M:%S}" if step < 60 else f"{moment:%H:%M}"
        found.append({"at": place_of(moment), "text": text})
        moment += timedelta(seconds=step)
    return found
