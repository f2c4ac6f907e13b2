"""The people that somebody has confirmed sightings of, newest first."""

from __future__ import annotations

from nicegui import ui

from service.api.scoped_subject_views import KnownSubject
from service.dashboard import strings
from service.dashboard.elements import heading, picture_of, plain
from service.dashboard.list_page import AT_ONCE, ListPage
from service.dashboard.subject_picker import choose_subject
from service.dashboard.wording import subject_name

__all__ = ["SubjectsPage"]


class SubjectsPage(ListPage[KnownSubject]):
    """A subject is made from a search, not here."""

    more = strings.MORE_SUBJECTS
    nothing = ("groups", strings.NO_SUBJECTS, strings.NO_SUBJECTS_TEXT)

    def _head(self) -> None:
        heading(strings.SUBJECTS)
        ui.label(strings.SUBJECTS_TEXT).classes("tp-note")
        ui.element("span").classes("tp-grow")
        plain(strings.FIND_BY_NAME, self._find, icon="search")

    async def _find(self) -> None:
        found = await choose_subject(self._desk, strings.FIND_BY_NAME, without=())
        if found is not None:
            ui.navigate.to(f"/subjects/{found.id}")

    async def _read(self, cursor: str | None) -> tuple[list[KnownSubject], str | None]:
        found, after = await self._desk.ask(lambda: self._desk.scoped.subject_views.overview(AT_ONCE, cursor))
        self._names = dict(await self._desk.camera_names())
        return found, after

    def _draw(self, known: KnownSubject) -> None:
        subject = known.subject
        cameras = sorted({self._names.get(d.camera_id, d.camera_id) for d in subject.confirmed.values()})
        told = strings.SUBJECT_SUM.format(
            sightings=strings.sightings(len(subject.confirmed)), cameras=strings.cameras(len(cameras))
        )
        with ui.element("li"), ui.element("a").props(f'href="/subjects/{subject.id}"').classes("tp-person"):
            picture_of(known.picture)
            with ui.element("span").classes("tp-saved-text"):
                ui.label(subject_name(subject)).classes("tp-strong-text")
                ui.label(told).classes("tp-quiet")
                ui.label(", ".join(cameras)).classes("tp-quiet tp-ellipsis")
                changed = self._desk.clock.short(subject.changed_at)
                ui.label(strings.CHANGED_AT.format(time=changed)).classes("tp-quiet")
