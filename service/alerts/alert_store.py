"""Alerts in Redis: raised once, in one order for all readers, and by camera, so that a scope reads only its own."""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, cast

import redis
import structlog

from service.alerts import keys
from service.alerts.alert import Alert, Draft
from service.alerts.entry_store import server_time
from service.gallery import keys as gallery_keys
from service.gallery.records import RecordError, from_microseconds, to_microseconds
from service.gallery.store import redis_at_work

__all__ = ["POSITION", "AlertPage", "AlertStore", "Outcome"]

log = structlog.get_logger("tapetum.alerts")

CONTINUES_S = 5.0  # a track that goes on within this is still the same sighting; a gap of four ends a tracklet
_SIGHTING_KEPT_S = 3600
_BATCH = 200
_BEGINNING = "0-0"
MAX_LOOKED_AT = 5000  # alerts for one page; a page may be short, its cursor goes on
POSITION = re.compile(r"[0-9]{1,15}-[0-9]{1,10}")

# KEYS: alert, stream, the camera's stream, sighting, the tracklet's record, entry, the tracklet's alerts, the example's
# alerts, webhooks, then the queues of webhooks. ARGV: id, entry's revision, camera, tracklet, alert, started and ended
# (microseconds), within how many microseconds a sighting goes on, seconds to remember it, the example's tracklet or
# nothing, then the ids of the webhooks.
# Returns the outcome, and where it was raised its position and time.
_RAISE = """#!lua
if redis.call('EXISTS', KEYS[5]) == 0 then return {'gone'} end
local revision = redis.call('HGET', KEYS[6], 'revision')
if not revision then return {'gone'} end
if revision ~= ARGV[2] then return {'outdated'} end
local started, ended = tonumber(ARGV[6]), tonumber(ARGV[7])
local known = redis.call('EXISTS', KEYS[1]) == 1
local before = tonumber(redis.call('GET', KEYS[4]) or '')
if before and math.abs(started - before) <= 600e6 then
  if started - before <= tonumber(ARGV[8]) then known = true end
  ended = math.max(ended, before)
end
redis.call('SET', KEYS[4], string.format('%.0f', ended), 'EX', ARGV[9])
if known then return {'known'} end
local time = redis.call('TIME')
local position = redis.call('XADD', KEYS[2], '*', 'id', ARGV[1], 'camera', ARGV[3])
redis.call('XADD', KEYS[3], position, 'id', ARGV[1])
redis.call('HSET', KEYS[1], 'alert', ARGV[5], 'position', position, 'camera', ARGV[3], 'tracklet', ARGV[4],
  'example', ARGV[10], 'alerted', time[1] .. string.format('%06d', time[2]))
redis.call('SADD', KEYS[7], ARGV[1])
if ARGV[10] ~= '' then redis.call('SADD', KEYS[8], ARGV[1]) end
for i = 10, #KEYS do
  if redis.call('HEXISTS', KEYS[9], ARGV[i + 1]) == 1 then redis.call('ZADD', KEYS[i], 'NX', 0, ARGV[1]) end
end
return {'raised', position, time[1] .. string.format('%06d', time[2])}
"""

# KEYS: alert, stream. ARGV: id. Whatever of the alert is there goes.
_REMOVE = """#!lua
local stored = redis.call('HMGET', KEYS[1], 'position', 'camera', 'tracklet', 'example')
if redis.call('DEL', KEYS[1]) == 0 then return 0 end
if stored[1] then redis.call('XDEL', KEYS[2], stored[1]) end
if stored[1] and stored[2] then redis.call('XDEL', KEYS[2] .. ':of:' .. stored[2], stored[1]) end
if stored[3] then redis.call('SREM', KEYS[2] .. ':tracklet:' .. stored[3], ARGV[1]) end
if stored[4] then redis.call('SREM', KEYS[2] .. ':example:' .. stored[4], ARGV[1]) end
return 1
"""

# KEYS: alert. ARGV: the alert without its example.
_BLANK = """#!lua
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'alert', ARGV[1], 'example', '') end
"""

# KEYS: alert. ARGV: the acknowledgement. Returns whether there is such an alert; who was first stays.
_ACKNOWLEDGE = """#!lua
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSETNX', KEYS[1], 'acknowledged', ARGV[1])
return 1
"""


