"""Ending tasks, also those that lose a cancellation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import pytest

from service.alerts.bell import AlertBell
from service.live import LiveHub
from service.tasks import end

NOWHERE = "redis://127.0.0.1:9/0"


async def _stubborn(*_: object) -> None:
    """Loses the first cancellation, as what stands in `asyncio.wait_for` does now and then."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def _in_time(ending: Coroutine[Any, Any, None]) -> None:
    """`asyncio.wait_for` will not do: it would cancel what hangs, and with it the task."""
    done, _ = await asyncio.wait([asyncio.ensure_future(ending)], timeout=5)
    assert done


def test_a_task_ends_though_it_lost_a_cancellation() -> None:
    async def begin_and_end() -> bool:
        task = asyncio.create_task(_stubborn())
        await asyncio.sleep(0)
        await _in_time(end(task))
        return task.cancelled()

    assert asyncio.run(begin_and_end())


def test_what_a_task_raised_is_told() -> None:
    async def fail() -> None:
        raise ValueError("no picture")

    async def begin_and_end() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await end(task)

    with pytest.raises(ValueError, match="no picture"):
        asyncio.run(begin_and_end())


def test_the_live_hub_closes_though_its_reader_lost_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveHub, "_read_for_ever", _stubborn)

    async def watch_and_close() -> None:
        hub = LiveHub(NOWHERE)
        viewer = asyncio.ensure_future(anext(hub.frames("hall")))
        await asyncio.sleep(0.01)
        await _in_time(hub.close())
        viewer.cancel()

    asyncio.run(watch_and_close())


def test_the_alert_bell_closes_though_its_watch_lost_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AlertBell, "_watch", _stubborn)

    async def listen_and_close() -> None:
        bell = AlertBell(NOWHERE)
        with bell.listening():
            await asyncio.sleep(0.01)
            await _in_time(bell.close())

    asyncio.run(listen_and_close())
