"""The newest sightings of some part of the gallery, kept up to date."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from service.dashboard import strings
from service.dashboard.components import CardGroup, SightingGrid
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import empty
from service.dashboard.sighting_dialog import SightingDialog
from service.dashboard.wording import sighting_card
from service.gallery import GalleryFilter

__all__ = ["LatestSightings"]


class LatestSightings:
    """Built in place; `refresh` reads anew.

    Args:
        on_search: gets the id of a sighting to search with.
        nothing: title and text for when filters let nothing through.
    """

    def __init__(
        self,
        desk: Desk,
        limit: int,
        *,
        on_search: Callable[[str], Awaitable[None]],
        nothing: tuple[str, str] = (strings.NOTHING, strings.NOTHING_TEXT),
    ) -> None:
        self._desk = desk
        self._limit = limit
        self._on_search = on_search
        self._nothing = nothing
        self._filters = GalleryFilter()
        self._told: tuple[str, str] | None = None
        self._dialog = SightingDialog(desk, on_act=self._acted)
        self._grid = SightingGrid(label=strings.LATEST, acts=("search",), on_open=self._open, on_act=self._acted)
        self._message = ui.element("div").props('role="status"')

    async def show(self, filters: GalleryFilter) -> None:
        """Those of another part of the gallery."""
        self._filters = filters
        await self.refresh()

    async def refresh(self) -> None:
        """Read anew; while the store is away the cards stay as they were."""
        try:
            cards = await self._desk.ask(self._read)
        except Unanswered as error:
            self._tell(("cloud_off", str(error)))
            return
        self._grid.show([CardGroup(key="", title="", note="", items=cards)] if cards else [])
        narrowed = self._filters != GalleryFilter()
        self._tell(None if cards else ("search_off" if narrowed else "person_search", ""))

    def _tell(self, told: tuple[str, str] | None) -> None:
        if told == self._told:
            return
        self._told = told
        self._message.clear()
        if told is None:
            return
        icon, problem = told
        with self._message:
            if problem:
                empty(icon, problem, bad=True)
            elif icon == "search_off":
                empty(icon, *self._nothing)
            else:
                empty(icon, strings.NO_SIGHTINGS, strings.NO_SIGHTINGS_TEXT)

    def _read(self) -> list[dict[str, Any]]:
        scoped = self._desk.scoped
        names = scoped.camera_names()
        records = scoped.tracklets(self._filters, limit=self._limit).records
        return [sighting_card(record, names, self._desk.clock) for record in records]

    async def _open(self, item: dict[str, Any]) -> None:
        await self._dialog.open(str(item.get("id", "")))

    async def _acted(self, act: dict[str, Any]) -> None:
        one = act.get("id")
        if act.get("name") == "search" and isinstance(one, str):
            await self._on_search(one)
