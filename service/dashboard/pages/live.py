"""Who is here now: the wall of cameras, and beside it who came last."""

from __future__ import annotations

from nicegui import ui

from service.dashboard import strings
from service.dashboard.asking import Asking
from service.dashboard.desk import Desk
from service.dashboard.elements import heading
from service.dashboard.latest import LatestSightings
from service.dashboard.live_panel import LivePanel

__all__ = ["LivePage"]

LATEST = 24


class LivePage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk, asking: Asking) -> None:
        self._desk = desk
        self._asking = asking

    async def build(self) -> None:
        scoped = self._desk.scoped
        with ui.element("div").classes("tp-halves"):
            with ui.element("section").classes("tp-panel").props(f'aria-label="{strings.LIVE}"'):
                live = LivePanel(scoped, on_person=self._asking.search_live)
            with ui.element("section").classes("tp-panel").props(f'aria-label="{strings.LATEST}"'):
                with ui.element("div").classes("tp-line"):
                    heading(strings.LATEST, level=2)
                latest = LatestSightings(self._desk, LATEST, on_search=self._asking.search_tracklet)
        await self._desk.ready()
        await live.refresh()
        await latest.refresh()
        ui.timer(1.0, live.refresh)
        ui.timer(3.0, latest.refresh)
