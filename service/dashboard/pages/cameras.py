"""Cameras: how each of them is, and for whom it is allowed: add, change, test and remove."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from html import escape
from typing import Any

from nicegui import ui

from pipeline.camera import CameraConfig, CameraHealth, CameraPosition
from pipeline.camera_url import mask_url
from service.dashboard import strings
from service.dashboard.camera_form import CameraForm
from service.dashboard.camera_tabs import camera_tabs
from service.dashboard.camera_trial import CameraTrial
from service.dashboard.charts import availability_strip, strip_legend
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import ask_first, close_button, empty, heading, primary, table_head
from service.dashboard.interruptions import availability
from service.dashboard.regions_dialog import RegionsDialog
from service.dashboard.wording import reasons, report_of, span
from service.history import StateChange
from service.security.access import Permission

__all__ = ["CamerasPage"]

_NUMBERS = (4, 6)
_STRIP = timedelta(hours=24)


class CamerasPage:
    """Read anew every two seconds while it is looked at. Values go into the cells that are there: focus stays."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shown: list[CameraConfig] | str | None = None
        self._cells: dict[str, list[ui.html]] = {}
        self._strips: dict[str, ui.html] = {}
        self._states: dict[str, str] = {}

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line"):
                camera_tabs("/cameras")
                ui.element("span").classes("tp-grow")
                if self._desk.may(Permission.ADD_CAMERAS):
                    primary(strings.ADD_CAMERA, lambda: CameraForm(self._desk, None, self._refresh), icon="add")
            self._told = ui.label().classes("tp-hidden").props("role=status")
            self._body = ui.element("div").classes("tp-scroll").props("tabindex=0 role=region")
            self._body.props["aria-label"] = strings.CAMERAS
        await self._desk.ready()
        await self._refresh()
        await self._refresh_strips()
        ui.timer(2.0, self._refresh)
        ui.timer(60.0, self._refresh_strips, immediate=False)

    async def _refresh(self) -> None:
        try:
            found = await self._desk.ask(self._read)
        except Unanswered as error:
            self._draw(str(error))
            return
        before = self._strips
        self._show(*found)
        if self._strips is not before and before:
            await self._refresh_strips()

    def _show(self, configs: list[CameraConfig], reports: dict[str, CameraHealth]) -> None:
        self._draw(configs)
        now = datetime.now(UTC)
        self._tell_changes({config: report_of(config, reports.get(config.id), now)[0] for config in configs})
        for config in configs:
            values = self._values(config, reports.get(config.id), now)
            for cell, text in zip(self._cells[config.id], values, strict=True):
                cell.set_content(text)

    def _tell_changes(self, states: Mapping[CameraConfig, str]) -> None:
        """Have read out what somebody who sees the page sees change."""
        changed = [
            strings.CAMERA_NOW.format(camera=config.name, state=strings.STATES[state][0])
            for config, state in states.items()
            if self._states.get(config.id, state) != state
        ]
        self._states = {config.id: state for config, state in states.items()}
        if changed:
            self._told.text = "; ".join(changed)

    def _read(self) -> tuple[list[CameraConfig], dict[str, CameraHealth]]:
        configs = self._desk.scoped.cameras()
        return configs, self._desk.scoped.camera_health([config.id for config in configs])

    async def _refresh_strips(self) -> None:
        """How the cameras were in the last 24 hours; a figure less is no reason to hide the others."""
        now = datetime.now(UTC)
        since = now - _STRIP
        try:
            changes = await self._desk.ask(lambda: {one: self._changes(one, since, now) for one in list(self._strips)})
        except Unanswered:
            return
        for camera_id, found in (changes or {}).items():
            strip = self._strips.get(camera_id)
            if strip is not None:
                sum_up = availability(found, since, now, self._desk.clock)
                drawn = availability_strip(sum_up.stretches, since, now, sum_up.told)
                strip.set_content(f"{drawn}<span>{escape(sum_up.told)}</span>")

    def _changes(self, camera_id: str, since: datetime, until: datetime) -> list[StateChange]:
        """With reasons as this account may read them."""
        config = self._desk.scoped.camera(camera_id)
        return [
            replace(change, reason=self._desk.scoped.told(config, change.reason)) if change.reason else change
            for change in self._desk.scoped.camera_changes(camera_id, since, until)
        ]

    def _draw(self, found: list[CameraConfig] | str) -> None:
        """The rows, when there are other ones than before; a sentence where there are none."""
        if found == self._shown:
            return
        self._shown = found
        self._body.clear()
        self._cells, self._strips = {}, {}
        with self._body:
            if isinstance(found, str):
                empty("cloud_off", found, bad=True)
            elif not found:
                may_add = self._desk.may(Permission.ADD_CAMERAS)
                text = strings.NO_CAMERAS_TEXT if may_add else strings.NO_CAMERAS_FOR_YOU
                empty("videocam", strings.NO_CAMERAS, text)
            else:
                with ui.element("table").classes("tp-table"):
                    acting = [""] if self._desk.may(Permission.TEST_CAMERAS) else []
                    table_head([*strings.CAMERA_LIST_COLUMNS, *acting], numbers=_NUMBERS)
                    with ui.element("tbody"):
                        for config in found:
                            self._row(config)
                ui.html(f"<p>{escape(strings.LAST_24_HOURS)}</p>{strip_legend()}", sanitize=False).classes(
                    "tp-strip-legend"
                )

    def _row(self, config: CameraConfig) -> None:
        with ui.element("tr"):
            cells = [ui.html(sanitize=False, tag="td") for _ in strings.CAMERA_LIST_COLUMNS]
            for place in _NUMBERS:
                cells[place].classes("tp-number")
            self._cells[config.id] = cells
            if self._desk.may(Permission.TEST_CAMERAS):
                with ui.element("td").classes("tp-nowrap"):
                    self._acts(config)
        with ui.element("tr").classes("tp-strip-row"):
            columns = len(strings.CAMERA_LIST_COLUMNS) + self._desk.may(Permission.TEST_CAMERAS)
            with ui.element("td").props(f"colspan={columns}"):
                self._strips[config.id] = ui.html(sanitize=False).classes("tp-strip-line")

    def _acts(self, config: CameraConfig) -> None:
        _act("network_check", strings.CAMERA_TEST, config, self._test)
        if self._desk.may(Permission.MANAGE_CAMERAS):
            _act("edit", strings.CAMERA_CHANGE, config, self._change)
            _act("format_shapes", strings.CAMERA_REGIONS, config, self._draw_regions)
            _act("delete_outline", strings.CAMERA_REMOVE, config, self._ask_remove).classes("tp-bad")

    def _values(self, config: CameraConfig, health: CameraHealth | None, now: datetime) -> list[str]:
        """The cells of a camera, as HTML."""
        state, report = report_of(config, health, now)
        name = f'<a class="tp-strong-cell tp-link" href="/cameras/{config.id}/history">{escape(config.name)}</a>'
        if self._desk.may(Permission.MANAGE_CAMERAS):
            name += f'<br><span class="tp-quiet">{escape(mask_url(config.url))}</span>'
        told = f'<span class="tp-state tp-state-{state}"><i></i>{escape(strings.STATES[state][0])}</span>'
        if report is not None and report.error:
            told += f'<br><span class="tp-quiet">{escape(self._desk.scoped.told(config, report.error))}</span>'
        light = f'<span class="tp-nowrap">{escape(_light(config, report))}</span>'
        return [name, escape(_place(config.position)), light, told, *_figures(report, now)]

    async def _test(self, config: CameraConfig) -> None:
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog"):
            dialog.props["aria-label"] = strings.CAMERA_TEST.format(camera=config.name)
            with ui.element("div").classes("tp-line"):
                heading(strings.CAMERA_TEST.format(camera=config.name), level=2)
                ui.element("span").classes("tp-grow")
                close_button(dialog.close)
            trial = CameraTrial(self._desk)
        dialog.on("hide", dialog.delete)
        await trial.try_saved(config.id)

    def _change(self, config: CameraConfig) -> None:
        CameraForm(self._desk, config, self._refresh)

    async def _draw_regions(self, config: CameraConfig) -> None:
        await RegionsDialog(self._desk, config, self._refresh).load()

    async def _ask_remove(self, config: CameraConfig) -> None:
        await ask_first(strings.REMOVE_SURE.format(camera=config.name), partial(self._remove, config))

    async def _remove(self, config: CameraConfig) -> None:
        def remove() -> bool:
            self._desk.scoped.remove_camera(config.id)
            return True

        if await self._desk.try_to(remove):
            ui.notify(strings.REMOVED.format(camera=config.name), position="top")
        await self._refresh()


