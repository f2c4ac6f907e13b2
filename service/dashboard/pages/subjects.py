"""The people that somebody has confirmed sightings of, newest first."""

from __future__ import annotations

from nicegui import ui

from service.api.scoped_subjects import KnownSubject
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import empty, heading, quiet
from service.dashboard.wording import subject_name, thumbnail

__all__ = ["SubjectsPage"]

AT_ONCE = 60


class SubjectsPage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cursor: str | None = None

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line"):
                heading(strings.SUBJECTS)
                ui.label(strings.SUBJECTS_TEXT).classes("tp-note")
            self._list = ui.element("ul").classes("tp-people")
            self._message = ui.element("div")
            with ui.element("div").classes("tp-line"):
                self._more = quiet(strings.MORE_SUBJECTS, self._load, icon="expand_more")
                self._more.set_visibility(False)
        await self._desk.ready()
        await self._load()

    async def _load(self) -> None:
        cursor, first = self._cursor, self._cursor is None
        try:
            found, self._cursor = await self._desk.ask(lambda: self._desk.scoped.subjects.overview(AT_ONCE, cursor))
            names = await self._desk.camera_names()
        except Unanswered as error:
            with self._message:
                empty("cloud_off", str(error), bad=True)
            return
        with self._list:
            for known in found:
                self._draw(known, dict(names))
        if first and not found:
            with self._message:
                empty("groups", strings.NO_SUBJECTS, strings.NO_SUBJECTS_TEXT)
        self._more.set_visibility(self._cursor is not None)

    def _draw(self, known: KnownSubject, names: dict[str, str]) -> None:
        subject = known.subject
        cameras = sorted({names.get(d.camera_id, d.camera_id) for d in subject.confirmed.values()})
        told = strings.SUBJECT_SUM.format(
            sightings=strings.sightings(len(subject.confirmed)), cameras=strings.cameras(len(cameras))
        )
        with ui.element("li"), ui.element("a").props(f'href="/subjects/{subject.id}"').classes("tp-person"):
            if known.picture is not None:
                image = ui.element("img")
                image.props["src"], image.props["alt"] = thumbnail(known.picture), ""
            else:
                with ui.element("span").classes("tp-no-picture"):
                    ui.icon("person")
            with ui.element("span").classes("tp-saved-text"):
                ui.label(subject_name(subject)).classes("tp-strong-text")
                ui.label(told).classes("tp-quiet")
                ui.label(", ".join(cameras)).classes("tp-quiet tp-ellipsis")
                changed = self._desk.clock.short(subject.changed_at)
                ui.label(strings.CHANGED_AT.format(time=changed)).classes("tp-quiet")
