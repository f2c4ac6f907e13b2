"""One sighting, looked at closely over whatever page one is on."""

from __future__ import annotations

from functools import partial
from typing import Any

from nicegui import ui

from service.dashboard import strings
from service.dashboard.components import FootageView, Handler
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import badge, close_button, facts, link, plain, primary
from service.dashboard.wording import Clock, footage_of, quality_told, span
from service.gallery import TrackletRecord

__all__ = ["SightingDialog", "film_strip", "footage", "sighting_facts"]


class SightingDialog:
    """Opened over the page for any sighting; `on_act` gets what somebody does with it, as from its card."""

    def __init__(self, desk: Desk, *, on_act: Handler) -> None:
        self._desk = desk
        self._on_act = on_act
        with ui.dialog().props(f'aria-label="{strings.SIGHTING}"') as self._dialog:
            self._body = ui.element("div").classes("tp-dialog")

    async def open(self, tracklet_id: str, *, judging: bool = False) -> None:
        """Show a sighting, or say that it is gone."""
        scoped = self._desk.scoped
        try:
            record = await self._desk.ask(lambda: scoped.tracklet(tracklet_id))
            names = await self._desk.camera_names()
        except Unanswered as error:
            ui.notify(strings.GONE if error.missing else str(error), type="warning", position="top")
            return
        self._body.clear()
        with self._body:
            self._draw(record, names.get(record.camera_id, record.camera_id), judging=judging)
        self._dialog.open()

    def _draw(self, record: TrackletRecord, camera: str, *, judging: bool) -> None:
        with ui.element("div").classes("tp-line"):
            ui.label(camera).classes("tp-strong")
            badge(record.modality)
            ui.element("span").classes("tp-grow")
            link(strings.OPEN_PAGE, f"/sightings/{record.id}", classes="tp-link")
            close_button(self._dialog.close)
        footage(record, camera, self._desk.clock)
        film_strip(record, camera, self._desk.clock)
        facts(sighting_facts(record, self._desk.clock))
        with ui.element("div").classes("tp-line"):
            primary(strings.SEARCH_THIS, lambda: self._act("search", record.id), icon="person_search")
            for name in ("confirm", "reject", "unsure") if judging else ():
                plain(strings.VERDICTS[name], partial(self._act, name, record.id), icon=strings.ACTS[name]["icon"])

    async def _act(self, name: str, tracklet_id: str) -> None:
        self._dialog.close()
        result: Any = self._on_act({"name": name, "id": tracklet_id})
        if result is not None:
            await result


def footage(record: TrackletRecord, camera: str, clock: Clock) -> None:
    """The scene and the clip of a sighting, or why there is none."""
    shown = footage_of(record, camera, clock)
    if shown is None:
        ui.label(strings.NO_FOOTAGE).classes("tp-quiet")
        return
    FootageView(shown)
    if shown["clip"] is None:
        ui.label(strings.NO_CLIP if record.closed else strings.CLIP_LATER).classes("tp-quiet")


def film_strip(record: TrackletRecord, camera: str, clock: Clock) -> None:
    """The pictures of a sighting in the order of time."""
    with ui.element("div").classes("tp-strip").props(f'tabindex="0" role="group" aria-label="{strings.PICTURES}"'):
        for i, crop in enumerate(record.crops):
            picture = ui.element("img")
            picture.props["src"] = f"/api/v1/tracklets/{record.id}/crops/{i}"
            picture.props["alt"] = f"{camera}, {clock.short(crop.captured_at)}"
            picture.props["title"] = clock.short(crop.captured_at)


def sighting_facts(record: TrackletRecord, clock: Clock) -> list[tuple[str, str]]:
    """What is known of a sighting."""
    length = span((record.ended_at - record.started_at).total_seconds())
    return [
        (strings.SEEN, f"{clock.long(record.started_at)}, {length}"),
        (strings.FRAMES, str(record.frame_count)),
        (strings.QUALITY, quality_told(record)),
        (strings.TRACK, f"{record.track_id} · {record.id}"),
    ]