def _act(icon: str, title: str, config: CameraConfig, act: Callable[[CameraConfig], Any]) -> ui.button:
    """What can be done with one camera; its name is in the button's, for who hears it only."""
    button = ui.button(icon=icon, on_click=partial(act, config), color=None).props("flat round dense")
    button.props["aria-label"] = button.props["title"] = title.format(camera=config.name)
    return button.classes("tp-flat")


def _place(position: CameraPosition | None) -> str:
    if position is None:
        return ""
    plan = f"{position.plan}: " if position.plan else ""
    if position.x_m is not None and position.y_m is not None:
        return strings.CAMERA_ON_PLAN.format(plan=plan, x=position.x_m, y=position.y_m)
    return f"{plan}{position.latitude:.5f}, {position.longitude:.5f}"


def _light(config: CameraConfig, report: CameraHealth | None) -> str:
    if config.modality is not None:
        return strings.CAMERA_LIGHTS[config.modality.value]
    return strings.CAMERA_LIGHT_NOW[report.modality.value] if report is not None and report.modality is not None else ""


def _figures(report: CameraHealth | None, now: datetime) -> list[str]:
    """Pictures a second, age of the last one, reconnects, what was left out, how far its clock is off."""
    if report is None:
        return [""] * 5
    age = max(0.0, (now - report.last_frame_at).total_seconds()) if report.last_frame_at is not None else None
    return [
        f"{report.analysed_fps:.1f}",
        escape(strings.CAMERA_AGO.format(time=span(age))) if age is not None else "",
        f"{report.reconnects:,}",
        escape(reasons(report.frames_skipped)),
        f"{report.clock_offset_s:+.1f} s" if report.clock_offset_s is not None else "",
    ]
