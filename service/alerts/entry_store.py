"""The watchlist in Redis. Every change raises a counter, by which matching processes see that they must look again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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
    "WatchlistError",
    "WatchlistFull",
    "WatchlistStore",
    "server_time",
]

log = structlog.get_logger("tapetum.alerts")

MAX_ENTRIES = 10_000
_BATCH = 256
_ATTEMPTS = 20

# KEYS: entry, entries, revisions, version, ended, then for each example tracklet its record and its set of entries.
# ARGV: id, head, vectors, most. Returns 'added', 'there' for an id that is, 'ended' for one that was, 'full', or
# 'gone' for an example.
_ADD = """#!lua
if redis.call('EXISTS', KEYS[1]) == 1 then return 'there' end
if redis.call('EXISTS', KEYS[5]) == 1 then return 'ended' end
for i = 6, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[i]) == 0 then return 'gone' end
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return 'full' end
redis.call('HSET', KEYS[1], 'head', ARGV[2], 'vectors', ARGV[3], 'revision', 1)
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], 1)
for i = 7, #KEYS, 2 do redis.call('SADD', KEYS[i], ARGV[1]) end
redis.call('INCR', KEYS[4])
return 'added'
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

# KEYS: entry, entries, revisions, version, ended. ARGV: id, for how many seconds to remember that it was. Returns
# whether there was one.
_REMOVE = """#!lua
local there = redis.call('DEL', KEYS[1])
there = there + redis.call('ZREM', KEYS[2], ARGV[1]) + redis.call('HDEL', KEYS[3], ARGV[1])
if there > 0 then
  redis.call('INCR', KEYS[4])
  redis.call('SET', KEYS[5], 1, 'EX', ARGV[2])
end
return there > 0 and 1 or 0
"""


class WatchlistError(ValueError):
    """The entry cannot be made or changed; the message is a sentence for the one who asked."""


class WatchlistFull(WatchlistError):  # noqa: N818  a kind of WatchlistError
    """There are as many entries as there may be."""


class EntryEnded(WatchlistError):  # noqa: N818  a kind of WatchlistError
    """There was one of this id, and it ended."""


class ExampleGone(WatchlistError):  # noqa: N818  a kind of WatchlistError
    """An example was erased while the entry was being made."""


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

    # -- changing ----------------------------------------------------------------------------------

    def add(self, entry: WatchEntry) -> bool:
        """Returns whether it was added; False where there is one of its id, which stays as it is.

        Raises:
            WatchlistFull, ExampleGone, EntryEnded.
        """
        shown = [example.tracklet_id for example in entry.examples if example.tracklet_id is not None]
        names = [name for one in shown for name in (gallery_keys.record(one), keys.LOOKED_FOR + one)]
        with redis_at_work():
            arguments: list[Any] = [entry.id, entry.head(), self._vectors(entry), MAX_ENTRIES]
            said = cast("bytes", self._add([*self._names(entry.id), *names], arguments))
        if said == b"full":
            raise WatchlistFull(f"The watchlist holds {MAX_ENTRIES} entries, as many as it may; remove some first.")
        if said == b"gone":
            raise ExampleGone("An example was erased a moment ago.")
        if said == b"ended":
            raise EntryEnded("The entry has ended.")
        return said == b"added"

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
            return bool(self._remove(self._names(entry_id), [entry_id, keys.ENDED_KEPT_S]))

    def remove_expired(self, before: datetime) -> int:
        """Remove, with their vectors, the entries that expired before a moment. Returns how many."""
        return sum(self.remove(entry.id) for entry in list(self.walk()) if entry.expires_at < before)

    # -- what an erasure must reach ----------------------------------------------------------------

    @property
    def name(self) -> str:
        return "watchlist"

    def erase(self, ids: Sequence[str]) -> int:
        """Take these sightings out of all entries; an entry that has no other example, or cannot be read, ends.

        Returns:
            How many entries were changed or ended.
        """
        gone = frozenset(ids)
        touched = self._looking_for(ids)
        for one in touched:
            if self.change(one, lambda entry: entry.without_tracklets(gone)) is None:
                self.remove(one)
        with redis_at_work():
            self._redis.delete(*(keys.LOOKED_FOR + one for one in ids))
        return len(touched)

    def holds(self, ids: Sequence[str]) -> int:
        return len(self._looking_for(ids))

    def _looking_for(self, tracklet_ids: Sequence[str]) -> list[str]:
        """Ids of the entries that have one of these sightings as an example, or did and cannot be read."""
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in tracklet_ids:
                pipe.smembers(keys.LOOKED_FOR + one)
            named = {found.decode() for members in pipe.execute() for found in members}
        wanted = frozenset(tracklet_ids)
        entries = self.get_many(sorted(named))
        found = [one for one, entry in entries.items() if any(e.tracklet_id in wanted for e in entry.examples)]
        unread = sorted(named - entries.keys())
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in unread:
                pipe.exists(keys.ENTRY + one)
            return found + [one for one, there in zip(unread, pipe.execute(), strict=True) if there]

    def _vectors(self, entry: WatchEntry) -> bytes:
        return self._sealer.seal(entry.vectors.astype("<f2").tobytes(), _vectors_place(entry.id))

    @staticmethod
    def _names(entry_id: str) -> list[str]:
        return [keys.ENTRY + entry_id, keys.ENTRIES, keys.REVISIONS, keys.VERSION, keys.ENDED + entry_id]


def _vectors_place(entry_id: str) -> str:
    return hash_place(keys.ENTRY + entry_id, "vectors")
