"""Everything that one person confirmed or proposed and a second one has to agree to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from nicegui import ui

from service.api.scoped_subject_views import WaitingSubject
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import heading, picture_of, plain
from service.dashboard.list_page import ListPage
from service.dashboard.pending_view import PendingView
from service.dashboard.wording import subject_name
from service.subjects import Subject

__all__ = ["PendingPage"]

AT_ONCE = 20
LOOK_S = 10.0


class PendingPage(ListPage[WaitingSubject]):
    """Of one tab. `decided` is called when less waits than before."""

    more = strings.MORE_PENDING
    nothing = ("how_to_reg", strings.NOTHING_PENDING, strings.NOTHING_PENDING_TEXT)

    def __init__(self, desk: Desk, decided: Callable[[], Awaitable[None]]) -> None:
        super().__init__(desk)
        self._decided = decided
        self._first: list[tuple[str, int]] | None = None

    async def build(self) -> None:
        await super().build()
        ui.timer(LOOK_S, self._look, immediate=False)

    def _head(self) -> None:
        heading(strings.PENDING_PAGE)
        ui.label(strings.PENDING_PAGE_TEXT.format(account=self._desk.scoped.access.account)).classes("tp-note")
        ui.element("span").classes("tp-grow")
        with ui.element("div").props('role="status"'):
            self._news = ui.element("div").classes("tp-news")
            with self._news:
                ui.icon("update", size="18px")
                ui.label(strings.PENDING_CHANGED)
                plain(strings.PENDING_LOOK, self._again)
        self._news.set_visibility(False)

    async def _look(self) -> None:
        """Whether something else waits by now. The list stays: somebody may be about to click in it."""
        page = self._desk.scoped.subjects.page
        try:
            found, _ = await self._desk.ask(lambda: page(AT_ONCE, None, only_pending=True))
        except Unanswered:
            return
        self._news.set_visibility(self._first is not None and self._first != _versions(found))

    async def _read(self, cursor: str | None) -> tuple[list[WaitingSubject], str | None]:
        found, after = await self._desk.ask(lambda: self._desk.scoped.subject_views.waiting(AT_ONCE, cursor))
        if cursor is None:
            self._first = _versions(one.known.subject for one in found)
            self._news.set_visibility(False)
        self._names = dict(await self._desk.camera_names())
        return found, after

    def _draw(self, one: WaitingSubject) -> None:
        subject = one.known.subject
        with ui.element("li").classes("tp-block tp-pending-subject").props(f'data-subject="{subject.id}"'):
            with ui.element("a").props(f'href="/subjects/{subject.id}"').classes("tp-saved-link"):
                picture_of(one.known.picture)
                with ui.element("span").classes("tp-saved-text"):
                    heading(subject_name(subject), level=2)
                    confirmed = len(subject.confirmed)
                    ui.label(strings.sightings(confirmed) if confirmed else strings.NONE_CONFIRMED).classes("tp-quiet")
            PendingView(self._desk, one, self._names, self._again)

    async def _again(self) -> None:
        """All of it anew, from the beginning: what was decided may have been about several."""
        self._cursor = None
        self._list.clear()
        self._message.clear()
        await self._load()
        await self._decided()


def _versions(subjects: Iterable[Subject]) -> list[tuple[str, int]]:
    return [(subject.id, subject.revision) for subject in subjects]
