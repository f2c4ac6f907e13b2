"""Tasks that end when they are told to."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["end"]

_AGAIN_S = 0.5


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it is done. Raises what it raised.

    Again and again, because a task may lose a cancellation: up to Python 3.11 `asyncio.wait_for`, under which redis-py
    sends each command, drops one that comes when what it waits for is just done (python/cpython#86296).
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_S)
    with contextlib.suppress(asyncio.CancelledError):
        task.result()
