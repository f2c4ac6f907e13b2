"""A page that lists things, newest first, and more of them when asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from nicegui import ui

from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import empty, quiet

__all__ = ["AT_ONCE", "ListPage"]

T = TypeVar("T")
AT_ONCE = 60


class ListPage(ABC, Generic[T]):
    """Of one tab, while it is looked at.

    Attributes:
        more: the words of the button for more.
        nothing: icon, heading and text where there is nothing.
    """

    more: str
    nothing: tuple[str, str, str]

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cursor: str | None = None

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line"):
                self._head()
            self._list = ui.element("ul").classes("tp-people")
            self._message = ui.element("div")
            with ui.element("div").classes("tp-line"):
                self._more = quiet(self.more, self._load, icon="expand_more")
                self._more.set_visibility(False)
        await self._desk.ready()
        await self._load()

    @abstractmethod
    def _head(self) -> None:
        """Draw the heading's line."""

    @abstractmethod
    async def _read(self, cursor: str | None) -> tuple[Sequence[T], str | None]:
        """The next things, and where to go on. Raises Unanswered."""

    @abstractmethod
    def _draw(self, one: T) -> None:
        """Draw one as an item of the list."""

    async def _load(self) -> None:
        first = self._cursor is None
        try:
            found, self._cursor = await self._read(self._cursor)
        except Unanswered as error:
            with self._message:
                empty("cloud_off", str(error), bad=True)
            return
        with self._list:
            for one in found:
                self._draw(one)
        if first and not found:
            with self._message:
                empty(*self.nothing)
        self._more.set_visibility(self._cursor is not None)
