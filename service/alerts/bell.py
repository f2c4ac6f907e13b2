"""Rings in every API process when an alert was raised in any of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, cast

import redis
import redis.asyncio
import structlog

from service import tasks
from service.alerts import keys
from service.gallery.feed import entries_of

__all__ = ["AlertBell"]

log = structlog.get_logger("tapetum.alerts")

_BLOCK_MS = 1000
_PAUSE_S = 0.5


class AlertBell:
    """One connection for any number of listeners. It says only that it is worth looking, also after Redis was away.

    To be used within one event loop; `close` it before the loop ends.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever it rings; clear it before looking, not after."""
        rung = asyncio.Event()
        self._listeners.add(rung)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name="alert-bell")
        try:
            yield rung
        finally:
            self._listeners.discard(rung)

    async def close(self) -> None:
        if self._task is not None:
            await tasks.end(self._task)
            self._task = None

    async def _watch(self) -> None:
        """As long as somebody listens."""
        while self._listeners:
            client = redis.asyncio.Redis.from_url(self._url, socket_timeout=5.0, socket_connect_timeout=2.0)
            try:
                await self._ring_for_ever(client)
            except (redis.RedisError, OSError) as error:
                log.debug("the alert bell waits for Redis", reason=str(error))
                await asyncio.sleep(_PAUSE_S)
            finally:
                with contextlib.suppress(redis.RedisError, OSError):
                    await client.aclose()

    async def _ring_for_ever(self, client: redis.asyncio.Redis) -> None:
        newest = cast("list[Any]", await client.xrevrange(keys.ALERTS, count=1))
        position = newest[0][0] if newest else "0-0"
        self._ring()  # for what was raised before this connection
        while self._listeners:
            raised = entries_of(await client.xread({keys.ALERTS: position}, block=_BLOCK_MS))
            if raised:
                position = raised[-1][0]
                self._ring()

    def _ring(self) -> None:
        for rung in self._listeners:
            rung.set()
