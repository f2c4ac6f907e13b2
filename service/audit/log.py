"""The log in Redis: a stream that only grows, with one order over all processes.

A writer computes the hash and offers the entry together with the head that it followed; a script takes it only if
that is still the head. So several API replicas share one chain, and a lost answer can be repeated without harm.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis
import structlog

from service.audit.chain import Entry, Head, Verification, verify_chain

__all__ = ["AUDIT_HEAD", "AUDIT_STREAM", "AuditLog", "AuditUnavailable", "Trail"]

log = structlog.get_logger("tapetum.audit")

AUDIT_STREAM = "tapetum:audit"  # stream: <number>-0 -> entry
AUDIT_HEAD = "tapetum:audit:head"  # hash: seq, hash
_BATCH = 500
_ATTEMPTS = 200
_LOCK_S = 3.0  # to wait behind other threads; while Redis hangs, requests are refused and not queued

# KEYS: stream, head. ARGV: the hash that the entry follows ('' none), its number, its text, its hash.
# Returns nothing when it was taken, else the head that is there; a head that was lost, or behind which somebody else
# wrote, is the last entry again. One that cannot be read has no hash: a mark of its text stands in, so that the log
# goes on, and every check finds the broken entry.
_APPEND = """#!lua
local head = redis.call('HMGET', KEYS[2], 'seq', 'hash')
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local number = last and string.match(last[1], '^%d+')
if last and (not head[2] or tonumber(number) > tonumber(head[1])) then
  local text = last[2][2]
  local read, hash = pcall(function() return cjson.decode(text).hash end)
  if not read or type(hash) ~= 'string' or #hash ~= 64 then hash = string.rep('0', 24) .. redis.sha1hex(text) end
  head = {number, hash}
end
if (head[2] or '') ~= ARGV[1] then return {head[1] or '0', head[2] or ''} end
redis.call('XADD', KEYS[1], ARGV[2] .. '-0', 'entry', ARGV[3])
redis.call('HSET', KEYS[2], 'seq', ARGV[2], 'hash', ARGV[4])
return {}
"""


class AuditUnavailable(RuntimeError):  # noqa: N818 - a state of the world, as callers see it
    """The entry could not be written, so what it is about must not be done."""


@dataclass(frozen=True, slots=True)
class Trail:
    """Who asks, and from where."""

    account: str | None = None
    token: str | None = None
    address: str | None = None
    request_id: str | None = None


class AuditLog:
    """Appends and reads. One object a process; every method may be called from any thread."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._append = client.register_script(_APPEND)
        self._lock = threading.Lock()
        self._head: Head | None = None
        self.highest: Head | None = None  # that this process ever saw; the log never ends before it

    def append(self, event: str, trail: Trail | None = None, **details: Any) -> Entry:
        """Write one entry; it is in the log when this returns. Raises AuditUnavailable."""
        if not self._lock.acquire(timeout=_LOCK_S):
            log.error("audit entry could not be written", audit_event=event, reason="others wait already")
            raise AuditUnavailable(event)
        try:
            return self._offer(_fields(event, trail or Trail(), details))
        except (redis.RedisError, OSError) as error:
            log.error("audit entry could not be written", audit_event=event, reason=type(error).__name__)
            raise AuditUnavailable(event) from error
        finally:
            self._lock.release()

    def _offer(self, fields: dict[str, Any]) -> Entry:
        for _ in range(_ATTEMPTS):
            entry = Entry.following(self._head, fields)
            arguments: list[str | int] = [self._head.hash if self._head else "", entry.seq, entry.text, entry.hash]
            there = cast("list[bytes]", self._append([AUDIT_STREAM, AUDIT_HEAD], arguments))
            mine = Head(entry.seq, entry.hash)
            found = Head(int(there[0]), there[1].decode()) if there and there[1] else None
            if not there or found == mine:  # the second: it was taken, and only the answer was lost
                self._see(mine)
                return entry
            was, now = self._head, found
            self._see(found)
            if was is not None and (now is None or now.seq <= was.seq):
                log.error("the audit log is not what it was", was=str(was), now=str(now))
                self._offer(_fields("audit.shortened", Trail(), {"was": str(was), "now": str(now) if now else None}))
        raise redis.RedisError("other processes were always faster")

    def _see(self, head: Head | None) -> None:
        self._head = head
        if head is not None and (self.highest is None or head.seq > self.highest.seq):
            self.highest = head

    # -- reading ---------------------------------------------------------------------------------

    def head(self) -> Head | None:
        """The last entry's number and hash, None before the first. May raise ``redis.RedisError``."""
        seq, digest = cast("list[bytes | None]", self._redis.hmget(AUDIT_HEAD, "seq", "hash"))
        return Head(int(seq), digest.decode()) if seq and digest else None

    def lines(self) -> Iterator[bytes]:
        """Every entry's JSON from the first on. May raise ``redis.RedisError``."""
        after = "-"
        while True:
            batch = cast(
                "list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrange(AUDIT_STREAM, min=after, count=_BATCH)
            )
            for _, fields in batch:
                yield fields.get(b"entry", b"")
            if len(batch) < _BATCH:
                return
            after = f"({batch[-1][0].decode()}"

    def newest(self, before: int | None = None, count: int = _BATCH) -> list[dict[str, Any]]:
        """Entries below a number, newest first. What cannot be read is shown as broken, never left out."""
        top = "+" if before is None else f"({before}-0"
        batch = cast(
            "list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrevrange(AUDIT_STREAM, max=top, count=count)
        )
        return [_shown(position, fields) for position, fields in batch]

    def verify(self, head: Head | None = None) -> Verification:
        """Check the whole log as it is stored, against its stored head and all that is known besides.

        Args:
            head: that was noted elsewhere; the highest one that this process saw is known anyway.
        """
        highest, stored = self.highest, self.head()
        found = verify_chain(self.lines(), head, highest, stored)
        if found.intact and found.checked and stored is None:
            return Verification(found.checked, found.head, found.checked + 1, "the stored head of the log is missing")
        return found


def _fields(event: str, trail: Trail, details: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "event": event,
        "account": trail.account,
        "token": trail.token,
        "address": trail.address,
        "request_id": trail.request_id,
        "details": details,
    }


def _shown(position: bytes, fields: dict[bytes, bytes]) -> dict[str, Any]:
    number = int(position.partition(b"-")[0])
    try:
        entry: dict[str, Any] = json.loads(fields[b"entry"])
        return {name: entry[name] for name in Entry.__slots__} | {"seq": number}
    except (ValueError, KeyError, TypeError, RecursionError):
        return dict.fromkeys(Entry.__slots__) | {"seq": number, "event": "broken", "details": {}}
