"""One subject: where the person was when, which of it cannot be, and the sightings that say so."""

from __future__ import annotations

from functools import partial

from nicegui import ui

from service.api.schema_subjects import SubjectChange
from service.dashboard import strings
from service.dashboard.asking import Asking
from service.dashboard.components import TimelineChart
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, ask_first, empty, facts, heading, link, plain, primary, quiet
from service.dashboard.pending_view import PendingView
from service.dashboard.pin_dialog import pin_to_case
from service.dashboard.sighting_order import SightingOrder
from service.dashboard.subject_pair import merge_with
from service.dashboard.timeline_view import chart_of
from service.dashboard.watch_dialog import watch_for
from service.dashboard.where_view import show_where
from service.dashboard.wording import span, subject_name
from service.search import MAX_EXAMPLES, Example
from service.security.access import Permission
from service.subjects import Subject, Timeline

__all__ = ["SubjectPage"]


class SubjectPage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk, asking: Asking, subject_id: str) -> None:
        self._desk = desk
        self._asking = asking
        self._id = subject_id

    async def build(self) -> None:
        self._page = ui.element("div").classes("tp-page")
        await self._desk.ready()
        await self._draw()

    async def _draw(self) -> None:
        try:
            subject, timeline = await self._desk.ask(lambda: self._desk.scoped.subjects.timeline(self._id))
            waiting = await self._desk.ask(lambda: self._desk.scoped.subject_views.waiting_of(subject))
            configs = await self._desk.ask(self._desk.scoped.cameras)
            plans = await self._desk.ask(self._desk.scoped.plans.all)
        except Unanswered as error:
            self._page.clear()
            with self._page, empty("person_off" if error.missing else "cloud_off", str(error), bad=not error.missing):
                link(strings.TO_SUBJECTS, "/subjects", classes="tp-link")
            return
        names = {config.id: config.name for config in configs}
        self._page.clear()
        with self._page:
            self._head(subject, timeline)
            if timeline.conflict_count:
                with ui.element("div").classes("tp-news tp-news-bad").props('role="status"'):
                    ui.icon("warning", size="18px")
                    ui.label(strings.CONFLICTS[min(timeline.conflict_count, 2)].format(count=timeline.conflict_count))
            if subject.waits:
                with ui.element("section").classes("tp-block"):
                    heading(strings.PENDING, level=2)
                    ui.label(strings.PENDING_TEXT).classes("tp-quiet")
                    PendingView(self._desk, waiting, names, self._draw)
            if not timeline.sightings:
                if not subject.waits:
                    empty("person_off", strings.EMPTY_SUBJECT, strings.EMPTY_SUBJECT_TEXT)
                return
            with ui.element("section").classes("tp-block"):
                heading(strings.TIMELINE, level=2)
                TimelineChart(chart_of(timeline, names, self._desk.clock))
                show_where(timeline, configs, plans, self._desk.scoped.settings)
            with ui.element("div").classes("tp-columns"):
                with ui.element("section").classes("tp-block"):
                    heading(strings.IN_ORDER, level=2)
                    SightingOrder(self._desk, subject, timeline, names, self._draw)
                with ui.element("section").classes("tp-block"):
                    heading(strings.STAYS, level=2)
                    facts(
                        [
                            (
                                names.get(stay.camera_id, stay.camera_id),
                                strings.STAY.format(
                                    sightings=strings.sightings(stay.sightings), time=span(stay.dwell_s)
                                ),
                            )
                            for stay in timeline.stays
                        ]
                    )

    def _head(self, subject: Subject, timeline: Timeline) -> None:
        clock = self._desk.clock
        with ui.element("div").classes("tp-line"):
            heading(subject_name(subject))
            ui.element("span").classes("tp-grow")
            if self._desk.may(Permission.SEARCH) and timeline.sightings:
                primary(strings.FIND_MORE, lambda: self._find_more(timeline), icon="person_search")
            if self._desk.may(Permission.WATCHLISTS) and timeline.sightings:
                plain(strings.WATCH, lambda: watch_for(self._desk, subject), icon="notifications")
            if self._desk.may(Permission.CASES):
                plain(strings.PIN, lambda: pin_to_case(self._desk, subject_ids=[subject.id]), icon="push_pin")
            if self._desk.may(Permission.SUBJECTS):
                quiet(strings.MERGE, lambda: self._merge(subject), icon="call_merge")
                quiet(strings.RENAME, lambda: self._rename(subject), icon="edit")
                quiet(strings.REMOVE, lambda: self._ask_remove(subject), icon="delete_outline").classes("tp-bad")

        with ui.element("div").classes("tp-line tp-under-head"):
            if timeline.first_seen is not None and timeline.last_seen is not None:
                ui.label(f"{clock.short(timeline.first_seen)} – {clock.short(timeline.last_seen)}").classes("tp-quiet")
            if subject.previous_ids:
                merged = len(subject.previous_ids)
                ui.label(strings.MERGED_IN[min(merged, 2)].format(count=merged)).classes("tp-quiet")
            if subject.split_from:
                link(strings.SPLIT_FROM, f"/subjects/{subject.split_from}", classes="tp-link")

    async def _find_more(self, timeline: Timeline) -> None:
        best = sorted(timeline.sightings, key=lambda s: -s.quality)[:MAX_EXAMPLES]
        await self._asking.search([Example(tracklet_id=s.id) for s in best])

    async def _merge(self, subject: Subject) -> None:
        kept = await merge_with(self._desk, subject)
        if kept is not None:
            await self._draw()

    async def _rename(self, subject: Subject) -> None:
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            heading(strings.RENAME, level=2)
            name = ui.input(strings.SUBJECT_NAME, value=subject.name or "").props(
                "filled dense stack-label maxlength=120 autofocus"
            )
            with ui.element("div").classes("tp-line"):
                primary(strings.KEEP, lambda: dialog.submit(name.value))
                quiet(strings.CANCEL, lambda: dialog.submit(None))
        given = await answer_of(dialog)
        if given is None:
            return

        def rename() -> Subject:
            change = SubjectChange(revision=subject.revision, name=given.strip() or None)
            return self._desk.scoped.subjects.rename(subject.id, change.revision, change.name)

        if await self._desk.try_to(rename) is not None:
            await self._draw()

    async def _ask_remove(self, subject: Subject) -> None:
        await ask_first(strings.REMOVE_SUBJECT.format(name=subject_name(subject)), partial(self._remove, subject))

    async def _remove(self, subject: Subject) -> None:
        def remove() -> bool:
            self._desk.scoped.subjects.remove(subject.id, subject.revision)
            return True

        if await self._desk.try_to(remove):
            ui.navigate.to("/subjects")
