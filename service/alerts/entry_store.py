"""The watchlist in Redis. Every change raises a counter, by which matching processes see that they must look again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import redis
import structlog

from pipeline.sealing import PLAIN, Sealer, SealError, hash_place
from service.alerts import keys
from service.alerts.entries import WatchEntry
from service.gallery import keys as gallery_keys
from service.gallery.records import RecordError
from service.gallery.store import redis_at_work

__all__ = [
    "MAX_ENTRIES",
    "IdempotencyError",
    "Once",
    "WatchlistError",
    "WatchlistFull",
    "WatchlistStore",
    "server_time",
]

log = structlog.get_logger("tapetum.alerts")

MAX_ENTRIES = 10_000
KEY_KEPT_S = 24 * 3600
_BATCH = 256
_ATTEMPTS = 20

# KEYS: entry, entries, revisions, version, idempotency, then the records of example tracklets.
# ARGV: id, head, vectors, most, idempotency value ('' none), seconds to keep it.
# Returns nothing when it was added, else what the idempotency key has made, 'full', or 'gone' for an example.
_ADD = """#!lua
if ARGV[5] ~= '' then
  local made = redis.call('GET', KEYS[5])
  if made then return made end
end
for i = 6, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then return 'gone' end
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return 'full' end
redis.call('HSET', KEYS[1], 'head', ARGV[2], 'vectors', ARGV[3], 'revision', 1)
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], 1)
redis.call('INCR', KEYS[4])
if ARGV[5] ~= '' then redis.call('SET', KEYS[5], ARGV[5], 'EX', ARGV[6]) end
return ''
"""

# KEYS: entry, revisions, version. ARGV: id, revision that was read, head, vectors. Returns whether it still was that.
_CHANGE = """#!lua
if redis.call('HGET', KEYS[1], 'revision') ~= ARGV[2] then return 0 end
local revision = tonumber(ARGV[2]) + 1
redis.call('HSET', KEYS[1], 'head', ARGV[3], 'vectors', ARGV[4], 'revision', revision)
redis.call('HSET', KEYS[2], ARGV[1], revision)
redis.call('INCR', KEYS[3])
return 1
"""

# KEYS: entry, entries, revisions, version. ARGV: id. Returns whether there was one.
_REMOVE = """#!lua
local there = redis.call('DEL', KEYS[1])
there = there + redis.call('ZREM', KEYS[2], ARGV[1]) + redis.call('HDEL', KEYS[3], ARGV[1])
if there > 0 then redis.call('INCR', KEYS[4]) end
return there > 0 and 1 or 0
"""


class WatchlistError(ValueError):
    """The entry cannot be made or changed; the message is a sentence for the one who asked."""


class WatchlistFull(WatchlistError):  # noqa: N818  a kind of WatchlistError
    """There are as many entries as there may be."""


class ExampleGone(WatchlistError):  # noqa: N818  a kind of WatchlistError
    """An example was erased while the entry was being made."""


class IdempotencyError(WatchlistError):
    """The Idempotency-Key was used before for another request."""


@dataclass(frozen=True, slots=True)
class Once:
    """An Idempotency-Key, of one account and one kind of request: the same again makes nothing new.

    Attributes:
        key: where it is kept in Redis.
        request: digest of the request that came with it.
    """

    key: str
    request: str

    @classmethod
    def of(cls, account: str, operation: str, key: str, request: str) -> Once:
        """`request` is the body as canonical text."""
        name = hashlib.sha256(json.dumps([account, operation, key]).encode()).hexdigest()
        return cls(keys.IDEMPOTENCY + name, hashlib.sha256(request.encode()).hexdigest())

    def value(self, made: str) -> str:
        return json.dumps({"request": self.request, "made": made})

    def made(self, value: bytes | None) -> str | None:
        """The id that the first request made, None for no such request. Raises IdempotencyError."""
        if value is None:
            return None
        found = json.loads(value)
        if found["request"] != self.request:
            raise IdempotencyError("This Idempotency-Key came with another request before.")
        return str(found["made"])


def server_time(client: redis.Redis) -> datetime:
    """Now by the clock of Redis, the one clock that all processes share."""
    with redis_at_work():
        seconds, microseconds = client.time()
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)


class WatchlistStore:
    """The entries. Every method raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis, sealer: Sealer = PLAIN) -> None:
        self._redis = client
        self._sealer = sealer
        self._add = client.register_script(_ADD)
        self._change = client.register_script(_CHANGE)
        self._remove = client.register_script(_REMOVE)

    # -- reading -----------------------------------------------------------------------------------

    def get(self, entry_id: str) -> WatchEntry | None:
        return self.get_many([entry_id]).get(entry_id)

    def get_many(self, ids: Sequence[str]) -> dict[str, WatchEntry]:
        """The entries by id; what is missing or cannot be read is left out."""
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hgetall(keys.ENTRY + one)
            replies = pipe.execute()
        found = {}
        for one, fields in zip(ids, replies, strict=True):
            try:
                if fields:
                    vectors = self._sealer.open(fields[b"vectors"], _vectors_place(one))
                    found[one] = WatchEntry.from_hash(one, {**fields, b"vectors": vectors})
            except (RecordError, SealError, KeyError) as error:
                log.error("entry of the watchlist is left out", entry=one, reason=str(error)[:200])
        return found

    def walk(self, before: str | None = None) -> Iterator[WatchEntry]:
        """All entries, newest first, from below an id."""
        while True:
            top = "+" if before is None else f"({before}"
            with redis_at_work():
                found = self._redis.zrevrangebylex(keys.ENTRIES, top, "-", start=0, num=_BATCH)
            ids = [one.decode() for one in cast("list[bytes]", found)]
            entries = self.get_many(ids)
            yield from (entries[one] for one in ids if one in entries)
            if len(ids) < _BATCH:
                return
            before = ids[-1]

    def version(self) -> int:
        """Rises with every change of an entry."""
        with redis_at_work():
            return int(cast("bytes | None", self._redis.get(keys.VERSION)) or 0)

    def revisions(self) -> dict[str, int]:
        with redis_at_work():
            found = cast("dict[bytes, bytes]", self._redis.hgetall(keys.REVISIONS))
        return {one.decode(): int(revision) for one, revision in found.items()}

    def about(self, tracklet_ids: Sequence[str]) -> list[WatchEntry]:
        """The entries that look for one of these sightings: what the erasure of a subject must not overlook."""
        wanted = frozenset(tracklet_ids)
        return [entry for entry in self.walk() if any(e.tracklet_id in wanted for e in entry.examples)]

    def made_before(self, once: Once) -> str | None:
        """What an earlier request with this key has made. Raises IdempotencyError."""
        with redis_at_work():
            return once.made(cast("bytes | None", self._redis.get(once.key)))

    # -- changing ----------------------------------------------------------------------------------

    def add(self, entry: WatchEntry, once: Once | None = None) -> str:
        """Returns the id: the entry's, or the one that an earlier request with the same key has made.

        Raises:
            WatchlistFull, ExampleGone, IdempotencyError.
        """
        records = [gallery_keys.record(e.tracklet_id) for e in entry.examples if e.tracklet_id is not None]
        names = [*self._names(entry.id), once.key if once else keys.IDEMPOTENCY, *records]
        arguments: list[Any] = [entry.id, entry.head(), self._vectors(entry), MAX_ENTRIES]
        arguments += [once.value(entry.id), KEY_KEPT_S] if once else ["", 0]
        with redis_at_work():
            said = cast("bytes", self._add(names, arguments))
        if said == b"full":
            raise WatchlistFull(f"The watchlist holds {MAX_ENTRIES} entries, as many as it may; remove some first.")
        if said == b"gone":
            raise ExampleGone("An example was erased a moment ago.")
        if said:
            assert once is not None  # noqa: S101  the script answers so only for a key
            return once.made(said) or entry.id
        return entry.id

    def change(self, entry_id: str, changed: Callable[[WatchEntry], WatchEntry | None]) -> WatchEntry | None:
        """Change an entry in one step; None from `changed` removes it. Returns the new one, None when there is none."""
        for _ in range(_ATTEMPTS):
            old = self.get(entry_id)
            if old is None:
                return None
            new = changed(old)
            if new is None:
                self.remove(entry_id)
                return None
            names = [keys.ENTRY + entry_id, keys.REVISIONS, keys.VERSION]
            with redis_at_work():
                done = self._change(names, [entry_id, old.revision, new.head(), self._vectors(new)])
            if done:
                return replace(new, revision=old.revision + 1)
        raise WatchlistError("The entry is being changed again and again by others. Try again.")

    def remove(self, entry_id: str) -> bool:
        """Whether there was one. It never matches again."""
        with redis_at_work():
            return bool(self._remove(self._names(entry_id), [entry_id]))

    def forget_tracklets(self, tracklet_ids: Sequence[str]) -> list[str]:
        """Take these sightings out of all entries; an entry that has no other example ends.

        Returns:
            The ids of the entries that were changed or ended.
        """
        gone = frozenset(tracklet_ids)
        touched = [entry.id for entry in self.about(tracklet_ids)]
        for one in touched:
            self.change(one, lambda entry: entry.without_tracklets(gone))
        return touched

    def _vectors(self, entry: WatchEntry) -> bytes:
        return self._sealer.seal(entry.vectors.astype("<f2").tobytes(), _vectors_place(entry.id))

    @staticmethod
    def _names(entry_id: str) -> list[str]:
        return [keys.ENTRY + entry_id, keys.ENTRIES, keys.REVISIONS, keys.VERSION]


def _vectors_place(entry_id: str) -> str:
    return hash_place(keys.ENTRY + entry_id, "vectors")
