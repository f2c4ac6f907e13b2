"""The dashboard of one browser tab: the head with the ways to every page, and the page below it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nicegui import ui

from service.api.scoped import Scoped
from service.dashboard import strings
from service.dashboard.asking import Asking
from service.dashboard.components import ToolBar
from service.dashboard.desk import Desk
from service.dashboard.elements import empty, link, quiet
from service.dashboard.logo import LOGO
from service.dashboard.pages.account import AccountPage
from service.dashboard.pages.alerts import AlertsPage
from service.dashboard.pages.audit import AuditPage
from service.dashboard.pages.camera import CameraPage
from service.dashboard.pages.cameras import CamerasPage
from service.dashboard.pages.case import CasePage
from service.dashboard.pages.cases import CasesPage
from service.dashboard.pages.live import LivePage
from service.dashboard.pages.pending import PendingPage
from service.dashboard.pages.plan import PlanPage
from service.dashboard.pages.search import SearchPage
from service.dashboard.pages.search_start import SearchStartPage
from service.dashboard.pages.sighting import SightingPage
from service.dashboard.pages.subject import SubjectPage
from service.dashboard.pages.subjects import SubjectsPage
from service.dashboard.pages.system import SystemPage
from service.dashboard.pages.users import UsersPage
from service.dashboard.pending_badge import PendingBadge
from service.dashboard.status import StatusLine
from service.gallery.records import CAMERA_ID, TRACKLET_ID
from service.security.access import Permission
from service.settings import Settings

__all__ = ["PATHS", "build_page"]

BADGE_S = 10.0
_STYLE = (Path(__file__).parent / "theme.css").read_text(encoding="utf-8")
_LOG_OUT = """
window.tapetumLeaving = true;
await fetch('/api/v1/session', {method: 'DELETE', headers: {'X-Tapetum-Request': '1'}});
location.replace('/login');
"""
# Before anything is drawn, so that nobody is dazzled or sees it without its style for a moment.
_THEME = """
<script>
(() => {
  let kept = null;
  try { kept = localStorage.getItem("tapetum-theme"); } catch {}
  const light = kept ? kept === "light" : matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = light ? "light" : "dark";
  document.documentElement.classList.add("tp");
})();
</script>
"""
# While the page's socket is away it asks whether somebody is still logged in here; who is not is told at the login, and
# comes back to where they were.
_SESSION = """
<script>
setInterval(async () => {
  if (!window.socket || window.socket.connected || window.tapetumLeaving) return;
  try {
    const answer = await fetch("/api/v1/session", { cache: "no-store" });
    if (answer.status !== 401 || window.tapetumLeaving) return;
    window.tapetumLeaving = true;
    location.replace("/login?because=ended&next=" + encodeURIComponent(location.pathname + location.search));
  } catch {
    return; // nobody answers: the page says so itself
  }
}, 1000);
</script>
"""
# Which way of the head is lit, the tab's title, and what is read out, follow the address.
_HERE = """
(path, titles) => {
  const head = "/" + path.split(/[/?#]/)[1];
  for (const a of document.querySelectorAll(".tp-nav a"))
    a.getAttribute("href") === head ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current");
  const told = document.querySelector(".tp-told");
  if (told) told.textContent = titles[head] || "";
  document.title = (titles[head] ? titles[head] + " · " : "") + "Tapetum";
}
"""


@dataclass(frozen=True, slots=True)
class Tab:
    """What the pages of one tab share.

    Attributes:
        decided: called when less waits for a second person than before.
    """

    desk: Desk
    asking: Asking
    decided: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Place:
    """What the head leads to: what it is called, the key that leads there, and what one must be allowed.

    Attributes:
        key: after ``g``.
        listed: among the pages of the head; what is not has a way of its own.
        applies: whether there is such a page in this installation.
        builders: of the page and of what lies below it, by path; called with the tab, and where the path has a
            ``{one}`` with that and with what the address says of ``by``, and for a ``/plan`` with which.
    """

    path: str
    title: str
    key: str
    permission: Permission
    builders: Mapping[str, Callable[..., Awaitable[None]]]
    listed: bool = True
    applies: Callable[[Settings], bool] = lambda _: True


PLACES = (
    Place("/", strings.LIVE, "l", Permission.VIEW, {"/": lambda tab: LivePage(tab.desk, tab.asking).build()}),
    Place(
        "/search",
        strings.SEARCH,
        "s",
        Permission.SEARCH,
        {
            "/search": lambda tab: SearchStartPage(tab.desk, tab.asking).build(),
            "/search/{one}": lambda tab, one, by: SearchPage(tab.desk, tab.asking, one, by).build(),
        },
    ),
    Place(
        "/subjects",
        strings.SUBJECTS,
        "u",
        Permission.VIEW,
        {
            "/subjects": lambda tab: SubjectsPage(tab.desk).build(),
            "/subjects/{one}": lambda tab, one, _: SubjectPage(tab.desk, tab.asking, one).build(),
            "/sightings/{one}": lambda tab, one, _: SightingPage(tab.desk, tab.asking, one).build(),
        },
    ),
    Place(
        "/pending",
        strings.PENDING_PAGE,
        "f",
        Permission.SUBJECTS,
        {"/pending": lambda tab: PendingPage(tab.desk, tab.decided).build()},
        applies=lambda settings: settings.two_person_confirmation,
    ),
    Place(
        "/alerts",
        strings.ALERTS,
        "w",
        Permission.ALERTS,
        {"/alerts": lambda tab: AlertsPage(tab.desk, tab.asking).build()},
    ),
    Place(
        "/cases",
        strings.CASES,
        "c",
        Permission.VIEW,
        {
            "/cases": lambda tab: CasesPage(tab.desk).build(),
            "/cases/{one}": lambda tab, one, _: CasePage(tab.desk, one).build(),
        },
    ),
    Place(
        "/cameras",
        strings.CAMERAS,
        "v",
        Permission.VIEW,
        {
            "/cameras": lambda tab: CamerasPage(tab.desk).build(),
            "/cameras/plan": lambda tab, plan: PlanPage(tab.desk, plan).build(),
            "/cameras/{one}/history": lambda tab, one, _: CameraPage(tab.desk, one).build(),
        },
    ),
    Place("/system", strings.SYSTEM, "y", Permission.SYSTEM, {"/system": lambda tab: SystemPage(tab.desk).build()}),
    Place("/users", strings.USERS, "p", Permission.USERS, {"/users": lambda tab: UsersPage(tab.desk).build()}),
    Place("/audit", strings.AUDIT, "a", Permission.AUDIT, {"/audit": lambda tab: AuditPage(tab.desk).build()}),
    Place(
        "/account",
        strings.ACCOUNT,
        "m",
        Permission.OWN_ACCOUNT,
        {"/account": lambda tab: AccountPage(tab.desk).build()},
        listed=False,
    ),
)
PATHS = tuple(path for place in PLACES for path in place.builders)


class _Pages(ui.sub_pages):
    """Says in our own words what NiceGUI would say in its."""

    def _render_404(self) -> None:
        nothing_here()

    def _render_error(self, error: Exception) -> None:
        with ui.element("div").classes("tp-page"):
            empty("error_outline", strings.PAGE_FAILED, strings.PAGE_FAILED_TEXT, bad=True)


def nothing_here() -> None:
    """What stands at an address that leads nowhere for this account."""
    with ui.element("div").classes("tp-page"):
        empty("explore_off", strings.NO_PAGE, strings.NO_PAGE_TEXT)


async def build_page(scoped: Scoped) -> None:
    """Build what one tab shows; everything in it ends when the tab is closed."""
    ui.add_head_html(_THEME + _SESSION)
    ui.add_css(_STYLE)
    desk = Desk(scoped)
    places = _allowed(scoped)
    badge: PendingBadge | None = None
    ui.html(escape(strings.TO_CONTENT), sanitize=False, tag="button").classes("tp-skip").props("type=button").on(
        "click", js_handler='() => document.querySelector("main").focus()'
    )
    ui.element("div").classes("tp-hidden tp-told").props("role=status")
    with ui.element("header").classes("tp-head"):
        ui.html(f'<a class="tp-brand" href="/">{LOGO}<span>{strings.TITLE}</span></a>', sanitize=False)
        with ui.element("nav").classes("tp-nav").props(f'aria-label="{strings.PAGES}"'):
            for place in (place for place in places if place.listed):
                way = ui.html(escape(place.title), sanitize=False, tag="a").props(f'href="{place.path}"')
                if place.path == "/pending":
                    badge = PendingBadge(desk, way)
        ui.element("span").classes("tp-grow")
        status = StatusLine(scoped)
        who = strings.WHO.format(account=scoped.access.account, role=strings.ROLES[scoped.access.role])
        link(who, "/account", classes="tp-quiet tp-who")
        ToolBar({place.key: (place.path, place.title) for place in places})
        quiet(strings.LOG_OUT, lambda: ui.run_javascript(_LOG_OUT), icon="logout")
    status.banner()
    titles = json.dumps({place.path: place.title for place in places})
    client = ui.context.client

    def moved(path: str) -> None:
        client.run_javascript(f"({_HERE})({json.dumps(path)}, {titles})")

    client.sub_pages_router.on_path_changed(moved)
    with ui.element("main").classes("tp-main").props("tabindex=-1"):
        _Pages(_routes(Tab(desk, Asking(desk), badge.refresh if badge is not None else _nothing), places))
    await client.connected()
    client.run_javascript(f"({_HERE})(location.pathname, {titles})")
    await desk.learn_zone()
    if client.is_deleted:  # closed before it said what its zone is
        return
    ui.timer(2.0, status.refresh)
    if badge is not None:
        ui.timer(BADGE_S, badge.refresh)


async def _nothing() -> None:
    return


def _allowed(scoped: Scoped) -> list[Place]:
    """What a role may not do is not shown; that it is not done either is up to `Scoped`."""
    return [place for place in PLACES if scoped.access.may(place.permission) and place.applies(scoped.settings)]


def _routes(tab: Tab, places: Sequence[Place]) -> dict[str, Callable[..., Awaitable[None]]]:
    return {path: _builder(tab, path, build) for place in places for path, build in place.builders.items()}


def _builder(tab: Tab, path: str, build: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def plain() -> None:
        await build(tab)

    async def of_one(one: str, by: str | None = None) -> None:
        if not (CAMERA_ID if path.startswith("/cameras/") else TRACKLET_ID).fullmatch(one):  # all others are alike
            nothing_here()
            return
        await build(tab, one, by)

    async def of_plan(plan: str | None = None) -> None:
        await build(tab, plan)

    if path.endswith("/plan"):
        return of_plan
    return of_one if "{one}" in path else plain
