"""The bell: rings for everybody who listens, also after Redis was away, and stops when nobody does."""

from __future__ import annotations

import asyncio
from typing import Any

from service.alerts import AlertBell, keys


async def rung_within(rung: asyncio.Event, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        await rung.wait()
    rung.clear()


def test_it_rings_for_all_and_through_a_death_of_redis(mortal_server: Any) -> None:
    client = mortal_server.client()
    client.xadd(keys.ALERTS, {"id": "before", "camera": "hall"})

    async def listen() -> None:
        bell = AlertBell(mortal_server.url)
        with bell.listening() as one, bell.listening() as other:
            for rung in (one, other):
                await rung_within(rung)  # when it begins: something may have come before
            await asyncio.to_thread(client.xadd, keys.ALERTS, {"id": "new", "camera": "hall"})
            for rung in (one, other):
                await rung_within(rung)
            await asyncio.to_thread(mortal_server.kill)
            await asyncio.to_thread(mortal_server.start)
            await rung_within(one)
            await asyncio.to_thread(mortal_server.client().xadd, keys.ALERTS, {"id": "later", "camera": "hall"})
            await rung_within(one)
        async with asyncio.timeout(20):
            await bell._task  # type: ignore[misc]  # nobody listens: it ends by itself
        with bell.listening() as again:
            await rung_within(again)
        await bell.close()
        await bell.close()

    asyncio.run(listen())
