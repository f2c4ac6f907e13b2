"""Cases in Redis: a head that is changed by comparing, notes and pins beside it that many may add at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import redis
import structlog

from service.cases.case import MAX_NOTES, MAX_PINS, Case, Note, Pin, PinKind
from service.gallery import keys
from service.gallery.newest import newest_first
from service.gallery.store import redis_at_work

__all__ = ["CaseClosed", "CaseConflict", "CaseFull", "CaseMissing", "CaseStore", "PinGone"]

log = structlog.get_logger("tapetum.cases")

_CASES = "tapetum:cases"  # hash: id -> JSON
_ORDER = "tapetum:cases:order"  # sorted set of ids, all of score 0: a ULID's order is that of time
_CHUNK = 200

# KEYS: cases, order. ARGV: id, what is there ('' none), what comes. Returns 1 when exchanged.
_EXCHANGE = """#!lua
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1
"""

# KEYS: cases, order, notes, pins. ARGV: id, what is there. Returns 1 when removed.
_REMOVE = """#!lua
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3], KEYS[4])
return 1
"""

# KEYS: cases, notes or pins of one. ARGV: id, most there may be, prefix of sightings' records ('' for notes), then for
# each: its id, what comes, and whether it must have a record. What is there already stays as it was.
# Returns what was added, or a word.
_PUT = """#!lua
local head = redis.call('HGET', KEYS[1], ARGV[1])
if not head then return 'missing' end
if cjson.decode(head).state ~= 'open' then return 'closed' end
local fresh = 0
for i = 4, #ARGV, 3 do
  if ARGV[i + 2] == '1' and redis.call('EXISTS', ARGV[3] .. ARGV[i]) == 0 then return 'gone' end
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 then fresh = fresh + 1 end
end
if redis.call('HLEN', KEYS[2]) + fresh > tonumber(ARGV[2]) then return 'full' end
for i = 4, #ARGV, 3 do redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) end
return tostring(fresh)
"""

# KEYS: cases, pins of one. ARGV: id, then the ids to take out. Returns how many were there, or a word.
_TAKE = """#!lua
local head = redis.call('HGET', KEYS[1], ARGV[1])
if not head then return 'missing' end
if cjson.decode(head).state ~= 'open' then return 'closed' end
return tostring(redis.call('HDEL', KEYS[2], unpack(ARGV, 2)))
"""


class CaseMissing(KeyError):  # noqa: N818 - a state of the world, as callers see it
    """There is no such case."""


class CaseConflict(RuntimeError):  # noqa: N818 - a state of the world, as callers see it
    """Somebody else changed the case meanwhile: read it again."""


class CaseClosed(RuntimeError):  # noqa: N818 - a state of the world, as callers see it
    """The case is closed; nothing is added or taken out."""


class CaseFull(ValueError):  # noqa: N818 - a state of the world, as callers see it
    """It would hold too much."""


class PinGone(KeyError):  # noqa: N818 - a state of the world, as callers see it
    """A sighting that was to be pinned is not there any more."""


_REFUSALS: dict[str, type[Exception]] = {
    "missing": CaseMissing,
    "closed": CaseClosed,
    "full": CaseFull,
    "gone": PinGone,
}


class CaseStore:
    """The cases, and an `Erasable`. Every method raises GalleryUnavailable when Redis cannot serve."""

    name = "cases"

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._exchange = client.register_script(_EXCHANGE)
        self._remove = client.register_script(_REMOVE)
        self._put = client.register_script(_PUT)
        self._take = client.register_script(_TAKE)

    # -- heads -----------------------------------------------------------------------------------

    def get(self, case_id: str) -> Case:
        """Raises CaseMissing."""
        return Case.from_text(self._text(case_id))

    def walk(self, before: str | None = None) -> Iterator[Case]:
        """Cases made before the one with an id, newest first. One that cannot be read is left out and logged."""
        return newest_first(self._redis, _ORDER, self._get_many, before)

    def _get_many(self, case_ids: Sequence[str]) -> dict[str, Case]:
        if not case_ids:
            return {}
        with redis_at_work():
            texts = cast("list[bytes | None]", self._redis.hmget(_CASES, list(case_ids)))
        found: dict[str, Case] = {}
        for one, text in zip(case_ids, texts, strict=True):
            try:
                found |= {one: Case.from_text(text)} if text is not None else {}
            except ValueError as error:
                log.error("case cannot be read and is left out", case=one, reason=str(error)[:200])
        return found

    def add(self, case: Case) -> tuple[Case, bool]:
        """Keep a new case; one that is there under its id is given back. Returns whether it is new."""
        with redis_at_work():
            new = bool(self._exchange([_CASES, _ORDER], [case.id, "", case.to_text()]))
        return (case, True) if new else (self.get(case.id), False)

    def change(self, case_id: str, revision: int, change: Callable[[Case], Case]) -> Case:
        """Replace a case that is at a revision. Raises CaseMissing, CaseConflict."""
        text = self._text(case_id)
        before = Case.from_text(text)
        if before.revision != revision:
            raise CaseConflict(case_id)
        after = change(before)
        with redis_at_work():
            if not self._exchange([_CASES, _ORDER], [case_id, text, after.to_text()]):
                raise CaseConflict(case_id)
        return after

    def remove(self, case_id: str, revision: int) -> None:
        """Forget a case with notes and pins. Raises CaseMissing, CaseConflict."""
        text = self._text(case_id)
        if Case.from_text(text).revision != revision:
            raise CaseConflict(case_id)
        with redis_at_work():
            if not self._remove([_CASES, _ORDER, _notes(case_id), _pins(case_id)], [case_id, text]):
                raise CaseConflict(case_id)

    # -- notes and pins --------------------------------------------------------------------------

    def notes(self, case_id: str) -> list[Note]:
        """Oldest first."""
        with redis_at_work():
            found = cast("dict[bytes, bytes]", self._redis.hgetall(_notes(case_id)))
        return [Note.from_text(one.decode(), text) for one, text in sorted(found.items())]

    def add_note(self, case_id: str, note: Note) -> tuple[Note, bool]:
        """The note that is there under this id now, and whether it is new. Raises CaseMissing, CaseClosed, CaseFull."""
        new = self._count(self._put, _notes(case_id), [case_id, MAX_NOTES, "", note.id, note.to_text(), ""]) > 0
        with redis_at_work():
            text = cast("bytes | None", self._redis.hget(_notes(case_id), note.id))
        return (Note.from_text(note.id, text) if text is not None else note), new

    def pins(self, case_id: str) -> list[Pin]:
        """Newest sightings first."""
        with redis_at_work():
            found = cast("dict[bytes, bytes]", self._redis.hgetall(_pins(case_id)))
        return [Pin.from_text(one.decode(), text) for one, text in sorted(found.items(), reverse=True)]

    def pin(self, case_id: str, pins: Sequence[Pin]) -> int:
        """All of them or none; what is pinned stays as it is. Returns how many are new.

        Raises:
            CaseMissing, CaseClosed, CaseFull.
            PinGone: a sighting has no record any more.
        """
        items = [part for one in pins for part in (one.id, one.to_text(), "1" if one.kind is PinKind.TRACKLET else "")]
        return self._count(self._put, _pins(case_id), [case_id, MAX_PINS, keys.RECORD, *items])

    def unpin(self, case_id: str, pin_ids: Sequence[str]) -> int:
        """How many were there. Raises CaseMissing, CaseClosed."""
        return self._count(self._take, _pins(case_id), [case_id, *pin_ids])

    # -- erasure ---------------------------------------------------------------------------------

    def erase(self, ids: Sequence[str]) -> int:
        """Take sightings out of all cases, closed ones too."""
        touched = 0
        if not ids:
            return 0
        for batch in self._batches():
            with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
                for case_id in batch:
                    pipe.hdel(_pins(case_id), *ids)
                touched += sum(1 for gone in pipe.execute() if gone)
        return touched

    def holds(self, ids: Sequence[str]) -> int:
        found = 0
        if not ids:
            return 0
        for batch in self._batches():
            with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
                for case_id in batch:
                    pipe.hmget(_pins(case_id), list(ids))
                found += sum(1 for there in pipe.execute() if any(one is not None for one in there))
        return found

    def _batches(self) -> list[list[str]]:
        with redis_at_work():
            ids = [one.decode() for one in cast("list[bytes]", self._redis.zrange(_ORDER, 0, -1))]
        return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]

    # -- parts -----------------------------------------------------------------------------------

    def _text(self, case_id: str) -> bytes:
        with redis_at_work():
            text = cast("bytes | None", self._redis.hget(_CASES, case_id))
        if text is None:
            raise CaseMissing(case_id)
        return text

    def _count(self, script: Callable[..., object], name: str, arguments: Sequence[str | int]) -> int:
        with redis_at_work():
            answer = cast("bytes", script([_CASES, name], list(arguments))).decode()
        if answer in _REFUSALS:
            raise _REFUSALS[answer](arguments[0])
        return int(answer)


def _notes(case_id: str) -> str:
    return f"tapetum:case:{case_id}:notes"


def _pins(case_id: str) -> str:
    return f"tapetum:case:{case_id}:pins"
