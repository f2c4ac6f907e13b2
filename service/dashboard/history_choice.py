"""Which stretch of time figures are shown of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from service.dashboard import strings

__all__ = ["HistoryChoice"]


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

    async def _choose(self, hours: int) -> None:
        self.hours = hours
        self._mark()
        await self._on_change()

    def _mark(self) -> None:
        for hours, button in self._buttons.items():
            button.props["aria-pressed"] = "true" if hours == self.hours else "false"
            button.update()
