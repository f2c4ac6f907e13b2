"""Tracklets in Redis: written once per revision, read newest first."""

from __future__ import annotations

import base64
import binascii
import heapq
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import cast

import redis
import structlog
from redis import exceptions

from models.types import Modality
from pipeline.sealing import PLAIN, Sealer
from pipeline.types import Sighting
from service.gallery import keys, scripts
from service.gallery.records import (
    NO_FOOTAGE,
    TRACKLET_ID,
    GalleryFilter,
    RecordError,
    TrackletRecord,
    to_microseconds,
)

__all__ = ["Gallery", "GalleryUnavailable", "Page", "PutResult", "redis_at_work"]

log = structlog.get_logger("tapetum.gallery")

CHANGES_KEPT = 100_000
ERASURE_REMEMBERED_S = 30 * 24 * 3600
UNFILMED_REMEMBERED = timedelta(days=366)
MAX_PAGE = 1000
_CURSOR = re.compile(r"(-?\d{1,18})\.([0-9A-Z]{26})")
_CHUNK = 256
# What the server says when it, and not our request, is the reason: redis-py knows some by type, others by word.
_TRANSIENT_TYPES = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,
    redis.OutOfMemoryError,
    exceptions.ClusterDownError,
    exceptions.NoPermissionError,
    exceptions.NoScriptError,
    exceptions.TryAgainError,
)
_TRANSIENT_WORDS = re.compile(r"(MISCONF|NOREPLICAS|BUSY|UNKILLABLE|NOAUTH|WRONGPASS|OOM|READONLY)\b")
Arguments = list[bytes | str | int]
Position = tuple[int, str]  # start in microseconds, id


class GalleryUnavailable(RuntimeError):  # noqa: N818 - a state of the world, as callers see it
    """Redis cannot serve now: away, starting, out of memory, read-only. Nothing was half done; try again."""


class PutResult(StrEnum):
    STORED = "stored"
    STALE = "stale"  # this revision or a later one is there already
    ERASED = "erased"  # the tracklet was erased and does not come back
    REJECTED = "rejected"  # Redis holds something else under this id


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, newest first, and the cursor of the next page; None at the end."""

    records: tuple[TrackletRecord, ...]
    cursor: str | None


@contextmanager
def redis_at_work() -> Iterator[None]:
    """Turn every passing trouble of the server into GalleryUnavailable."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        if isinstance(error, OSError) or is_transient(error):
            raise GalleryUnavailable(f"Redis cannot serve: {error}") from error
        raise


def is_transient(error: Exception) -> bool:
    return isinstance(error, _TRANSIENT_TYPES) or bool(_TRANSIENT_WORDS.match(str(error)))


