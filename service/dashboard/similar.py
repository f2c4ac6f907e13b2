"""The sightings most similar to one, for whoever asks for them: opening a page is no search."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from service.dashboard import strings
from service.dashboard.asking import Asking
from service.dashboard.components import CardGroup, SightingGrid
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import empty, heading, plain
from service.dashboard.sighting_dialog import SightingDialog
from service.dashboard.wording import sighting_card

__all__ = ["SimilarSightings"]

COUNT = 8


class SimilarSightings:
    """Built in place, with a button that asks."""

    def __init__(self, desk: Desk, asking: Asking, tracklet_id: str) -> None:
        self._desk, self._asking, self._id = desk, asking, tracklet_id
        with ui.element("section").classes("tp-block"):
            heading(strings.SIMILAR, level=2)
            with ui.element("div").classes("tp-line") as self._ask:
                self._button = plain(strings.SIMILAR_ASK, self._show, icon="image_search")
                ui.label(strings.SIMILAR_TEXT).classes("tp-quiet")
            self._dialog = SightingDialog(desk, on_act=self._acted)
            self._grid = SightingGrid(label=strings.SIMILAR, acts=("search",), on_open=self._open, on_act=self._acted)
            self._message = ui.element("div").props('role="status"')

    async def _show(self) -> None:
        self._button.disable()
        try:
            matches = await self._asking.similar(self._id, COUNT)
            names = await self._desk.camera_names() if matches else {}
        except Unanswered as error:
            ui.notify(str(error), type="negative", position="top")
            matches = None
        if matches is None:
            self._button.enable()
            return
        cards = [sighting_card(match.record, names, self._desk.clock, match) for match in matches]
        self._ask.set_visibility(False)
        self._grid.show([CardGroup(key="", title="", note="", items=cards)] if cards else [])
        with self._message:
            if cards:
                ui.label(strings.EVIDENCE).classes("tp-note")
            else:
                empty("search_off", *strings.NO_SIMILAR)

    async def _open(self, item: dict[str, Any]) -> None:
        await self._dialog.open(str(item.get("id", "")))

    async def _acted(self, act: dict[str, Any]) -> None:
        one = act.get("id")
        if act.get("name") == "search" and isinstance(one, str):
            await self._asking.search_tracklet(one)
