"""The operator's page: who is here now on the left, where else somebody was on the right."""

from __future__ import annotations

from pathlib import Path

from nicegui import ui

from service.api.scoped import Scoped
from service.dashboard import strings
from service.dashboard.cameras_dialog import CamerasDialog
from service.dashboard.live_panel import LivePanel
from service.dashboard.logo import LOGO
from service.dashboard.search_panel import SearchPanel
from service.dashboard.status import StatusLine
from service.dashboard.wording import Clock
from service.security.access import Permission

__all__ = ["build_page"]

_STYLE = (Path(__file__).parent / "theme.css").read_text(encoding="utf-8")
_ZONE = "[Intl.DateTimeFormat().resolvedOptions().timeZone, new Date().getTimezoneOffset()]"
_LOG_OUT = """
await fetch('/api/v1/session', {method: 'DELETE', headers: {'X-Tapetum-Request': '1'}});
location.replace('/login');
"""


async def build_page(scoped: Scoped) -> None:
    """Build the page of one browser tab; everything in it ends when the tab is closed."""
    ui.add_css(_STYLE)
    ui.query("body").classes("tp")
    ui.colors(primary="#5fd4b6", negative="#ff8a80", dark="#151c22", dark_page="#0e1317")
    may_list = any(scoped.access.may(p) for p in (Permission.MANAGE_CAMERAS, Permission.ADD_CAMERAS))
    cameras = CamerasDialog(scoped) if may_list else None
    with ui.element("header").classes("tp-head"):
        ui.html(f'<h1 class="tp-brand">{LOGO}{strings.TITLE}</h1>', sanitize=False)
        ui.element("span").classes("tp-grow")
        status = StatusLine(scoped)
        if cameras is not None:
            ui.button(strings.CAMERAS, icon="videocam", on_click=cameras.open).props(
                "flat no-caps dense padding='4px 10px'"
            )
        ui.label(strings.WHO.format(account=scoped.access.account, role=strings.ROLES[scoped.access.role])).classes(
            "tp-quiet tp-who"
        )
        ui.button(strings.LOG_OUT, icon="logout", on_click=lambda: ui.run_javascript(_LOG_OUT)).props(
            "flat no-caps dense padding='4px 10px'"
        )
    status.banner()
    with ui.element("main").classes("tp-main"):
        search = SearchPanel(scoped)
        with ui.element("section").classes("tp-panel").props(f'aria-label="{strings.LIVE}"'):
            adding = cameras is not None and scoped.access.may(Permission.ADD_CAMERAS)
            live = LivePanel(
                scoped, on_person=search.search_tracklet, on_add=cameras.open_add if cameras and adding else None
            )
        with ui.element("section").classes("tp-panel").props(f'aria-label="{strings.SEARCH}"'):
            search.build()
    if cameras is not None:
        cameras.on_change = live.refresh
    await ui.context.client.connected()
    zone, offset = await ui.run_javascript(_ZONE, timeout=5.0)
    search.clock = Clock.of(zone, offset)
    await live.refresh()
    await search.show_latest()
    await search.refresh_latest()
    ui.timer(1.0, live.refresh)
    ui.timer(2.0, status.refresh)
    ui.timer(3.0, search.refresh_latest)
