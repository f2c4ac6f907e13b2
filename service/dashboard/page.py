"""The dashboard of one browser tab: the head with the ways to every page, and the page below it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nicegui import ui

from service.api.scoped import Scoped
from service.dashboard import strings
from service.dashboard.components import ToolBar
from service.dashboard.desk import Desk
from service.dashboard.elements import empty, quiet
from service.dashboard.logo import LOGO
from service.dashboard.pages.audit import AuditPage
from service.dashboard.pages.live import LivePage
from service.dashboard.pages.system import SystemPage
from service.dashboard.status import StatusLine
from service.security.access import Access, Permission

__all__ = ["PATHS", "build_page"]

_STYLE = (Path(__file__).parent / "theme.css").read_text(encoding="utf-8")
_LOG_OUT = """
await fetch('/api/v1/session', {method: 'DELETE', headers: {'X-Tapetum-Request': '1'}});
location.replace('/login');
"""
# Before anything is drawn, so that nobody is dazzled for a moment.
_THEME = """
<script>
(() => {
  let kept = null;
  try { kept = localStorage.getItem("tapetum-theme"); } catch {}
  const light = kept ? kept === "light" : matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = light ? "light" : "dark";
})();
</script>
"""
# Which way of the head is lit, and the tab's title, follow the address.
_HERE = """
(path, titles) => {
  const head = "/" + path.split(/[/?#]/)[1];
  for (const a of document.querySelectorAll(".tp-nav a"))
    a.getAttribute("href") === head ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current");
  document.title = (titles[head] ? titles[head] + " · " : "") + "Tapetum";
}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One page: what its way is called, the key that leads there, what one must be allowed, and who builds it.

    Attributes:
        key: after ``g``.
        deeper: builds what lies below, ``/path/{one}``; None where nothing does.
    """

    path: str
    title: str
    key: str
    permission: Permission
    build: Callable[[Desk], Awaitable[None]]
    deeper: Callable[[Desk, str], Awaitable[None]] | None = None


PLACES = (
    Place("/", strings.LIVE, "l", Permission.VIEW, lambda desk: LivePage(desk).build()),
    Place("/system", strings.SYSTEM, "y", Permission.SYSTEM, lambda desk: SystemPage(desk).build()),
    Place("/audit", strings.AUDIT, "a", Permission.AUDIT, lambda desk: AuditPage(desk).build()),
)
PATHS = tuple(p for place in PLACES for p in ((place.path, f"{place.path}/{{one}}") if place.deeper else (place.path,)))


class _Pages(ui.sub_pages):
    """Says in our own words what NiceGUI would say in its."""

    def _render_404(self) -> None:
        with ui.element("div").classes("tp-page"):
            empty("explore_off", strings.NO_PAGE, strings.NO_PAGE_TEXT)

    def _render_error(self, error: Exception) -> None:
        with ui.element("div").classes("tp-page"):
            empty("error_outline", strings.PAGE_FAILED, strings.PAGE_FAILED_TEXT, bad=True)


async def build_page(scoped: Scoped) -> None:
    """Build what one tab shows; everything in it ends when the tab is closed."""
    ui.add_head_html(_THEME)
    ui.add_css(_STYLE)
    ui.query("body").classes("tp")
    desk = Desk(scoped)
    places = _allowed(scoped.access)
    with ui.element("header").classes("tp-head"):
        ui.html(f'<a class="tp-brand" href="/">{LOGO}<span>{strings.TITLE}</span></a>', sanitize=False)
        with ui.element("nav").classes("tp-nav").props(f'aria-label="{strings.PAGES}"'):
            for place in places:
                ui.html(escape(place.title), sanitize=False, tag="a").props(f'href="{place.path}"')
        ui.element("span").classes("tp-grow")
        status = StatusLine(scoped)
        ui.label(strings.WHO.format(account=scoped.access.account, role=strings.ROLES[scoped.access.role])).classes(
            "tp-quiet tp-who"
        )
        ToolBar({place.key: place.path for place in places})
        quiet(strings.LOG_OUT, lambda: ui.run_javascript(_LOG_OUT), icon="logout")
    status.banner()
    titles = json.dumps({place.path: place.title for place in places})
    client = ui.context.client

    def moved(path: str) -> None:
        client.run_javascript(f"({_HERE})({json.dumps(path)}, {titles})")

    client.sub_pages_router.on_path_changed(moved)
    with ui.element("main").classes("tp-main"):
        _Pages(_routes(desk, places))
    await client.connected()
    client.run_javascript(f"({_HERE})(location.pathname, {titles})")
    await desk.learn_zone()
    ui.timer(2.0, status.refresh)


def _allowed(access: Access) -> list[Place]:
    """What a role may not do is not shown; that it is not done either is up to `Scoped`."""
    return [place for place in PLACES if access.may(place.permission)]


def _routes(desk: Desk, places: list[Place]) -> dict[str, Callable[..., Awaitable[None]]]:
    routes: dict[str, Callable[..., Awaitable[None]]] = {}
    for place in places:
        routes[place.path] = _at(desk, place.build)
        if place.deeper is not None:
            routes[f"{place.path}/{{one}}"] = _below(desk, place.deeper)
    return routes


def _at(desk: Desk, build: Callable[[Desk], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def builder() -> None:
        await build(desk)

    return builder


def _below(desk: Desk, build: Callable[[Desk, str], Awaitable[None]]) -> Callable[[str], Awaitable[None]]:
    async def builder(one: str) -> None:
        await build(desk, one)

    return builder
