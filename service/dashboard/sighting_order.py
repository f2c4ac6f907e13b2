"""A subject's sightings in the order of time, to choose from: what is somebody else goes to a subject of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from nicegui import ui

from service.api.schema_subjects import SubjectSplit
from service.dashboard import strings
from service.dashboard.desk import Desk
from service.dashboard.elements import answer_of, badge, heading, plain, primary, quiet
from service.dashboard.subject_pair import move_to_another, picture_row
from service.dashboard.timeline_view import told_transition
from service.dashboard.wording import span
from service.gallery import TrackletRecord
from service.security.access import Permission
from service.subjects import Subject, Timeline, Transition

__all__ = ["SightingOrder"]

AT_ONCE = 200


class SightingOrder:
    """Of one subject; built where it is made. `redraw` is called when something was taken out."""

    def __init__(
        self,
        desk: Desk,
        subject: Subject,
        timeline: Timeline,
        names: Mapping[str, str],
        redraw: Callable[[], Awaitable[None]],
    ) -> None:
        self._desk, self._subject, self._names, self._redraw = desk, subject, names, redraw
        self._may = desk.may(Permission.SUBJECTS)
        self._records = {one.id: one for one in timeline.sightings if isinstance(one, TrackletRecord)}
        self._ways = {way.after.id: way for way in timeline.transitions}
        self._left = list(self._records.values())
        self._boxes: dict[str, ui.checkbox] = {}
        self._chosen: dict[str, None] = {}  # in the order of choosing
        if self._may:
            self._bar = ui.element("div").classes("tp-line tp-order-bar")
            self._draw_bar()
        self._list = ui.element("ol").classes("tp-order")
        self._more = quiet(strings.MORE_SIGHTINGS, self._draw, icon="expand_more")
        self._draw()

    def _draw(self) -> None:
        """The next of them."""
        now, self._left = self._left[:AT_ONCE], self._left[AT_ONCE:]
        with self._list:
            for record in now:
                if record.id in self._ways:
                    self._way(self._ways[record.id])
                self._row(record)
        self._more.set_visibility(bool(self._left))

    def _row(self, record: TrackletRecord) -> None:
        camera = self._names.get(record.camera_id, record.camera_id)
        when = self._desk.clock.short(record.started_at)
        with ui.element("li").classes("tp-order-row"):
            if self._may:
                box = ui.checkbox(on_change=partial(self._choose, record.id)).props("dense")
                box.props["aria-label"] = strings.CHOOSE_SIGHTING.format(camera=camera, time=when)
                self._boxes[record.id] = box
            with ui.element("a").props(f'href="/sightings/{record.id}"').classes("tp-saved-link"):
                image = ui.element("img")
                image.props["src"], image.props["alt"] = f"/api/v1/tracklets/{record.id}/thumbnail", ""
                with ui.element("span").classes("tp-saved-text"):
                    ui.label(camera).classes("tp-strong-text")
                    ui.label(when).classes("tp-quiet")
                    length = span((record.ended_at - record.started_at).total_seconds())
                    by = self._subject.confirmed[record.id].account
                    ui.label(strings.CONFIRMED_BY.format(length=length, account=by)).classes("tp-quiet")
            badge(record.modality)
            if self._may:
                out = quiet(strings.TAKE_OUT, partial(self._take_out, record.id))
                out.props["aria-label"] = f"{strings.TAKE_OUT}: {camera}"

    def _way(self, way: Transition) -> None:
        with ui.element("li").classes("tp-way" + (" tp-way-bad" if way.impossible else "")):
            ui.icon("warning" if way.impossible else "south", size="15px")
            ui.label(told_transition(way))

    # -- what is chosen --------------------------------------------------------------------------

    def _choose(self, tracklet_id: str) -> None:
        if self._boxes[tracklet_id].value:
            self._chosen[tracklet_id] = None
        else:
            self._chosen.pop(tracklet_id, None)
        self._draw_bar()

    def _clear(self) -> None:
        for one in list(self._chosen):
            self._boxes[one].value = False

    def _draw_bar(self) -> None:
        self._bar.clear()
        with self._bar:
            if not self._chosen:
                ui.label(strings.CHOOSE_TO_SPLIT).classes("tp-note")
                return
            count = len(self._chosen)
            ui.label(strings.CHOSEN.format(count=count)).classes("tp-strong-text").props('role="status"')
            if count == len(self._subject.confirmed):
                ui.label(strings.ALL_CHOSEN).classes("tp-note")
            else:
                plain(strings.SPLIT, self._split, icon="call_split")
                plain(strings.MOVE, self._move, icon="drive_file_move")
            quiet(strings.CHOOSE_NONE, self._clear)

    async def _split(self) -> None:
        chosen, subject, subjects = list(self._chosen), self._subject, self._desk.scoped.subjects
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            dialog.props["aria-label"] = strings.SPLIT
            heading(strings.SPLIT, level=2)
            ui.label(strings.SPLIT_TEXT.format(sightings=strings.sightings(len(chosen)))).classes("tp-quiet")
            picture_row([self._records[one] for one in chosen], self._names, self._desk.clock, label=strings.SPLIT)
            name = ui.input(strings.SUBJECT_NAME).props("filled dense stack-label maxlength=120 autofocus")
            with ui.element("div").classes("tp-line"):
                primary(strings.SPLIT_DO, lambda: dialog.submit(True))
                quiet(strings.CANCEL, lambda: dialog.submit(False))
        if not await answer_of(dialog):
            return

        def split() -> Subject:
            request = SubjectSplit(
                revision=subject.revision, tracklet_ids=chosen, name=str(name.value or "").strip() or None
            )
            return subjects.split(subject.id, request.revision, request.tracklet_ids, request.name, None, request)[0]

        made = await self._desk.try_to(split)
        if made is not None:
            ui.navigate.to(f"/subjects/{made.id}")

    async def _move(self) -> None:
        other = await move_to_another(self._desk, self._subject, list(self._chosen))
        if other is not None:
            ui.navigate.to(f"/subjects/{other.id}")

    async def _take_out(self, tracklet_id: str) -> None:
        subjects, subject = self._desk.scoped.subjects, self._subject
        if await self._desk.try_to(lambda: subjects.withdraw(subject.id, tracklet_id)) is not None:
            await self._redraw()
