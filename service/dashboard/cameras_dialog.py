"""Cameras: what is there, add one with a test that shows its first frame, remove one."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from nicegui import run, ui
from pydantic import ValidationError
from redis.exceptions import RedisError

from models.types import Modality
from pipeline.camera import CameraConfig
from pipeline.camera_url import mask_url
from service.api.cameras import add_camera_config, probe_shown
from service.api.schema import CameraCreate, CameraTest
from service.api.scoped import Scoped
from service.audit import AuditUnavailable
from service.dashboard import strings
from service.dashboard.elements import close_button, heading, plain, primary, quiet
from service.gallery import GalleryUnavailable
from service.problems import ProblemError
from service.security.access import Permission

__all__ = ["CamerasDialog"]


class CamerasDialog:
    """Two dialogs: the list, and the form for a new camera."""

    def __init__(self, scoped: Scoped) -> None:
        self._scoped = scoped
        self.on_change: Callable[[], Awaitable[None]] | None = None
        with ui.dialog().props(f'aria-label="{strings.CAMERAS}"') as self._list_dialog:
            self._list = ui.element("div").classes("tp-dialog")
        with ui.dialog().props(f'aria-label="{strings.ADD_CAMERA}"') as self._form_dialog:
            self._form = ui.element("div").classes("tp-dialog")

    async def open(self) -> None:
        """Show the list."""
        try:
            configs = await run.io_bound(self._scoped.cameras)
        except (GalleryUnavailable, RedisError):
            ui.notify(strings.STORE_AWAY, type="negative", position="top")
            return
        self._list.clear()
        with self._list:
            self._head(strings.CAMERAS, self._list_dialog)
            for config in configs or ():
                self._row(config)
            if not configs:
                ui.label(strings.NO_CAMERAS_TEXT).classes("tp-quiet")
            if self._scoped.access.may(Permission.ADD_CAMERAS):
                with ui.element("div").classes("tp-line"):
                    primary(strings.ADD_CAMERA, self.open_add, icon="add")
        self._list_dialog.open()

    def _head(self, title: str, dialog: ui.dialog) -> None:
        with ui.element("div").classes("tp-line"):
            heading(title, level=2)
            ui.element("span").classes("tp-grow")
            close_button(dialog.close)

    def _row(self, config: CameraConfig) -> None:
        with ui.element("div").classes("tp-camera-row"):
            with ui.element("div"):
                ui.label(config.name).classes("tp-strong tp-ellipsis")
                ui.label(mask_url(config.url)).classes("tp-quiet tp-ellipsis")
            remove = quiet(strings.REMOVE, icon="delete_outline").classes("tp-bad")
            remove.props["aria-label"] = f"{strings.REMOVE} {config.name}"
            remove.on_click(lambda c=config: self._ask_remove(c))

    def _ask_remove(self, config: CameraConfig) -> None:
        with ui.dialog(value=True) as sure, ui.element("div").classes("tp-dialog"):
            ui.label(strings.REMOVE_SURE.format(camera=config.name))
            with ui.element("div").classes("tp-line"):
                primary(strings.REMOVE, lambda: self._remove(config, sure)).classes("tp-bad")
                quiet(strings.CANCEL, sure.close)

    async def _remove(self, config: CameraConfig, sure: ui.dialog) -> None:
        try:
            with contextlib.suppress(ProblemError):  # somebody else was faster
                await run.io_bound(self._scoped.remove_camera, config.id)
        except (GalleryUnavailable, RedisError, AuditUnavailable) as error:
            _notify_away(error)
            return
        sure.close()
        ui.notify(strings.REMOVED.format(camera=config.name), position="top")
        await self.open()
        await self._changed()

    # -- the form --------------------------------------------------------------------------------

    def open_add(self) -> None:
        """Show an empty form."""
        self._list_dialog.close()
        self._form.clear()
        with self._form:
            self._head(strings.ADD_CAMERA, self._form_dialog)
            self._name = ui.input(strings.CAMERA_NAME).props("filled dense stack-label maxlength=120 autofocus")
            self._url = ui.input(strings.CAMERA_URL).props(
                "filled dense stack-label maxlength=2048 autocomplete=off spellcheck=false"
            )
            self._url.props["hint"] = strings.CAMERA_URL_HINT
            self._light = ui.select(strings.CAMERA_LIGHTS, label=strings.CAMERA_LIGHT, value="").props(
                "filled dense stack-label options-dense"
            )
            self._outcome = ui.element("div").classes("tp-test").props('role="status"')
            with ui.element("div").classes("tp-line"):
                self._test_button = plain(strings.TEST, self._test, icon="network_check")
                primary(strings.SAVE, self._save, icon="check")
        self._form_dialog.open()

    async def _test(self) -> None:
        config = self._entered()
        if config is None:
            return
        self._test_button.disable()
        self._outcome.clear()
        with self._outcome:
            ui.spinner(size="24px")
            ui.label(strings.TESTING)
        try:
            probe = await self._scoped.probe_camera(CameraConfig(id="test", name="test", url=config.url), saved=False)
        except AuditUnavailable as error:
            _notify_away(error)
            return
        finally:
            self._test_button.enable()
            self._outcome.clear()
        with self._outcome:
            self._draw_outcome(probe_shown(probe))

    def _draw_outcome(self, test: CameraTest) -> None:
        if not test.ok:
            ui.icon("error_outline", size="22px").classes("tp-error")
            with ui.element("div"):
                ui.label(strings.TEST_FAILED).classes("tp-strong")
                ui.label(test.reason or "").classes("tp-error")
            return
        picture = ui.element("img")
        picture.props["src"] = f"data:image/jpeg;base64,{test.first_frame_jpeg}"
        picture.props["alt"] = strings.TEST_OK
        with ui.element("div"):
            ui.label(strings.TEST_OK).classes("tp-strong")
            ui.label(f"{test.width_px} × {test.height_px} {test.codec or ''}").classes("tp-quiet")
            if test.fps:
                ui.label(f"{test.fps:.3g} fps").classes("tp-quiet")
            if test.modality:
                ui.label(strings.LIGHTS[test.modality.value]).classes("tp-quiet")

    async def _save(self) -> None:
        config = self._entered()
        if config is None:
            return
        try:
            saved = await run.io_bound(add_camera_config, self._scoped, config)
        except ProblemError as error:
            ui.notify(str(error.detail), type="negative", position="top")
            return
        except (GalleryUnavailable, RedisError, AuditUnavailable) as error:
            _notify_away(error)
            return
        if saved is None:  # the process is ending
            return
        self._form_dialog.close()
        ui.notify(strings.SAVED.format(camera=saved.name), type="positive", position="top")
        await self._changed()

    def _entered(self) -> CameraCreate | None:
        light = self._light.value
        try:
            return CameraCreate(
                name=self._name.value or "",
                url=(self._url.value or "").strip(),
                modality=Modality(light) if light else None,
            )
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            field = strings.CAMERA_URL if first["loc"] and first["loc"][0] == "url" else strings.CAMERA_NAME
            ui.notify(f"{field}: {first['msg']}", type="negative", position="top")
            return None

    async def _changed(self) -> None:
        if self.on_change is not None:
            await self.on_change()


def _notify_away(error: Exception) -> None:
    text = strings.NOT_RECORDED if isinstance(error, AuditUnavailable) else strings.STORE_AWAY
    ui.notify(text, type="negative", position="top")
