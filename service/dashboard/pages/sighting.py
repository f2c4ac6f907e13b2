"""One sighting: what it looked like, who is similar, who came before and after, and how searches stand to it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from nicegui import ui

from pipeline.tracklets import TrackletRules
from service.dashboard import strings
from service.dashboard.asking import Asking
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import badge, empty, facts, heading, link, plain, primary
from service.dashboard.latest import LatestSightings
from service.dashboard.pin_dialog import pin_to_case
from service.dashboard.sighting_dialog import film_strip, footage, sighting_facts
from service.dashboard.similar import SimilarSightings
from service.dashboard.subject_dialog import SubjectDialog
from service.dashboard.wording import subject_name
from service.gallery import GalleryFilter, TrackletRecord
from service.security.access import Permission
from service.subjects import Subject

__all__ = ["SightingPage"]

AROUND = timedelta(minutes=10)
NEIGHBOURS = 24


class SightingPage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk, asking: Asking, tracklet_id: str) -> None:
        self._desk = desk
        self._asking = asking
        self._id = tracklet_id

    async def build(self) -> None:
        page = ui.element("div").classes("tp-page")
        await self._desk.ready()
        scoped = self._desk.scoped
        try:
            record = await self._desk.ask(lambda: scoped.tracklet(self._id))
            names = await self._desk.camera_names()
            subject = await self._desk.ask(lambda: scoped.subjects.holding(self._id))
        except Unanswered as error:
            with page, empty("person_off" if error.missing else "cloud_off", str(error), bad=not error.missing):
                link(strings.TO_SEARCH, "/search", classes="tp-link")
            return
        camera = names.get(record.camera_id, record.camera_id)
        with page:
            self._head(record, camera, subject)
            footage(record, camera, self._desk.clock)
            with ui.element("div").classes("tp-columns"):
                with ui.element("section").classes("tp-block"):
                    heading(strings.PICTURES, level=2)
                    film_strip(record, camera, self._desk.clock)
                with ui.element("section").classes("tp-block"):
                    heading(strings.SIGHTING, level=2)
                    facts(sighting_facts(record, self._desk.clock))
                    heading(strings.HOW_IT_STANDS, level=2)
                    facts([(strings.IN_SEARCHES, self._indexed(record)), (strings.KEPT_BECAUSE, _kept(record))])
                    self._subject(subject)
            if self._desk.may(Permission.SEARCH):
                SimilarSightings(self._desk, self._asking, record.id)
            with ui.element("section").classes("tp-block"):
                heading(strings.AROUND.format(camera=camera), level=2)
                around = LatestSightings(
                    self._desk,
                    NEIGHBOURS,
                    on_search=self._asking.search_tracklet,
                    nothing=(strings.NOBODY_AROUND, strings.NOBODY_AROUND_TEXT),
                )
        await around.show(
            GalleryFilter(
                cameras=frozenset([record.camera_id]),
                since=record.started_at - AROUND,
                until=record.ended_at + AROUND,
                exclude_ids=frozenset([record.id]),
            )
        )

    def _head(self, record: TrackletRecord, camera: str, subject: Subject | None) -> None:
        with ui.element("div").classes("tp-line"):
            heading(f"{camera}, {self._desk.clock.short(record.started_at)}")
            badge(record.modality)
            ui.element("span").classes("tp-grow")
            if self._desk.may(Permission.CASES):
                plain(strings.PIN, lambda: pin_to_case(self._desk, tracklet_ids=[record.id]), icon="push_pin")
            if self._desk.may(Permission.SUBJECTS) and subject is None:
                dialog = SubjectDialog(self._desk)
                adding = partial(dialog.open, [record.id], strings.ADD_TO_SUBJECT_TEXT)
                plain(strings.ADD_TO_SUBJECT, adding, icon="person_add")
            if self._desk.may(Permission.SEARCH):
                primary(strings.SEARCH_THIS, lambda: self._asking.search_tracklet(record.id), icon="person_search")

    def _indexed(self, record: TrackletRecord) -> str:
        """Why searches find it, or not."""
        model = self._desk.scoped.engines.model
        if model is None:
            return strings.MODEL_LOADING
        if record.model_hash != model.hash:
            return strings.NOT_INDEXED.format(model=record.model_hash[:12])
        if not self._desk.scoped.finds(record):
            return strings.NOT_INDEXED_YET
        return strings.INDEXED.format(model=record.model_hash[:12])

    def _subject(self, subject: Subject | None) -> None:
        if subject is None:
            ui.label(strings.IN_NO_SUBJECT).classes("tp-quiet")
        else:
            link(strings.IN_SUBJECT.format(name=subject_name(subject)), f"/subjects/{subject.id}", classes="tp-link")


def _kept(record: TrackletRecord) -> str:
    """What it was measured by when the worker kept it."""
    rules = TrackletRules()
    return strings.KEPT_TEXT.format(
        frames=record.frame_count,
        least_frames=rules.min_frames,
        quality=f"{record.quality:.0%}",
        least_quality=f"{rules.min_quality:.0%}",
    )
