"""One subject: where the person was when, which of it cannot be, and the sightings that say so."""

from __future__ import annotations

from functools import partial

from nicegui import ui

from service.api.schema_subjects import SubjectChange
from service.dashboard import strings
from service.dashboard.asking import Asking
from service.dashboard.components import TimelineChart
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, ask_first, badge, empty, facts, heading, link, plain, primary, quiet
from service.dashboard.pending_view import show_pending
from service.dashboard.pin_dialog import pin_to_case
from service.dashboard.timeline_view import chart_of, told_transition
from service.dashboard.watch_dialog import watch_for
from service.dashboard.where_view import show_where
from service.dashboard.wording import span, subject_name
from service.search import MAX_EXAMPLES, Example
from service.security.access import Permission
from service.subjects import Subject, Timeline, Transition

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
            if subject.pending:
                show_pending(self._desk, subject, names, self._draw)
            if not timeline.sightings:
                if not subject.pending:
                    empty("person_off", strings.EMPTY_SUBJECT, strings.EMPTY_SUBJECT_TEXT)
                return
            with ui.element("section").classes("tp-block"):
                heading(strings.TIMELINE, level=2)
                TimelineChart(chart_of(timeline, names, self._desk.clock))
                show_where(timeline, configs, plans, self._desk.scoped.settings)
            with ui.element("div").classes("tp-columns"):
                with ui.element("section").classes("tp-block"):
                    heading(strings.IN_ORDER, level=2)
                    self._order(subject, timeline, names)
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
            if timeline.first_seen is not None and timeline.last_seen is not None:
                told = f"{clock.short(timeline.first_seen)} – {clock.short(timeline.last_seen)}"
                ui.label(told).classes("tp-quiet")
            ui.element("span").classes("tp-grow")
            if self._desk.may(Permission.SEARCH) and timeline.sightings:
                primary(strings.FIND_MORE, lambda: self._find_more(timeline), icon="person_search")
            if self._desk.may(Permission.WATCHLISTS) and timeline.sightings:
                plain(strings.WATCH, lambda: watch_for(self._desk, subject), icon="notifications")
            if self._desk.may(Permission.CASES):
                plain(strings.PIN, lambda: pin_to_case(self._desk, subject_ids=[subject.id]), icon="push_pin")
            if self._desk.may(Permission.SUBJECTS):
                quiet(strings.RENAME, lambda: self._rename(subject), icon="edit")
                quiet(strings.REMOVE, lambda: self._ask_remove(subject), icon="delete_outline").classes("tp-bad")

    def _order(self, subject: Subject, timeline: Timeline, names: dict[str, str]) -> None:
        ways = {way.after.id: way for way in timeline.transitions}
        with ui.element("ol").classes("tp-order"):
            for sighting in timeline.sightings:
                if sighting.id in ways:
                    self._way(ways[sighting.id])
                camera = names.get(sighting.camera_id, sighting.camera_id)
                with ui.element("li").classes("tp-order-row"):
                    with ui.element("a").props(f'href="/sightings/{sighting.id}"').classes("tp-saved-link"):
                        image = ui.element("img")
                        image.props["src"] = f"/api/v1/tracklets/{sighting.id}/thumbnail"
                        image.props["alt"] = ""
                        with ui.element("span").classes("tp-saved-text"):
                            ui.label(camera).classes("tp-strong-text")
                            ui.label(self._desk.clock.short(sighting.started_at)).classes("tp-quiet")
                            length = span((sighting.ended_at - sighting.started_at).total_seconds())
                            by = subject.confirmed[sighting.id].account
                            ui.label(strings.CONFIRMED_BY.format(length=length, account=by)).classes("tp-quiet")
                    badge(sighting.modality)
                    if self._desk.may(Permission.SUBJECTS):
                        out = quiet(strings.TAKE_OUT, partial(self._take_out, sighting.id))
                        out.props["aria-label"] = f"{strings.TAKE_OUT}: {camera}"

    def _way(self, way: Transition) -> None:
        with ui.element("li").classes("tp-way" + (" tp-way-bad" if way.impossible else "")):
            ui.icon("warning" if way.impossible else "south", size="15px")
            ui.label(told_transition(way))

    async def _find_more(self, timeline: Timeline) -> None:
        best = sorted(timeline.sightings, key=lambda s: -s.quality)[:MAX_EXAMPLES]
        await self._asking.search([Example(tracklet_id=s.id) for s in best])

    async def _take_out(self, tracklet_id: str) -> None:
        subjects = self._desk.scoped.subjects
        if await self._desk.try_to(lambda: subjects.withdraw(self._id, tracklet_id)) is not None:
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
