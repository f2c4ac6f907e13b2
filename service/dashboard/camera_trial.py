"""Connects to a camera once and shows what came of it."""

from __future__ import annotations

from collections.abc import Awaitable

from nicegui import ui

from service.api.cameras import test_address, try_camera
from service.api.schema import CameraTest, CameraTestRequest
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered

__all__ = ["CameraTrial"]


class CameraTrial:
    """Built in place; empty until something was tried."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._outcome = ui.element("div").classes("tp-test").props('role="status"')

    async def try_saved(self, camera_id: str) -> None:
        """Try a camera as it is saved."""
        await self._show(try_camera(self._desk.scoped, camera_id))

    async def try_address(self, url: str) -> None:
        """Try an address that is not saved. Raises ValidationError for what cannot be one."""
        await self._show(test_address(CameraTestRequest(url=url), self._desk.scoped))

    async def _show(self, trial: Awaitable[CameraTest]) -> None:
        self._outcome.clear()
        with self._outcome:
            ui.spinner(size="24px")
            ui.label(strings.TESTING)
        try:
            test = await self._desk.wait_for(trial)
        except Unanswered as error:
            test = CameraTest(ok=False, reason=str(error))
        if self._outcome.is_deleted:
            return
        self._outcome.clear()
        with self._outcome:
            _draw(test)


def _draw(test: CameraTest) -> None:
    if not test.ok:
        ui.icon("error_outline", size="22px").classes("tp-error")
        with ui.element("div"):
            ui.label(strings.TEST_FAILED).classes("tp-strong")
            ui.label(test.reason or "").classes("tp-error")
        return
    picture = ui.element("img")
    picture.props["src"] = f"data:image/jpeg;base64,{test.first_frame_jpeg}"
    picture.props["alt"] = strings.TEST_PICTURE
    with ui.element("div"):
        ui.label(strings.TEST_OK).classes("tp-strong")
        ui.label(f"{test.width_px} × {test.height_px} {test.codec or ''}").classes("tp-quiet")
        if test.fps:
            ui.label(f"{test.fps:.3g} fps").classes("tp-quiet")
        if test.modality:
            ui.label(strings.CAMERA_LIGHT_NOW[test.modality.value]).classes("tp-quiet")
        if test.clock_offset_s is not None:
            ui.label(strings.TEST_CLOCK.format(offset=test.clock_offset_s)).classes("tp-quiet")
