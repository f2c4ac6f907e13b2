"""Regions of a camera, drawn on what it shows now."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from pydantic import ValidationError

from pipeline.camera import CameraConfig, CameraState
from service.api.cameras import change_camera_config, try_camera
from service.api.live import newest_frame
from service.api.schema import CameraChange
from service.dashboard import strings
from service.dashboard.components import RegionEditor
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import close_button, heading

__all__ = ["RegionsDialog"]


class RegionsDialog:
    """Opens at once; closed by its button only, for a drawing is work. Call `load` for the picture."""

    def __init__(self, desk: Desk, config: CameraConfig, on_saved: Callable[[], Awaitable[None]]) -> None:
        self._desk = desk
        self._config = config
        self._on_saved = on_saved
        title = strings.CAMERA_REGIONS.format(camera=config.name)
        with ui.dialog(value=True).props("persistent") as self._dialog, ui.element("div").classes("tp-dialog"):
            self._dialog.props["aria-label"] = title
            with ui.element("div").classes("tp-line"):
                heading(title, level=2)
                ui.element("span").classes("tp-grow")
                close_button(self._dialog.close)
            self._note = ui.label(strings.REGIONS_FETCHING).classes("tp-quiet").props('role="status"')
            self._editor = RegionEditor(config.include, config.exclude, on_save=self._save)
        self._dialog.on("hide", self._dialog.delete)

    async def load(self) -> None:
        """Fetch a picture to draw on. Without one, regions can be drawn all the same, and why is said."""
        note = ""
        try:
            self._editor.show(await self._desk.wait_for(self._picture()))
        except Unanswered as error:
            note = strings.REGIONS_BLIND.format(reason=error)
        if not self._note.is_deleted:
            self._note.set_text(note)
            self._note.set_visibility(bool(note))

    async def _picture(self) -> str:
        """The newest live picture, else the first of a test. Raises ProblemError, and Unanswered with the reason."""
        scoped, camera_id = self._desk.scoped, self._config.id
        health = await self._desk.ask(lambda: scoped.camera_health([camera_id]))
        if camera_id in health and health[camera_id].state is CameraState.LIVE:
            return base64.b64encode((await newest_frame(scoped, camera_id)).jpeg).decode()
        test = await try_camera(scoped, camera_id)
        if test.first_frame_jpeg is None:
            raise Unanswered(test.reason or strings.TEST_FAILED)
        return test.first_frame_jpeg

    async def _save(self, regions: dict[str, Any]) -> None:
        self._editor.complain("")
        try:
            change = CameraChange(include=regions.get("include"), exclude=regions.get("exclude"))
            await self._desk.ask(lambda: change_camera_config(self._desk.scoped, self._config.id, change))
        except ValidationError as error:
            self._editor.complain(_told(error))
            return
        except Unanswered as error:
            self._editor.complain(str(error))
            return
        self._dialog.close()
        ui.notify(strings.CAMERA_CHANGED.format(camera=self._config.name), type="positive", position="top")
        await self._on_saved()


def _told(error: ValidationError) -> str:
    first = error.errors(include_input=False)[0]
    kind, *places = first["loc"]
    number = f" {int(places[0]) + 1}" if places else ""
    return f"{strings.REGION_KINDS.get(str(kind), str(kind))}{number}: {first['msg']}"
