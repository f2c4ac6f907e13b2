"""How pages ask the store."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

import pytest

from service.api.scoped import Scoped
from service.dashboard.desk import Desk


def test_a_page_that_is_left_ends_where_it_waits_and_goes_on_with_no_answer_that_is_none() -> None:
    desk, asked, answer = Desk(cast(Scoped, None)), threading.Event(), threading.Event()

    def question() -> str:
        asked.set()
        answer.wait(10)
        return "late"

    async def leave() -> None:
        page = asyncio.create_task(desk.ask(question))
        await asyncio.to_thread(asked.wait, 10)
        page.cancel()
        with pytest.raises(asyncio.CancelledError):
            await page
        assert await desk.ask(lambda: None) is None

    try:
        asyncio.run(leave())
    finally:
        answer.set()
