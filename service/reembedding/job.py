"""What all processes know of a re-embedding: to which model, how far it is, what could not be done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

import redis

from service.gallery import keys
from service.gallery.model_in_use import GalleryModel
from service.gallery.store import redis_at_work
from service.lease import Lease

__all__ = ["Failure", "Job", "JobState", "Jobs", "ReembeddingError"]

_JOB = "tapetum:reembedding"  # hash
_FAILED = "tapetum:reembedding:failed"  # hash: id -> JSON
LEASE = "tapetum:lock:reembedding"
LEASE_S = 60

# KEYS: job, failed. ARGV: the model's hash, then the fields. A job of this model that has not come to its end goes on;
# while one of another model runs or pauses, nothing happens. Returns 'begun', 'goes-on' or 'other'.
_START = """#!lua
local state, model = unpack(redis.call('HMGET', KEYS[1], 'state', 'hash'))
if state == 'running' or state == 'paused' then
  if model ~= ARGV[1] then return 'other' end
  redis.call('HSET', KEYS[1], 'state', 'running', 'error', '', unpack(ARGV, 2, 3))
  return 'goes-on'
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'state', 'running', unpack(ARGV, 2))
return 'begun'
"""

# KEYS: job. ARGV: states that it may be in, with commas around each, then the next one, then why.
# Returns whether it was in one of them.
_TURN = """#!lua
local state = redis.call('HGET', KEYS[1], 'state')
if not state or not string.find(ARGV[1], ',' .. state .. ',', 1, true) then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'error', ARGV[3])
return 1
"""

# KEYS: failed, record. ARGV: id, value. What is erased is not written down.
_FAIL = """#!lua
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class ReembeddingError(RuntimeError):
    """It cannot be begun or turned so; the message is a sentence for the one who asked."""


class JobState(StrEnum):
    RUNNING = "running"  # or waiting for a process that has the model
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"  # the gallery is searched by the model


@dataclass(frozen=True, slots=True)
class Failure:
    """A sighting that could not be embedded, at which revision of its record, and why."""

    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class Job:
    """The last job.

    Attributes:
        total: sightings, when the present walk through the gallery began.
        seen: of them looked at in this walk.
        embedded: by this job, over all walks and processes.
        accept_losses: go over to the model although many sightings could not be embedded.
        watch_entries: of the watchlist that must be made again, because they were made from photos.
        error: what it waits for, or why it paused; empty when nothing is wrong.
    """

    state: JobState
    target: GalleryModel
    account: str
    started_at: datetime
    total: int
    seen: int
    embedded: int
    accept_losses: bool
    watch_entries: int
    error: str


class Jobs:
    """Reads and turns the job. Every method raises GalleryUnavailable when Redis cannot serve.

    Erasure reaches the list of what failed as an `Erasable`.
    """

    name = "reembedding"

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._start = client.register_script(_START)
        self._turn = client.register_script(_TURN)
        self._fail = client.register_script(_FAIL)

    def read(self) -> Job | None:
        with redis_at_work():
            fields = cast("dict[bytes, bytes]", self._redis.hgetall(_JOB))
        return _read(fields) if fields else None

    def start(self, target: GalleryModel, account: str, *, accept_losses: bool = False) -> bool:
        """Begin, or go on with one that was paused or whose process died. Returns whether it begins.

        Raises:
            ReembeddingError: one to another model is not at its end.
        """
        now = datetime.now(UTC).isoformat()
        fields = {"accept_losses": str(int(accept_losses)), **target.to_hash(), "account": account, "started_at": now}
        arguments = [target.hash, *(part for item in fields.items() for part in item)]
        with redis_at_work():
            said = cast("bytes", self._start([_JOB, _FAILED], arguments))
        if said == b"other":
            job = self.read()
            raise ReembeddingError(
                f"The gallery is being re-embedded to {job.target if job else 'another model'}. Stop that first."
            )
        return said == b"begun"

    def turn(self, state: JobState, *before: JobState, error: str = "") -> bool:
        """Whether it was in one of the states, and is in the new one now."""
        with redis_at_work():
            return bool(self._turn([_JOB], [f",{','.join(before)},", state, error]))

    def note(self, **fields: int | str) -> None:
        """Write down how far it is."""
        with redis_at_work():
            self._redis.hset(_JOB, mapping=cast("dict[Any, Any]", fields))

    def count(self, embedded: int) -> None:
        with redis_at_work():
            self._redis.hincrby(_JOB, "embedded", embedded)

    def is_worked_on(self) -> bool:
        """Whether a process is at it."""
        return Lease(self._redis, LEASE, LEASE_S).is_held()

    # -- what could not be done ------------------------------------------------------------------

    def fail(self, tracklet_id: str, failure: Failure) -> None:
        with redis_at_work():
            value = json.dumps({"revision": failure.revision, "reason": failure.reason})
            self._fail([_FAILED, keys.record(tracklet_id)], [tracklet_id, value])

    def succeed(self, ids: Sequence[str]) -> None:
        self.erase(ids)

    def failed(self, ids: Sequence[str]) -> dict[str, Failure]:
        """Those of them that failed."""
        if not ids:
            return {}
        with redis_at_work():
            found = cast("list[bytes | None]", self._redis.hmget(_FAILED, list(ids)))
        return {one: Failure(**json.loads(text)) for one, text in zip(ids, found, strict=True) if text is not None}

    def failures(self, limit: int) -> dict[str, Failure]:
        """Some of what failed."""
        found: dict[str, Failure] = {}
        with redis_at_work():
            for one, text in self._redis.hscan_iter(_FAILED, count=limit):
                found[one.decode()] = Failure(**json.loads(text))
                if len(found) == limit:
                    break
        return found

    def failed_count(self) -> int:
        with redis_at_work():
            return self._redis.hlen(_FAILED)

    # -- Erasable --------------------------------------------------------------------------------

    def erase(self, ids: Sequence[str]) -> int:
        """Forget that these failed. Returns how many had."""
        if not ids:
            return 0
        with redis_at_work():
            return self._redis.hdel(_FAILED, *ids)

    def holds(self, ids: Sequence[str]) -> int:
        return len(self.failed(ids))


def _read(fields: Mapping[bytes, bytes]) -> Job:
    def number(name: bytes) -> int:
        return int(fields.get(name, b"0"))

    return Job(
        state=JobState(fields[b"state"].decode()),
        target=GalleryModel.from_hash(fields),
        account=fields[b"account"].decode(),
        started_at=datetime.fromisoformat(fields[b"started_at"].decode()),
        total=number(b"total"),
        seen=number(b"seen"),
        embedded=number(b"embedded"),
        accept_losses=bool(number(b"accept_losses")),
        watch_entries=number(b"watch_entries"),
        error=fields.get(b"error", b"").decode(),
    )
