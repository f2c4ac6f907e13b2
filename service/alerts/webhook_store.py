"""Webhooks in Redis, and a queue for each: what is due, what is being sent, what was given up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis
import structlog

from service.alerts import keys
from service.alerts.webhook import DeadLetter, Webhook, WebhookStatus
from service.gallery.records import RecordError
from service.gallery.store import redis_at_work

__all__ = ["MAX_WEBHOOKS", "WebhookEnded", "WebhookError", "WebhookStore"]

log = structlog.get_logger("tapetum.webhooks")

MAX_WEBHOOKS = 20
MAX_DEAD = 10_000  # of one webhook; the oldest go
MAX_DUE = 10_000  # of one webhook; the oldest are given up
_ATTEMPTS = 20
_CURSOR = re.compile(r"(\d{1,15})\.([0-9A-Z]{26})")

# KEYS: webhooks, ended. ARGV: id, JSON, most. Returns 'added', 'there', 'ended' for an id that was, or 'full'.
_ADD = """#!lua
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'there' end
if redis.call('EXISTS', KEYS[2]) == 1 then return 'ended' end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'added'
"""

# KEYS: webhooks. ARGV: id, what was read, what comes. Returns whether it still was that.
_CHANGE = """#!lua
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""

# KEYS: due. ARGV: for how many milliseconds nobody else gets it. Returns what is due first; new alerts before others.
_CLAIM = """#!lua
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)
if due[1] then redis.call('ZADD', KEYS[1], now + ARGV[1], due[1]) end
return due[1]
"""

# KEYS: due, dead, attempts. ARGV: alert, JSON of the attempts, milliseconds until the next ('' gives up), most dead.
_FAIL = """#!lua
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
if ARGV[3] ~= '' then
  redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
  return 1
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], now, ARGV[1])
for _, old in ipairs(redis.call('ZRANGE', KEYS[2], 0, -ARGV[4] - 1)) do
  redis.call('ZREM', KEYS[2], old)
  redis.call('HDEL', KEYS[3], old)
end
return 1
"""

# KEYS: due, dead, attempts. ARGV: alerts. Returns how many of them were dead and are due now.
_RETRY = """#!lua
local count = 0
for _, id in ipairs(ARGV) do
  if redis.call('ZREM', KEYS[2], id) == 1 then
    redis.call('HDEL', KEYS[3], id)
    redis.call('ZADD', KEYS[1], 0, id)
    count = count + 1
  end
end
return count
"""


class WebhookError(ValueError):
    """The webhook cannot be added or changed; the message is a sentence for the one who asked."""


class WebhookEnded(WebhookError):  # noqa: N818  a kind of WebhookError
    """There was one of this id, and it was removed."""


