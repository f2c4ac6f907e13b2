"""How the installation did over time: small charts, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from nicegui import ui

from service.api.history import read_system_history
from service.api.schema_history import SystemHistory, SystemHistoryBucket
from service.dashboard import strings
from service.dashboard.camera_figures import by_name, by_reason, decimal, milliseconds, points, whole
from service.dashboard.charts import Chart, begin_of, chart
from service.dashboard.desk import Desk
from service.dashboard.elements import heading, summary, table
from service.dashboard.history_choice import HistoryChoice, draw_anew
from service.dashboard.wording import Clock, reasons, size

__all__ = ["SystemFigures"]


class SystemFigures:
    """Read anew every minute while it is looked at."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        with ui.element("section").classes("tp-block"):
            with ui.element("div").classes("tp-line tp-wraps"):
                heading(strings.SYSTEM_TIME, level=2)
                ui.element("span").classes("tp-grow")
                self._choice = HistoryChoice(self.refresh)
            self._body = ui.element("div").classes("tp-charts")
            self._table = ui.element("div")
        ui.timer(60.0, lambda: self.refresh(anew=False), immediate=False)

    async def refresh(self, *, anew: bool = True) -> None:
        """Read it; not `anew`, the table stays as it is, because somebody may be reading in it."""
        found = await draw_anew(self._desk, self._body, self._read, self._draw)
        if found is not None and anew:
            self._draw_table(found)

    def _draw(self, found: SystemHistory) -> None:
        since = begin_of(found.items[0].start if found.items else None, found.since, found.until)
        for one in _charts(found.items, found.step_s):
            ui.html(chart(one, since, found.until, found.step_s, self._desk.clock), sanitize=False)

    def _draw_table(self, found: SystemHistory) -> None:
        self._table.clear()
        with self._table, ui.element("details").classes("tp-card-text"):
            summary(strings.AS_TABLE)
            rows = _rows(found.items, self._desk.clock)
            table(strings.SYSTEM_COLUMNS, rows, label=strings.AS_TABLE, numbers=(1, 2, 4, 5, 6, 7, 8))

    def _read(self) -> SystemHistory:
        return read_system_history(self._desk.scoped, self._choice.window())


def _charts(items: Sequence[SystemHistoryBucket], step_s: int) -> list[Chart]:
    names = strings.SYSTEM_CHARTS
    whole_steps = [one for one in items if (datetime.now(UTC) - one.start).total_seconds() >= step_s]

    def skipped(one: SystemHistoryBucket) -> dict[str, float]:
        return {name: count / step_s for name, count in one.skipped.items()}

    return [
        Chart(names["analysed"], {"": points(whole_steps, lambda one: one.analysed_fps)}, decimal),
        Chart(names["tracklets"], {"": points(whole_steps, lambda one: one.tracklets * 60 / step_s)}, decimal),
        Chart(names["skipped"], by_reason(whole_steps, skipped), decimal),
        Chart(names["queued"], by_name(items, lambda one: one.queued), whole),
        Chart(names["gallery"], {"": points(items, lambda one: one.gallery_size)}, whole),
        Chart(
            names["search"],
            {
                names["half"]: points(items, lambda one: one.search_p50_s),
                names["most"]: points(items, lambda one: one.search_p95_s),
            },
            milliseconds,
        ),
        Chart(names["searches"], {"": points(whole_steps, lambda one: one.searches * 3600 / step_s)}, decimal),
        Chart(names["memory"], by_name(items, lambda one: one.memory_bytes), lambda value: size(round(value))),
        Chart(names["alerts"], {"": points(items, lambda one: one.alerts_waiting)}, whole),
    ]


def _rows(items: Sequence[SystemHistoryBucket], clock: Clock) -> list[list[str]]:
    """The newest first."""
    return [
        [
            clock.minute(one.start),
            decimal(one.analysed_fps),
            f"{one.tracklets:,}",
            reasons(one.skipped),
            whole(sum(one.queued.values())) if one.queued else "",
            whole(one.gallery_size) if one.gallery_size is not None else "",
            f"{one.searches:,}",
            milliseconds(one.search_p50_s) if one.search_p50_s is not None else "",
            milliseconds(one.search_p95_s) if one.search_p95_s is not None else "",
            ", ".join(f"{name} {size(round(value))}" for name, value in sorted(one.memory_bytes.items())),
        ]
        for one in reversed(items)
    ]
