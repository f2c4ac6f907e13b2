"""Who is here now on the left, where else somebody was on the right."""

from __future__ import annotations

from nicegui import ui

from service.dashboard import strings
from service.dashboard.cameras_dialog import CamerasDialog
from service.dashboard.desk import Desk
from service.dashboard.live_panel import LivePanel
from service.dashboard.search_panel import SearchPanel
from service.security.access import Permission

__all__ = ["LivePage"]


class LivePage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def build(self) -> None:
        scoped = self._desk.scoped
        may_list = self._desk.may(Permission.MANAGE_CAMERAS) or self._desk.may(Permission.ADD_CAMERAS)
        cameras = CamerasDialog(scoped) if may_list else None
        search = SearchPanel(scoped)
        with ui.element("div").classes("tp-halves"):
            with ui.element("section").classes("tp-panel").props(f'aria-label="{strings.LIVE}"'):
                live = LivePanel(scoped, on_person=search.search_tracklet, cameras=cameras)
            with ui.element("section").classes("tp-panel").props(f'aria-label="{strings.SEARCH}"'):
                search.build()
        if cameras is not None:
            cameras.on_change = live.refresh
        await self._desk.ready()
        search.clock = self._desk.clock
        await live.refresh()
        await search.show_latest()
        await search.refresh_latest()
        ui.timer(1.0, live.refresh)
        ui.timer(3.0, search.refresh_latest)