class WebhookStore:
    """The webhooks. Every method raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._add = client.register_script(_ADD)
        self._change = client.register_script(_CHANGE)
        self._claim = client.register_script(_CLAIM)
        self._fail = client.register_script(_FAIL)
        self._retry = client.register_script(_RETRY)

    # -- webhooks ----------------------------------------------------------------------------------

    def all(self) -> list[Webhook]:
        """By the time they were made; what cannot be read is left out."""
        with redis_at_work():
            stored = cast("dict[bytes, bytes]", self._redis.hgetall(keys.WEBHOOKS))
        found = []
        for one, text in stored.items():
            try:
                found.append(Webhook.from_json(one.decode(), text))
            except RecordError as error:
                log.error("webhook is left out", reason=str(error)[:200])
        return sorted(found, key=lambda webhook: webhook.id)

    def get(self, webhook_id: str) -> Webhook | None:
        return next((webhook for webhook in self.all() if webhook.id == webhook_id), None)

    def wanting(self, camera_id: str) -> list[str]:
        """Ids of those that get the alerts of a camera."""
        return [webhook.id for webhook in self.all() if webhook.wants(camera_id)]

    def add(self, webhook: Webhook) -> bool:
        """Returns whether it was added; False where there is one of its id.

        Raises:
            WebhookEnded: there was one of its id.
            WebhookError: there are many.
        """
        with redis_at_work():
            said = self._add([keys.WEBHOOKS, keys.ENDED + webhook.id], [webhook.id, webhook.to_json(), MAX_WEBHOOKS])
        if said == b"full":
            raise WebhookError(f"There are {MAX_WEBHOOKS} webhooks, as many as there may be.")
        if said == b"ended":
            raise WebhookEnded("The webhook was removed.")
        return bool(said == b"added")

    def change(self, webhook_id: str, changed: Callable[[Webhook], Webhook]) -> Webhook | None:
        """Change one in one step. Returns the new one, None when there is none."""
        for _ in range(_ATTEMPTS):
            with redis_at_work():
                text = cast("bytes | None", self._redis.hget(keys.WEBHOOKS, webhook_id))
            if text is None:
                return None
            new = changed(Webhook.from_json(webhook_id, text))
            with redis_at_work():
                if self._change([keys.WEBHOOKS], [webhook_id, text, new.to_json()]):
                    return new
        raise WebhookError("The webhook is being changed again and again by others. Try again.")

    def remove(self, webhook_id: str) -> bool:
        """Whether there was one. What was to be sent to it is forgotten."""
        with redis_at_work(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(keys.WEBHOOKS, webhook_id)
            pipe.hdel(keys.STATUS, webhook_id)
            pipe.delete(*self._queues(webhook_id))
            pipe.set(keys.ENDED + webhook_id, 1, ex=keys.ENDED_KEPT_S)
            return bool(pipe.execute()[0])

    def status(self, webhook_id: str) -> WebhookStatus:
        due, dead, _ = self._queues(webhook_id)
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hget(keys.STATUS, webhook_id)
            pipe.zcard(due)
            pipe.zcard(dead)
            text, waiting, given_up = pipe.execute()
        last: dict[str, Any] = json.loads(text) if text else {}
        at = datetime.fromisoformat(last["at"]) if "at" in last else None
        return WebhookStatus(at, last.get("error"), waiting, given_up)

    # -- the queue ---------------------------------------------------------------------------------

    def claim(self, webhook_id: str, lease_s: float) -> str | None:
        """An alert that is due, None for none; for the time of the lease nobody else gets it."""
        with redis_at_work():
            found = cast("bytes | None", self._claim([keys.DUE + webhook_id], [int(lease_s * 1000)]))
        return found.decode() if found is not None else None

    def delivered(self, webhook_id: str, alert_id: str, at: datetime | None) -> None:
        """It need not be sent any more: it arrived, at a time, or (None) there is no such alert."""
        due, dead, attempts = self._queues(webhook_id)
        with redis_at_work(), self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(due, alert_id)
            pipe.zrem(dead, alert_id)  # given up for want of room while it was on its way
            pipe.hdel(attempts, alert_id)
            pipe.execute()
        if at is not None:
            self.note(webhook_id, at, None)

    def failed(
        self, webhook_id: str, alert_id: str, at: datetime, error: str, pause_s: Callable[[int], float | None]
    ) -> bool:
        """It could not be sent. Returns whether it was given up.

        Args:
            pause_s: by the number of attempts so far, how long to wait for the next; None gives up.
        """
        names = self._queues(webhook_id)
        with redis_at_work():
            text = cast("bytes | None", self._redis.hget(names[2], alert_id))
        count = (json.loads(text)["count"] if text else 0) + 1
        pause = pause_s(count)
        value = json.dumps({"count": count, "error": error})
        with redis_at_work():
            self._fail(names, [alert_id, value, "" if pause is None else int(pause * 1000), MAX_DEAD])
        self.note(webhook_id, at, error)
        return pause is None

    def give_up_excess(self, webhook_id: str) -> int:
        """Give up the oldest of what is due beyond `MAX_DUE`. Returns how many."""
        names = self._queues(webhook_id)
        with redis_at_work():
            if self._redis.zcard(names[0]) <= MAX_DUE:
                return 0
            due = sorted(cast("list[bytes]", self._redis.zrange(names[0], 0, -1)))  # ids rise with time
            excess = due[: max(0, len(due) - MAX_DUE)]
            count = 0
            for start in range(0, len(excess), 1000):
                chunk = excess[start : start + 1000]
                attempts = cast("list[bytes | None]", self._redis.hmget(names[2], [one.decode() for one in chunk]))
                for one, text in zip(chunk, attempts, strict=True):
                    tried = json.loads(text)["count"] if text else 0
                    value = json.dumps({"count": tried, "error": "Too many are waiting."})
                    count += int(cast("int", self._fail(names, [one, value, "", MAX_DEAD])))
        return count

    def note(self, webhook_id: str, at: datetime, error: str | None) -> None:
        """How the last attempt went."""
        with redis_at_work():
            if self._redis.hexists(keys.WEBHOOKS, webhook_id):
                self._redis.hset(keys.STATUS, webhook_id, json.dumps({"at": at.isoformat(), "error": error}))

    # -- dead letters ------------------------------------------------------------------------------

    def dead(self, webhook_id: str, limit: int, cursor: str | None = None) -> tuple[list[DeadLetter], str | None]:
        """One page of what was given up, newest first, and the cursor of the next. Raises ValueError for a cursor."""
        before = _read_cursor(cursor) if cursor is not None else None
        _, name, attempts = self._queues(webhook_id)
        found: list[tuple[int, str]] = []
        offset = 0
        while len(found) <= limit:
            top = "+inf" if before is None else before[0]
            with redis_at_work():
                reply = self._redis.zrevrangebyscore(name, top, "-inf", start=offset, num=limit + 1, withscores=True)
            chunk = [(int(score), member.decode()) for member, score in cast("list[tuple[bytes, float]]", reply)]
            offset += len(chunk)
            found += [one for one in chunk if before is None or one < before]
            if len(chunk) <= limit:
                break
        shown = found[:limit]
        values: list[bytes | None] = []
        if shown:
            with redis_at_work():
                values = cast("list[bytes | None]", self._redis.hmget(attempts, [one for _, one in shown]))
        letters = [
            DeadLetter.of(one, datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at), json.loads(text or b"{}"))
            for (at, one), text in zip(shown, values, strict=True)
        ]
        return letters, "{}.{}".format(*shown[-1]) if len(found) > limit else None

    def retry(self, webhook_id: str, alert_ids: Sequence[str] | None = None) -> int:
        """Send again what was given up: these alerts, or all. Returns how many."""
        names = self._queues(webhook_id)
        with redis_at_work():
            chosen = list(alert_ids) if alert_ids is not None else self._redis.zrange(names[1], 0, -1)
            count = 0
            for start in range(0, len(chosen), 1000):
                count += int(cast("int", self._retry(names, cast("Any", chosen[start : start + 1000]))))
            return count

    @staticmethod
    def _queues(webhook_id: str) -> list[str]:
        """Due, dead, attempts."""
        return [keys.DUE + webhook_id, keys.DEAD + webhook_id, keys.ATTEMPTS + webhook_id]


def _read_cursor(cursor: str) -> tuple[int, str]:
    match = _CURSOR.fullmatch(cursor)
    if not match:
        raise ValueError("cursor: expected one that an earlier page returned")
    return int(match[1]), match[2]
