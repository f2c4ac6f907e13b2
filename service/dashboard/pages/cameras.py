"""Cameras: how each of them is, and for whom it is allowed: add, change, test and remove."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
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
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import ask_first, close_button, empty, heading, primary, table_head
from service.dashboard.regions_dialog import RegionsDialog
from service.dashboard.wording import reasons, report_of, span
from service.security.access import Permission

__all__ = ["CamerasPage"]

_NUMBERS = (4, 6)


class CamerasPage:
    """Read anew every two seconds while it is looked at. Values go into the cells that are there: focus stays."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shown: list[CameraConfig] | str | None = None
        self._cells: dict[str, list[ui.html]] = {}

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line"):
                camera_tabs("/cameras")
                ui.element("span").classes("tp-grow")
                if self._desk.may(Permission.ADD_CAMERAS):
                    primary(strings.ADD_CAMERA, lambda: CameraForm(self._desk, None, self._refresh), icon="add")
            self._body = ui.element("div").classes("tp-scroll").props("tabindex=0 role=region")
            self._body.props["aria-label"] = strings.CAMERAS
        await self._desk.ready()
        await self._refresh()
        ui.timer(2.0, self._refresh)

    async def _refresh(self) -> None:
        try:
            found = await self._desk.ask(self._read)
        except Unanswered as error:
            self._draw(str(error))
            return
        if isinstance(found, tuple):  # None while the process ends
            self._show(*found)

    def _show(self, configs: list[CameraConfig], reports: dict[str, CameraHealth]) -> None:
        self._draw(configs)
        now = datetime.now(UTC)
        for config in configs:
            values = self._values(config, reports.get(config.id), now)
            for cell, text in zip(self._cells[config.id], values, strict=True):
                cell.set_content(text)

    def _read(self) -> tuple[list[CameraConfig], dict[str, CameraHealth]]:
        configs = self._desk.scoped.cameras()
        return configs, self._desk.scoped.camera_health([config.id for config in configs])

    def _draw(self, found: list[CameraConfig] | str) -> None:
        """The rows, when there are other ones than before; a sentence where there are none."""
        if found == self._shown:
            return
        self._shown = found
        self._body.clear()
        self._cells = {}
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

    def _row(self, config: CameraConfig) -> None:
        with ui.element("tr"):
            cells = [ui.html(sanitize=False, tag="td") for _ in strings.CAMERA_LIST_COLUMNS]
            for place in _NUMBERS:
                cells[place].classes("tp-number")
            self._cells[config.id] = cells
            if self._desk.may(Permission.TEST_CAMERAS):
                with ui.element("td").classes("tp-nowrap"):
                    self._acts(config)

    def _acts(self, config: CameraConfig) -> None:
        _act("network_check", strings.CAMERA_TEST, config, self._test)
        if self._desk.may(Permission.MANAGE_CAMERAS):
            _act("edit", strings.CAMERA_CHANGE, config, self._change)
            _act("format_shapes", strings.CAMERA_REGIONS, config, self._draw_regions)
            _act("delete_outline", strings.CAMERA_REMOVE, config, self._ask_remove).classes("tp-bad")

    def _values(self, config: CameraConfig, health: CameraHealth | None, now: datetime) -> list[str]:
        """The cells of a camera, as HTML."""
        state, report = report_of(config, health, now)
        name = f'<span class="tp-strong-cell">{escape(config.name)}</span>'
        if self._desk.may(Permission.MANAGE_CAMERAS):
            name += f'<br><span class="tp-quiet">{escape(mask_url(config.url))}</span>'
        told = f'<span class="tp-state tp-state-{state}"><i></i>{escape(strings.STATES[state][0])}</span>'
        if report is not None and report.error:
            told += f'<br><span class="tp-quiet">{escape(self._desk.scoped.told(config, report.error))}</span>'
        return [name, escape(_place(config.position)), escape(_light(config, report)), told, *_figures(report, now)]

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