class Gallery:
    """The tracklets in Redis. Every method raises GalleryUnavailable when Redis cannot serve.

    Attributes:
        model_hash: whose vectors are read where a record has two; None for the one that a worker wrote last.
    """

    def __init__(self, client: redis.Redis, sealer: Sealer = PLAIN, model_hash: str | None = None):
        self._redis = client
        self._sealer = sealer
        self.model_hash = model_hash
        self._put = client.register_script(scripts.PUT)
        self._delete = client.register_script(scripts.DELETE)
        self._drop_footage = client.register_script(scripts.DROP_FOOTAGE)
        self.poison_seen = 0

    def run_id(self) -> str:
        """Changes whenever the server was started again or another one answers."""
        with redis_at_work():
            return str(self._redis.info("server")["run_id"])

    # -- writing ---------------------------------------------------------------------------------

    def put(self, record: TrackletRecord) -> PutResult:
        """Write one revision; an older or equal one changes nothing."""
        return self.put_many([record])[0]

    def put_many(self, records: Sequence[TrackletRecord]) -> tuple[PutResult, ...]:
        """Write in one round trip. A record that is rejected does not keep the others from being written."""
        if not records:
            return ()
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for record in records:
                started, ended = to_microseconds(record.started_at), to_microseconds(record.ended_at)
                names = [
                    keys.record(record.id),
                    keys.ALL,
                    keys.facet(record.camera_id, record.modality),
                    keys.CAMERAS,
                    keys.LONGEST,
                    keys.ERASED,
                    keys.CHANGES,
                ]
                fields: Arguments = [part for item in record.to_hash(self._sealer).items() for part in item]
                head: Arguments = [record.id, record.revision, started, ended - started]
                self._put(names, [*head, record.camera_id, str(record.modality), CHANGES_KEPT, *fields], client=pipe)
            replies = pipe.execute(raise_on_error=False)
            return tuple(self._result(record, reply) for record, reply in zip(records, replies, strict=True))

    def _result(self, record: TrackletRecord, reply: object) -> PutResult:
        if isinstance(reply, Exception):
            if not isinstance(reply, redis.ResponseError) or is_transient(reply):
                raise reply
            log.error("tracklet rejected by Redis", tracklet=record.id, reason=str(reply)[:200])
            return PutResult.REJECTED
        if reply == 3:
            log.error("tracklet would change its camera or modality", tracklet=record.id)
        return (PutResult.STORED, PutResult.STALE, PutResult.ERASED, PutResult.REJECTED)[int(str(reply))]

    def delete(self, ids: Sequence[str]) -> int:
        """Erase records; a late delivery does not bring them back. Returns how many there were.

        Those under legal hold stay, and are not counted.
        """
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in ids:
                names = [keys.record(one), keys.ALL, keys.ERASED, keys.CHANGES, keys.HOLDS]
                self._delete(names, [one, CHANGES_KEPT, ERASURE_REMEMBERED_S], client=pipe)
            return sum(reply == 1 for reply in pipe.execute())

    def drop_footage(self, ids: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Have records show no scene and no clip any more; their files stay.

        Returns:
            Those that did show one, and those that are under legal hold and still do.
        """
        if not ids:
            return frozenset(), frozenset()
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in ids:
                self._drop_footage([keys.record(one), keys.HOLDS], [one, NO_FOOTAGE], client=pipe)
            replies = dict(zip(ids, pipe.execute(), strict=True))
        return (
            frozenset(one for one, reply in replies.items() if reply == 1),
            frozenset(one for one, reply in replies.items() if reply == -1),
        )

    def remember_unfilmed(self, spans: Sequence[tuple[str, datetime, datetime]]) -> None:
        """From when to when cameras saw somebody who is erased: of that time no other sighting may keep footage."""
        old = to_microseconds(datetime.now(UTC) - UNFILMED_REMEMBERED)
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for camera, since, until in spans:
                begins, ends = to_microseconds(since), to_microseconds(until)
                pipe.zadd(keys.unfilmed(camera), {f"{begins},{ends}": ends})
                pipe.zremrangebyscore(keys.unfilmed(camera), "-inf", old)
                pipe.expire(keys.unfilmed(camera), UNFILMED_REMEMBERED)
            pipe.execute()

    def unfilmed(self, sighting: Sighting) -> bool:
        """Whether a sighting overlaps such a time of its camera."""
        name, ends = keys.unfilmed(sighting.camera_id), to_microseconds(sighting.ended_at)
        with redis_at_work():
            reply = self._redis.zrangebyscore(name, to_microseconds(sighting.started_at), "+inf")
        return any(int(member.partition(b",")[0]) <= ends for member in cast("Sequence[bytes]", reply))

    def erased(self, ids: Sequence[str]) -> frozenset[str]:
        """Those of them whose erasure is remembered, so that a late delivery is refused."""
        if not ids:
            return frozenset()
        with redis_at_work():
            scores = self._redis.zmscore(keys.ERASED, list(ids))
        return frozenset(one for one, score in zip(ids, scores, strict=True) if score is not None)

    def erased_since(self, since_s: float) -> tuple[list[str], float]:
        """Ids erased at or after a server's time, seconds, and that time now: what to ask with the next time."""
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrangebyscore(keys.ERASED, since_s, "+inf")
            (now_s, _), found = pipe.execute()
        return [one.decode() for one in found], float(now_s)

    # -- reading ---------------------------------------------------------------------------------

    def get(self, tracklet_id: str) -> TrackletRecord | None:
        return self.get_many([tracklet_id]).get(tracklet_id)

    def get_many(self, ids: Sequence[str]) -> dict[str, TrackletRecord]:
        """The records by id; what is missing or cannot be understood is left out."""
        valid = [one for one in ids if TRACKLET_ID.fullmatch(one)]
        if not valid:
            return {}
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in valid:
                pipe.hgetall(keys.record(one))
            replies = pipe.execute(raise_on_error=False)
            found = {one: self._read(one, reply) for one, reply in zip(valid, replies, strict=True)}
        return {one: record for one, record in found.items() if record is not None}

    def _read(self, tracklet_id: str, reply: object) -> TrackletRecord | None:
        if isinstance(reply, Exception) and is_transient(reply):
            raise reply
        if not reply:
            return None
        try:
            if not isinstance(reply, dict):
                raise RecordError(str(reply))
            return TrackletRecord.from_hash(tracklet_id, reply, self._sealer, self.model_hash)
        except RecordError as error:
            self.poison_seen += 1
            log.error("record cannot be understood and is left out", tracklet=tracklet_id, reason=str(error)[:200])
            return None

    def present(self, ids: Sequence[str]) -> frozenset[str]:
        """Those of them that have a record, readable or not."""
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.exists(keys.record(one))
            return frozenset(one for one, there in zip(ids, pipe.execute(), strict=True) if there)

    def cameras(self) -> tuple[str, ...]:
        """Cameras that ever had a tracklet, also those that were removed."""
        with redis_at_work():
            known = cast("set[bytes]", self._redis.smembers(keys.CAMERAS))
        return tuple(sorted(name.decode() for name in known))

    def ended_before(self, camera_id: str, moment: datetime, batch: int) -> Iterator[Sequence[str]]:
        """Ids of a camera's tracklets that ended before a moment, oldest first, `batch` at a time.

        What a batch gave may be deleted before the next is asked for.
        """
        limit = to_microseconds(moment)
        for modality in Modality:
            name, skipped = keys.facet(camera_id, modality), 0
            while True:
                with redis_at_work():
                    found = cast("Sequence[bytes]", self._redis.zrangebyscore(name, "-inf", limit, skipped, batch))
                    ids = [one.decode() for one in found]
                    with self._redis.pipeline(transaction=False) as pipe:
                        for one in ids:
                            pipe.hget(keys.record(one), "ended")
                        ended = pipe.execute(raise_on_error=False)
                over = [
                    one
                    for one, end in zip(ids, ended, strict=True)
                    if not isinstance(end, bytes) or not end.lstrip(b"-").isdigit() or int(end) < limit
                ]
                if over:
                    yield over
                if len(ids) < batch:
                    break
                with redis_at_work():
                    left = self._redis.zmscore(name, ids)
                skipped += sum(score is not None for score in left)

    def list(self, filters: GalleryFilter | None = None, *, limit: int = 50, cursor: str | None = None) -> Page:
        """One page, newest first. The cursor stays right while tracklets come and go.

        Raises:
            ValueError: limit out of 1..1000, or a cursor that is not ours.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise ValueError(f"limit: expected 1 to {MAX_PAGE}, got {limit}")
        filters = filters or GalleryFilter()
        after = _read_cursor(cursor) if cursor is not None else None
        records: list[TrackletRecord] = []
        with redis_at_work():
            positions = self._positions(filters, after)
            last: Position | None = None
            while len(records) < limit:
                chunk = list(islice(positions, min(_CHUNK, limit - len(records))))
                if not chunk:
                    return Page(tuple(records), None)
                last = chunk[-1]
                found = self.get_many([one for _, one in chunk])
                records += [r for _, one in chunk if (r := found.get(one)) is not None and filters.admits(r)]
            more = next(positions, None) is not None
        return Page(tuple(records), _write_cursor(last) if more and last else None)

    def count(self, filters: GalleryFilter | None = None) -> int:
        """How many tracklets there are."""
        filters = filters or GalleryFilter()
        with redis_at_work():
            sets = self._sets(filters)
            low, high = self._bounds(filters)
            begun = to_microseconds(filters.since) if filters.since else low
            with self._redis.pipeline(transaction=False) as pipe:
                for name in sets:
                    pipe.zcount(name, begun, high)
                total = int(sum(pipe.execute()))
            if filters.since:
                total += sum(self._count_begun_before(name, low, begun) for name in sets)
            if filters.exclude_ids:
                counted = replace(filters, exclude_ids=frozenset())
                total -= sum(counted.admits(r) for r in self.get_many(sorted(filters.exclude_ids)).values())
            return total

    def _count_begun_before(self, name: str, low: float, since: float) -> int:
        """How many began before the window and reach into it."""
        walk = self._walk(name, low, since - 1, None)
        total = 0
        while chunk := [one for _, one in islice(walk, _CHUNK)]:
            with self._redis.pipeline(transaction=False) as pipe:
                for one in chunk:
                    pipe.hget(keys.record(one), "ended")
                total += sum(1 for ended in pipe.execute() if ended is not None and int(ended) >= since)
        return total

    def _positions(self, filters: GalleryFilter, after: Position | None) -> Iterator[Position]:
        low, high = self._bounds(filters)
        walks = [self._walk(name, low, high, after) for name in self._sets(filters)]
        return heapq.merge(*walks, reverse=True)

    def _walk(self, name: str, low: float, high: float, after: Position | None) -> Iterator[Position]:
        """Ids of one sorted set, newest first, from below `after`; of equal starts the greater id first."""
        while True:
            top = min(high, after[0]) if after else high
            offset = 0
            while True:
                reply = self._redis.zrevrangebyscore(name, top, low, start=offset, num=_CHUNK, withscores=True)
                found = cast("Sequence[tuple[bytes, float]]", reply)
                rows = [(int(score), member.decode()) for member, score in found]
                fresh = [row for row in rows if after is None or row < after]
                if fresh or len(rows) < _CHUNK:
                    break
                offset += _CHUNK  # more than a chunk began in the same microsecond
            yield from fresh
            if len(rows) < _CHUNK:
                return
            after = fresh[-1]

    def _bounds(self, filters: GalleryFilter) -> tuple[float, float]:
        high = to_microseconds(filters.until) if filters.until else math.inf
        if filters.since is None:
            return -math.inf, high
        longest = int(cast("bytes | None", self._redis.get(keys.LONGEST)) or 0)
        return to_microseconds(filters.since) - longest, high

    def _sets(self, filters: GalleryFilter) -> tuple[str, ...]:
        """The sorted sets that together hold what the filter allows."""
        if filters.cameras is None and filters.modality is None and not filters.exclude_cameras:
            return (keys.ALL,)
        cameras = filters.cameras
        if cameras is None:
            known = cast("set[bytes]", self._redis.smembers(keys.CAMERAS))
            cameras = frozenset(name.decode() for name in known)
        modalities = (filters.modality,) if filters.modality else tuple(Modality)
        return tuple(keys.facet(c, m) for c in sorted(cameras - filters.exclude_cameras) for m in modalities)


def _write_cursor(position: Position) -> str:
    return base64.urlsafe_b64encode(f"{position[0]}.{position[1]}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> Position:
    try:
        text = base64.urlsafe_b64decode(cursor[:100] + "=" * (-len(cursor[:100]) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    match = _CURSOR.fullmatch(text)
    if not match:
        raise ValueError("cursor: expected one that an earlier page returned")
    return int(match[1]), match[2]