class Outcome(StrEnum):
    RAISED = "raised"
    KNOWN = "known"  # there is an alert about this sighting
    GONE = "gone"  # the tracklet or the entry was removed meanwhile
    OUTDATED = "outdated"  # the entry was changed meanwhile: look again


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Some alerts, newest first, and the cursor of the next page; None at the end."""

    alerts: tuple[Alert, ...]
    cursor: str | None


class AlertStore:
    """The alerts. Every method raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._raise = client.register_script(_RAISE)
        self._remove = client.register_script(_REMOVE)
        self._blank = client.register_script(_BLANK)
        self._acknowledge = client.register_script(_ACKNOWLEDGE)

    # -- raising and removing ----------------------------------------------------------------------

    def raise_alert(self, draft: Draft, webhooks: Sequence[str] = ()) -> tuple[Outcome, float | None]:
        """Raise it unless the sighting is known, and queue it for webhooks in the same step.

        Returns:
            What became of it, and the seconds from indexed to alert where it was raised.
        """
        names = [
            keys.ALERT + draft.id,
            keys.ALERTS,
            keys.alerts_of(draft.camera_id),
            keys.sighting(draft.entry_id, draft.camera_id, draft.track_id),
            gallery_keys.record(draft.tracklet_id),
            keys.ENTRY + draft.entry_id,
            keys.ABOUT + draft.tracklet_id,
            keys.RESEMBLES + (draft.example.tracklet_id or ""),
            keys.WEBHOOKS,
            *(keys.DUE + one for one in webhooks),
        ]
        started, ended = to_microseconds(draft.started_at), to_microseconds(draft.captured_at)
        arguments: list[Any] = [draft.id, draft.entry_revision, draft.camera_id, draft.tracklet_id, draft.to_json()]
        arguments += [started, ended, int(CONTINUES_S * 1e6), _SIGHTING_KEPT_S, draft.example.tracklet_id or ""]
        arguments += webhooks
        with redis_at_work():
            said = cast("list[bytes]", self._raise(names, arguments))
        outcome = Outcome(said[0].decode())
        if outcome is not Outcome.RAISED:
            return outcome, None
        return outcome, (from_microseconds(int(said[2])) - draft.indexed_at).total_seconds()

    def remove(self, ids: Iterable[str]) -> int:
        """Returns how many there were."""
        with redis_at_work():
            return sum(bool(self._remove([keys.ALERT + one, keys.ALERTS], [one])) for one in ids)

    def keep_newest(self, count: int) -> int:
        """Remove the oldest, so that no entry that matches everybody fills the server. Returns how many went."""
        removed = 0
        while True:
            with redis_at_work():
                over = self._redis.xlen(keys.ALERTS) - count
                if over <= 0:
                    return removed
                oldest = _entries(self._redis.xrange(keys.ALERTS, count=min(over, _BATCH)))
                removed += self.remove(one for _, one in oldest)
                # Also what has no alert any more, which would otherwise be found again and again.
                self._redis.xdel(keys.ALERTS, *(position for position, _ in oldest))

    # -- what an erasure must reach ----------------------------------------------------------------

    @property
    def name(self) -> str:
        return "alerts"

    def erase(self, ids: Sequence[str]) -> int:
        """Remove the alerts about these sightings, and take them as examples out of others."""
        removed = self.remove(self._indexed(keys.ABOUT, ids))
        shown = self._indexed(keys.RESEMBLES, ids)
        readable = self.get_many(shown)
        for one, alert in readable.items():
            with redis_at_work():
                self._blank([keys.ALERT + one], [alert.without_example().to_json()])
        self.remove(one for one in shown if one not in readable)
        with redis_at_work():
            self._redis.delete(*(key + one for key in (keys.ABOUT, keys.RESEMBLES) for one in ids))
        return removed + len(shown)

    def holds(self, ids: Sequence[str]) -> int:
        return len(self._indexed(keys.ABOUT, ids)) + len(self._indexed(keys.RESEMBLES, ids))

    def _indexed(self, key: str, ids: Sequence[str]) -> list[str]:
        """Ids of the alerts that a set names for these sightings."""
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.smembers(key + one)
            return sorted(found.decode() for members in pipe.execute() for found in members)

    # -- reading -----------------------------------------------------------------------------------

    def get(self, one: str) -> Alert | None:
        return self.get_many([one]).get(one)

    def get_many(self, ids: Sequence[str]) -> dict[str, Alert]:
        """The alerts by id; what is missing or cannot be read is left out."""
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hgetall(keys.ALERT + one)
            replies = pipe.execute()
        return {one: alert for one, stored in zip(ids, replies, strict=True) if (alert := read_alert(stored))}

    def page(
        self,
        cameras: frozenset[str] | None,
        *,
        limit: int,
        cursor: str | None = None,
        entry_id: str | None = None,
        acknowledged: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AlertPage:
        """One page of the alerts of some cameras, newest first; a page may be short and still have a next one.

        Args:
            cameras: None for all.
            since, until: when they were raised, to the millisecond, both inclusive.

        Raises:
            ValueError: a cursor that is none.
        """
        if cursor is not None and not POSITION.fullmatch(cursor):
            raise ValueError("cursor: expected one that an earlier page returned")
        if cursor == _BEGINNING:  # nothing is before it, and Redis takes no such end
            return AlertPage((), None)
        top = "+" if until is None else str(_milliseconds(until))
        if cursor is not None and (until is None or int(cursor.partition("-")[0]) <= _milliseconds(until)):
            top = f"({cursor}"
        positions = self._newest_first(cameras, top, "-" if since is None else str(_milliseconds(since)))
        found: list[Alert] = []
        looked_at = 0
        while looked_at < MAX_LOOKED_AT:
            chunk = list(islice(positions, _BATCH))
            alerts = self.get_many([one for _, _, one in chunk])
            for _, position, one in chunk:
                cursor, looked_at = position, looked_at + 1
                alert = alerts.get(one)
                if alert is None or (entry_id is not None and alert.entry_id != entry_id):
                    continue
                if acknowledged is None or acknowledged is (alert.acknowledged is not None):
                    found.append(alert)
                if len(found) == limit:
                    return AlertPage(tuple(found), cursor)
            if len(chunk) < _BATCH:
                return AlertPage(tuple(found), None)
        return AlertPage(tuple(found), cursor)

    def last(self) -> str:
        """The position of the newest alert; everything after it is to come."""
        with redis_at_work():
            newest = _entries(self._redis.xrevrange(keys.ALERTS, count=1))
        return newest[0][0] if newest else _BEGINNING

    def after(self, position: str, cameras: frozenset[str] | None, limit: int) -> tuple[list[Alert], str]:
        """The alerts of some cameras raised after a position, oldest first, and the position to go on from.

        Fewer than `limit` were looked at when the position is the newest one's.
        """
        with redis_at_work():
            reply = cast("Any", self._redis.xrange(keys.ALERTS, f"({position}", "+", count=limit))
        wanted = [
            fields[b"id"].decode()
            for _, fields in reply
            if cameras is None or fields.get(b"camera", b"").decode() in cameras
        ]
        found = self.get_many(wanted)
        return [found[one] for one in wanted if one in found], reply[-1][0].decode() if reply else position

    def _newest_first(
        self, cameras: frozenset[str] | None, top: str, bottom: str
    ) -> Iterator[tuple[tuple[int, int], str, str]]:
        """Order, position and id between two ends, as Redis writes them."""
        streams = [keys.ALERTS] if cameras is None else [keys.alerts_of(one) for one in sorted(cameras)]
        return heapq.merge(*(self._walk(one, top, bottom) for one in streams), reverse=True)

    def _walk(self, stream: str, top: str, bottom: str) -> Iterator[tuple[tuple[int, int], str, str]]:
        while True:
            with redis_at_work():
                found = _entries(self._redis.xrevrange(stream, top, bottom, count=_BATCH))
            for position, one in found:
                milliseconds, _, sequence = position.partition("-")
                yield (int(milliseconds), int(sequence)), position, one
            if len(found) < _BATCH:
                return
            top = f"({found[-1][0]}"

    # -- acknowledging -----------------------------------------------------------------------------

    def acknowledge(self, one: str, account: str, note: str | None) -> Alert | None:
        """Take note of an alert; who was first stays. Returns it as it is now, None when it is gone."""
        value = json.dumps({"account": account, "at": server_time(self._redis).isoformat(), "note": note})
        with redis_at_work():
            there = self._acknowledge([keys.ALERT + one], [value])
        return self.get(one) if there else None


def read_alert(stored: dict[bytes, bytes]) -> Alert | None:
    """An alert as it is stored, None for nothing or for what cannot be understood."""
    if not stored:
        return None
    try:
        return Alert.from_hash(stored)
    except RecordError as error:
        log.error("alert is left out", reason=str(error)[:200])
        return None


def _milliseconds(moment: datetime) -> int:
    return max(0, to_microseconds(moment) // 1000)


def _entries(reply: Any) -> list[tuple[str, str]]:
    """Positions and alert ids."""
    return [(position.decode(), fields.get(b"id", b"").decode()) for position, fields in reply]
