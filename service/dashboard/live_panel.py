"""The left half: the live wall, or what to do when there is no camera yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from nicegui import run, ui

from service.api.scoped import Scoped
from service.dashboard import strings
from service.dashboard.components import LiveWall
from service.dashboard.elements import heading, primary, quiet
from service.dashboard.pace import Pace
from service.dashboard.wording import camera_tile
from service.security.access import Permission

__all__ = ["LivePanel"]


SLOW_S = 3.0


class LivePanel:
    """Built in place. `on_person` gets the id of a clicked person's sighting."""

    def __init__(self, scoped: Scoped, *, on_person: Callable[[str], Awaitable[None]]) -> None:
        may_add = scoped.access.may(Permission.ADD_CAMERAS)
        self._scoped = scoped
        self._on_person = on_person
        with ui.element("div").classes("tp-line"):
            heading(strings.LIVE)
            ui.element("span").classes("tp-grow")
            for meaning in (strings.BOX_READY, strings.BOX_NEW):
                ui.html(f"<i></i>{meaning}", sanitize=False, tag="span").classes("tp-legend")
            self._low = quiet(strings.LOW_BANDWIDTH, self._switch, icon="network_cell")
            self._low.props["aria-pressed"] = "false"
            self._low.props["title"] = strings.LOW_BANDWIDTH_TITLE
            whole = quiet(strings.FULL_SCREEN, icon="fullscreen")
            whole.on("click", js_handler="(e) => e.target.closest('section').requestFullscreen()")
        self._pace = Pace()
        with ui.element("div").classes("tp-banner tp-banner-quiet").props('role="status"') as self._late:
            ui.icon("hourglass_bottom", size="20px")
            self._told_late = ui.label()
        self._late.set_visibility(False)
        self._wall = LiveWall(socket_path="/api/v1/live", on_person=self._picked)
        with ui.element("div").classes("tp-empty") as self._empty:
            ui.icon("videocam", size="36px")
            ui.html(f"<strong>{strings.NO_CAMERAS}</strong>", sanitize=False)
            ui.label(strings.NO_CAMERAS_TEXT if may_add else strings.NO_CAMERAS_FOR_YOU)
            if may_add:
                primary(strings.ADD_CAMERA, lambda: ui.navigate.to("/cameras"), icon="add")
        self._empty.set_visibility(False)

    def _switch(self) -> None:
        slow = self._low.props["aria-pressed"] == "false"
        self._low.props["aria-pressed"] = "true" if slow else "false"
        self._low.update()
        self._wall.slow_down(SLOW_S if slow else 0)

    async def refresh(self) -> None:
        """Read cameras and their health again. While Redis is away the tiles stay as they were."""
        try:
            found = await run.io_bound(self._read)
        except Exception:
            return
        if found is None:
            return
        tiles, seldom = found
        self._late.set_visibility(bool(seldom))
        if seldom:
            cameras, seconds = strings.cameras(len(seldom)), round(max(seldom.values()))
            self._told_late.text = strings.CANNOT_KEEP_UP.format(cameras=cameras, seconds=seconds)
        self._wall.show(tiles)
        self._wall.set_visibility(bool(tiles))
        self._empty.set_visibility(not tiles)

    def _read(self) -> tuple[list[dict[str, Any]], dict[str, float]]:
        """The tiles, and which cameras are looked at too seldom."""
        now = datetime.now(UTC)
        configs = self._scoped.cameras()
        reports = self._scoped.camera_health([c.id for c in configs])
        tiles = [camera_tile(self._scoped, c, reports.get(c.id), now) for c in configs]
        return tiles, self._pace.too_seldom(reports.values())

    async def _picked(self, person: dict[str, Any]) -> None:
        tracklet_id = person.get("tracklet_id")
        if isinstance(tracklet_id, str):
            await self._on_person(tracklet_id)
        else:
            ui.notify(strings.NOT_SEARCHABLE, type="info", position="top")
