"""Which stretch of time figures are shown of, and how they are drawn anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from nicegui import ui

from service.api.history import Window, window
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import empty

__all__ = ["HistoryChoice", "draw_anew"]

T = TypeVar("T")


async def draw_anew(desk: Desk, body: ui.element, read: Callable[[], T], draw: Callable[[T], None]) -> T | None:
    """Draw in `body` what is read now, and return it; or say there why it cannot be, and return None."""
    try:
        found = await desk.ask(read)
    except Unanswered as error:
        body.clear()
        with body:
            empty("cloud_off", str(error), bad=True)
        return None
    body.clear()
    with body:
        draw(found)
    return found


class HistoryChoice:
    """A row of buttons; `hours` is what is chosen."""

    def __init__(self, on_change: Callable[[], Awaitable[None]]) -> None:
        self.hours = next(iter(strings.WINDOWS))
        self._on_change = on_change
        self._buttons: dict[int, ui.element] = {}
        with ui.element("div").classes("tp-segments").props(f'role="group" aria-label="{strings.WINDOW}"'):
            for hours, text in strings.WINDOWS.items():
                self._buttons[hours] = ui.element("button").props("type=button")
                with self._buttons[hours]:
                    ui.label(text)
                self._buttons[hours].on("click", lambda h=hours: self._choose(h))
        self._mark()

    def window(self) -> Window:
        """The chosen time until now."""
        now = datetime.now(UTC)
        return window(now - timedelta(hours=self.hours), now, None)

    async def _choose(self, hours: int) -> None:
        self.hours = hours
        self._mark()
        await self._on_change()

    def _mark(self) -> None:
        for hours, button in self._buttons.items():
            button.props["aria-pressed"] = "true" if hours == self.hours else "false"
            button.update()
