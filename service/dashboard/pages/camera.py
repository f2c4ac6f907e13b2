"""One camera over time: was it there, how did it do, and what happened when it was not."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from nicegui import ui

from pipeline.camera import CameraConfig
from service.api.history import read_camera_history
from service.api.schema_history import CameraHistory, CameraHistoryBucket
from service.dashboard import strings
from service.dashboard.camera_figures import camera_charts, figure_rows
from service.dashboard.charts import availability_strip, chart, strip_legend, time_axis
from service.dashboard.desk import Desk
from service.dashboard.elements import heading, link, summary, table
from service.dashboard.history_choice import HistoryChoice, draw_anew
from service.dashboard.interruptions import Interruption, availability
from service.dashboard.wording import span
from service.history import StateChange

__all__ = ["CameraPage"]

_MOST_LISTED = 100


class CameraPage:
    """Read anew every minute while it is looked at."""

    def __init__(self, desk: Desk, camera_id: str) -> None:
        self._desk = desk
        self._id = camera_id

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line tp-wraps"):
                link(strings.CAMERAS, "/cameras", classes="tp-link")
                self._title = heading(strings.CAMERA)
                ui.element("span").classes("tp-grow")
                self._choice = HistoryChoice(self._refresh)
            self._body = ui.element("div").classes("tp-system")
            self._table = ui.element("div")
        await self._desk.ready()
        await self._refresh()
        ui.timer(60.0, lambda: self._refresh(anew=False), immediate=False)

    async def _refresh(self, *, anew: bool = True) -> None:
        """Read it; not `anew`, the table stays as it is, because somebody may be reading in it."""
        found = await draw_anew(self._desk, self._body, self._read, self._show)
        if found is not None and anew:
            self._table.clear()
            with self._table:
                self._as_table(found[1].items)

    def _read(self) -> tuple[CameraConfig, CameraHistory]:
        scoped = self._desk.scoped
        return scoped.camera(self._id), read_camera_history(scoped, self._id, self._choice.window())

    def _show(self, found: tuple[CameraConfig, CameraHistory]) -> None:
        self._title.set_content(escape(found[0].name))
        self._draw(found[1])

    def _draw(self, history: CameraHistory) -> None:
        clock = self._desk.clock
        since, until, step_s = history.since, history.until, history.step_s
        changes = [StateChange(c.at, str(c.state), c.reason, c.worker_id) for c in history.changes]
        found = availability(changes, since, until, clock)
        with ui.element("section").classes("tp-block"):
            heading(strings.AVAILABILITY, level=2)
            ui.html(availability_strip(found.stretches, since, until, found.told), sanitize=False)
            ui.html(time_axis(since, until, clock, marks=5), sanitize=False)
            ui.label(found.told)
            ui.html(strip_legend(), sanitize=False)
        with ui.element("section").classes("tp-charts"):
            for one in camera_charts(history.items):
                ui.html(chart(one, since, until, step_s, clock), sanitize=False)
        with ui.element("section").classes("tp-block"):
            heading(strings.INTERRUPTIONS, level=2)
            self._interruptions(found.interruptions)

    def _interruptions(self, found: Sequence[Interruption]) -> None:
        if not found:
            ui.label(strings.NO_INTERRUPTIONS).classes("tp-quiet")
            return
        clock = self._desk.clock
        rows = [
            [
                clock.short(one.start),
                clock.short(one.end) if one.end is not None else strings.STILL,
                span(one.seconds),
                one.what,
            ]
            for one in reversed(found[-_MOST_LISTED:])
        ]
        table(strings.INTERRUPTION_COLUMNS, rows, label=strings.INTERRUPTIONS, numbers=(2,))
        if len(found) > _MOST_LISTED:
            text = strings.MORE_INTERRUPTIONS.format(count=f"{len(found) - _MOST_LISTED:,}")
            ui.label(text).classes("tp-quiet")

    def _as_table(self, items: Sequence[CameraHistoryBucket]) -> None:
        with ui.element("details").classes("tp-card-text"):
            summary(strings.AS_TABLE)
            rows = figure_rows(items, self._desk.clock)
            table(strings.FIGURE_COLUMNS, rows, label=strings.AS_TABLE, numbers=(1, 3, 4, 5, 7, 8, 10))
