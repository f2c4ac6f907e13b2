"""Reads figures over time, and a camera's changes of state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import redis
import structlog

from service.gallery.store import redis_at_work
from service.history.cameras import NOBODY, SILENT_S, StateChange
from service.history.series import COARSE, DAY_S, FINE, Resolution, camera_series, changes_key, seen_key
from service.history.tally import Part

__all__ = ["Bucket", "HistoryReader", "resolution_for"]

log = structlog.get_logger("tapetum.history")


@dataclass(frozen=True, slots=True)
class Bucket:
    """What happened from `start` on, for the step that was asked for."""

    start: datetime
    part: Part


def resolution_for(since: datetime, step_s: int, now: datetime) -> Resolution:
    """The finest that is still kept and of any use."""
    young = since >= now - timedelta(seconds=FINE.keep_s + FINE.step_s)
    return FINE if step_s < COARSE.step_s and young else COARSE


class HistoryReader:
    """Every method raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def cameras(
        self, camera_ids: Sequence[str], since: datetime, until: datetime, step_s: int, resolution: Resolution
    ) -> dict[str, tuple[Bucket, ...]]:
        """Buckets of several cameras, by id."""
        series = [camera_series(one) for one in camera_ids]
        found = self._read(series, since, until, step_s, resolution)
        return dict(zip(camera_ids, found, strict=True))

    def series(
        self, series: str, since: datetime, until: datetime, step_s: int, resolution: Resolution
    ) -> tuple[Bucket, ...]:
        """The buckets of one series, oldest first; those in which nothing was told are left out.

        Args:
            step_s: length of the buckets that are answered, a multiple of the resolution's.
        """
        return self._read([series], since, until, step_s, resolution)[0]

    def _read(
        self, series: Sequence[str], since: datetime, until: datetime, step_s: int, resolution: Resolution
    ) -> list[tuple[Bucket, ...]]:
        first, last = since.timestamp(), until.timestamp()
        days = range(int(first // DAY_S), int(last // DAY_S) + 1)
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in series:
                for day in days:
                    pipe.hgetall(resolution.key(one, day * DAY_S))
            replies = cast("list[dict[bytes, bytes]]", pipe.execute())
        rows = [replies[i : i + len(days)] for i in range(0, len(replies), len(days))]
        return [_buckets(one, first, last, step_s) for one in rows]

    def changes(self, camera_id: str, since: datetime, until: datetime) -> tuple[StateChange, ...]:
        """Changes of state, oldest first; before them the one that says how it was at `since`, where it is known.

        That nobody follows the camera any more is one, too, although nobody could write it.
        """
        with redis_at_work():
            stored = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrange(changes_key(camera_id)))
            seen = cast("bytes | None", self._redis.get(seen_key(camera_id)))
        found = []
        for _, fields in stored:
            try:
                found.append(StateChange.read(fields[b"change"]))
            except (ValueError, KeyError) as error:
                log.warning("change of state cannot be read", camera=camera_id, reason=str(error))
        found.sort(key=lambda change: change.at)
        silent = _silent_since(seen)
        if found and found[-1].state not in (NOBODY, "disabled") and silent is not None:
            found.append(StateChange(silent, NOBODY))
        before = [change for change in found if change.at < since][-1:]
        return (*before, *(change for change in found if since <= change.at <= until))


def _silent_since(seen: bytes | None) -> datetime | None:
    """When a worker last spoke of a camera, where that is too long ago."""
    try:
        last = datetime.fromisoformat((seen or b"").decode())
    except ValueError:
        return None
    return last if (datetime.now(UTC) - last).total_seconds() > SILENT_S else None


def _buckets(days: Sequence[dict[bytes, bytes]], first: float, last: float, step_s: int) -> tuple[Bucket, ...]:
    parts: dict[int, list[Part]] = {}
    for fields in days:
        for name, text in sorted(fields.items()):
            try:
                start, part = int(name.partition(b":")[0]), Part.read(text)
            except ValueError as error:
                log.warning("part of a history cannot be read", field=name, reason=str(error))
                continue
            begin = start // step_s * step_s
            if first <= start and start <= last:
                parts.setdefault(begin, []).append(part)
    return tuple(Bucket(datetime.fromtimestamp(at, UTC), Part.of_all(parts[at])) for at in sorted(parts))
