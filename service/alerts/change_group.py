"""The gallery's stream of changes, shared out among the matching processes by a consumer group.

What one of them has read and not finished is given to another when it dies, so every change is matched at least once.
The group's position lives in Redis: nothing is missed while nobody matches, or while Redis is away.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis
import structlog

from service.alerts import keys
from service.gallery import keys as gallery_keys
from service.gallery.feed import entries_of
from service.gallery.store import redis_at_work

__all__ = ["ChangeGroup", "PendingChange"]

log = structlog.get_logger("tapetum.alerts")

_GROUP = "alerts:"  # + model hash: processes with the same model share the work, others do their own
CLAIM_IDLE_S = 10.0  # what another process has read so long ago, and not finished, is taken over
_CLAIM_EVERY_S = 2.0
_FORGET_CONSUMER_S = 3600.0
_POISON_KEPT = 1000
MAX_DELIVERIES = 25  # a change that so often was read and never finished takes processes down


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change of the gallery that is to be matched; `id` is empty where the stream has forgotten it."""

    position: str
    op: str  # put | delete
    id: str

    @property
    def indexed_at(self) -> datetime:
        """When it was written, by the clock of Redis."""
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(self.position.partition("-")[0]))


class ChangeGroup:
    """One process's share of the changes. Every method raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis, model_hash: str) -> None:
        self._redis = client
        self._group = _GROUP + model_hash
        self._consumer = secrets.token_hex(8)
        self._unfinished = False
        self._claimed_s = 0.0

    def join(self) -> datetime | None:
        """Take part, from the first change on where nobody ever did.

        Returns:
            The moment since when changes were trimmed away unread; None when none were.
        """
        self._unfinished = True
        with redis_at_work():
            try:
                self._redis.xgroup_create(gallery_keys.CHANGES, self._group, id="0", mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
            groups = self._groups()
            stream = self._redis.xinfo_stream(gallery_keys.CHANGES)
        mine = next(group for group in groups if _text(group["name"]) == self._group)
        position = _text(mine["last-delivered-id"])
        first = stream["first-entry"]
        if first is None or _order(_text(first[0])) <= _order(position):
            return None
        trimmed = int(stream["entries-added"]) > int(stream["length"])
        return PendingChange(position, "", "").indexed_at if trimmed else None

    def read(self, *, wait_ms: int | None, limit: int) -> list[PendingChange]:
        """What is to be done next: what this process left unfinished, what a dead one did, what is new.

        Raises:
            redis.ResponseError: ``NOGROUP``, the server was emptied; `join` again.
        """
        with redis_at_work():
            if self._unfinished:
                found = self._group_read("0", limit, None)
                self._unfinished = bool(found)
                if found:
                    return self._without_worn_out(found)
            if time.monotonic() - self._claimed_s > _CLAIM_EVERY_S:
                self._claimed_s = time.monotonic()
                if claimed := self._claim(limit):
                    return self._without_worn_out(claimed)
            return self._group_read(">", limit, wait_ms)

    def leave_unfinished(self) -> None:
        """What was read last could not be finished and is to be read again."""
        self._unfinished = True

    def done(self, changes: Sequence[PendingChange]) -> None:
        """These need not come again."""
        if changes:
            with redis_at_work():
                self._redis.xack(gallery_keys.CHANGES, self._group, *(one.position for one in changes))

    def set_aside(self, change: PendingChange, reason: str) -> None:
        """Keep a change that cannot be matched for who looks after the installation, and go on without it."""
        log.error("a change cannot be matched and is set aside", tracklet=change.id, reason=reason)
        with redis_at_work():
            fields = {"position": change.position, "id": change.id, "reason": reason[:200]}
            self._redis.xadd(keys.POISON, cast("Any", fields), maxlen=_POISON_KEPT)
        self.done([change])

    def backlog(self) -> int:
        """Changes that were not read yet, or were and are not finished."""
        with redis_at_work():
            try:
                groups = self._groups()
            except redis.ResponseError:  # no such key
                return 0
        mine = [group for group in groups if _text(group["name"]) == self._group]
        return sum(int(group["pending"]) + int(group.get("lag") or 0) for group in mine)

    def leave(self) -> None:
        """Take no part any more; what is unfinished is left for the others."""
        with redis_at_work():
            pending = self._redis.xpending_range(gallery_keys.CHANGES, self._group, "-", "+", 1, self._consumer)
            if not pending:
                self._redis.xgroup_delconsumer(gallery_keys.CHANGES, self._group, self._consumer)

    def forget_the_dead(self) -> None:
        """Consumers that ended long ago and left nothing."""
        with redis_at_work():
            for one in cast("Any", self._redis.xinfo_consumers(gallery_keys.CHANGES, self._group)):
                if not one["pending"] and one["idle"] > _FORGET_CONSUMER_S * 1000:
                    self._redis.xgroup_delconsumer(gallery_keys.CHANGES, self._group, _text(one["name"]))

    def _groups(self) -> list[dict[str, Any]]:
        return cast("Any", self._redis.xinfo_groups(gallery_keys.CHANGES))  # type: ignore[no-any-return]

    def _without_worn_out(self, changes: list[PendingChange]) -> list[PendingChange]:
        """Set aside what was read again and again and never finished."""
        first, last = changes[0].position, changes[-1].position
        pending = cast(
            "Any",
            self._redis.xpending_range(gallery_keys.CHANGES, self._group, first, last, len(changes), self._consumer),
        )
        often = {_text(one["message_id"]) for one in pending if one["times_delivered"] > MAX_DELIVERIES}
        for change in changes:
            if change.position in often:
                self.set_aside(change, f"read {MAX_DELIVERIES} times and never finished")
        return [change for change in changes if change.position not in often]

    def _group_read(self, position: str, limit: int, wait_ms: int | None) -> list[PendingChange]:
        reply = cast(
            "Any",
            self._redis.xreadgroup(
                self._group, self._consumer, {gallery_keys.CHANGES: position}, count=limit, block=wait_ms
            ),
        )
        return [_pending(position, fields) for position, fields in entries_of(reply)]

    def _claim(self, limit: int) -> list[PendingChange]:
        """What others left. Entries that the stream has forgotten come back as empty ones, to be looked for."""
        _, entries, *forgotten = cast(
            "Any",
            self._redis.xautoclaim(
                gallery_keys.CHANGES, self._group, self._consumer, int(CLAIM_IDLE_S * 1000), count=limit
            ),
        )
        gone = [_pending(position, {}) for position in (forgotten[0] if forgotten else [])]
        return [*gone, *(_pending(position, fields or {}) for position, fields in entries)]


def _pending(position: bytes, fields: dict[bytes, bytes]) -> PendingChange:
    return PendingChange(position.decode(), _text(fields.get(b"op", b"")), _text(fields.get(b"id", b"")))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _order(position: str) -> tuple[int, int]:
    milliseconds, _, sequence = position.partition("-")
    return int(milliseconds), int(sequence or 0)
