"""The two ways to look at the cameras: one below the other, and where they stand."""

from __future__ import annotations

from nicegui import ui

from service.dashboard import strings
from service.dashboard.elements import heading, link

__all__ = ["camera_tabs"]


def camera_tabs(here: str) -> None:
    """The page's heading, and the ways to both; `here` is the path of one."""
    heading(strings.CAMERAS)
    with ui.element("nav").classes("tp-segments").props(f'aria-label="{strings.CAMERA_VIEWS}"'):
        for path, title in (("/cameras", strings.CAMERA_LIST), ("/cameras/plan", strings.PLAN)):
            way = link(title, path)
            if path == here:
                way.props["aria-current"] = "page"
