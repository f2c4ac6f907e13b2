"""The form of a camera: a new one, or one that is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from nicegui import ui
from pydantic import ValidationError

from pipeline.camera import CameraConfig
from pipeline.camera_url import mask_url
from service.api.cameras import add_camera_config, change_camera_config
from service.api.schema import CameraChange, CameraCreate
from service.dashboard import strings
from service.dashboard.camera_trial import CameraTrial
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import close_button, heading, plain, primary
from service.dashboard.floor import plan_names
from service.security.access import Permission

__all__ = ["CameraForm"]

_FIELD = "filled dense stack-label"
_NUMBERS = {
    "max_fps": strings.CAMERA_FPS,
    "min_height_px": strings.CAMERA_LEAST_HEIGHT,
    "keep_days": strings.CAMERA_KEEP,
}
_LABELS = {
    **_NUMBERS,
    **strings.CAMERA_PLACE,
    "name": strings.CAMERA_NAME,
    "url": strings.CAMERA_URL,
    "plan": strings.CAMERA_PLAN,
}
_NEW = CameraConfig(id="", name="", url="")


class CameraForm:
    """Opens at once. What is wrong is said in it, and nothing that was entered is lost.

    Args:
        config: the camera to change; None for a new one.
    """

    def __init__(self, desk: Desk, config: CameraConfig | None, on_saved: Callable[[], Awaitable[None]]) -> None:
        self._desk = desk
        self._config = config
        self._on_saved = on_saved
        self._before = _values_of(config or _NEW)
        with ui.dialog(value=True) as self._dialog, ui.element("div").classes("tp-dialog"):
            title = strings.ADD_CAMERA if config is None else config.name
            self._dialog.props["aria-label"] = title
            with ui.element("div").classes("tp-line"):
                heading(title, level=2)
                ui.element("span").classes("tp-grow")
                close_button(self._dialog.close)
            self._build_fields()
            self._error = ui.label().classes("tp-error").props('role="alert"')
            self._trial = CameraTrial(desk)
            with ui.element("div").classes("tp-line"):
                self._test_button = plain(strings.TEST, self._test, icon="network_check")
                primary(strings.SAVE if config is None else strings.KEEP, self._save, icon="check")
        self._dialog.on("hide", self._dialog.delete)

    def _build_fields(self) -> None:
        before = self._before
        self._name = ui.input(strings.CAMERA_NAME, value=before["name"]).props(f"{_FIELD} maxlength=120 autofocus")
        self._url = ui.input(strings.CAMERA_URL, value=before["url"])
        self._url.props(f"{_FIELD} maxlength=2048 autocomplete=off spellcheck=false")
        self._url.props["hint"] = strings.CAMERA_URL_HINT
        self._url.set_enabled(self._desk.may(Permission.ADD_CAMERAS))
        with ui.element("div").classes("tp-fields"):
            self._light = ui.select(
                strings.CAMERA_LIGHTS, label=strings.CAMERA_LIGHT, value=before["modality"] or ""
            ).props(f"{_FIELD} options-dense")
            self._numbers = {name: ui.number(label, value=before[name]) for name, label in _NUMBERS.items()}
            self._numbers["keep_days"].props["placeholder"] = strings.CAMERA_DEFAULT
            place = before["position"] or {}
            self._plan = ui.input(strings.CAMERA_PLAN, value=place.get("plan", "")).props(f"{_FIELD} maxlength=120")
            ui.timer(0, self._suggest, once=True)
            self._place = {
                name: ui.number(label, value=place.get(name)) for name, label in strings.CAMERA_PLACE.items()
            }
            for number in (*self._numbers.values(), *self._place.values()):
                number.props(f"{_FIELD} step=any")
        self._enabled = ui.checkbox(strings.CAMERA_ENABLED, value=before["enabled"]).props("dense")

    async def _suggest(self) -> None:
        """Offer the plans that there are: one that is written otherwise is another one."""
        scoped = self._desk.scoped
        try:
            names = await self._desk.ask(lambda: plan_names(scoped.plans.all(), scoped.cameras()))
        except Unanswered:
            return
        if names and not self._plan.is_deleted:
            self._plan.set_autocomplete(names)

    def _entered(self) -> dict[str, Any]:
        place = {name: number.value for name, number in self._place.items()}
        plan = (self._plan.value or "").strip()
        return {
            "name": (self._name.value or "").strip(),
            "url": (self._url.value or "").strip(),
            "modality": self._light.value or None,
            **{name: number.value for name, number in self._numbers.items()},
            "position": {**place, "plan": plan} if plan or any(v is not None for v in place.values()) else None,
            "enabled": bool(self._enabled.value),
        }

    async def _test(self) -> None:
        """What is saved is tried with its credentials; another address by itself."""
        self._error.set_text("")
        self._test_button.disable()
        try:
            url = self._entered()["url"]
            if self._config is not None and url == self._before["url"]:
                await self._trial.try_saved(self._config.id)
            else:
                await self._trial.try_address(url)
        except ValidationError as error:
            self._error.set_text(_told(error))
        finally:
            self._test_button.enable()

    async def _save(self) -> None:
        self._error.set_text("")
        entered = self._entered()
        changed = {name: value for name, value in entered.items() if value != self._before[name]}
        try:
            if self._config is None:
                new = CameraCreate(**changed if "url" in changed else {**changed, "url": ""})
                saved = await self._desk.ask(lambda: add_camera_config(self._desk.scoped, new))
            elif changed:
                camera_id, change = self._config.id, CameraChange(**changed)
                saved = await self._desk.ask(lambda: change_camera_config(self._desk.scoped, camera_id, change))
            else:
                saved = self._config
        except ValidationError as error:
            self._error.set_text(_told(error))
            return
        except Unanswered as error:
            self._error.set_text(str(error))
            return
        self._dialog.close()
        text = strings.SAVED if self._config is None else strings.CAMERA_CHANGED
        ui.notify(text.format(camera=saved.name), type="positive", position="top")
        await self._on_saved()


def _values_of(config: CameraConfig) -> dict[str, Any]:
    """What the form shows of a camera, as the API would take it."""
    return {
        "name": config.name,
        "url": mask_url(config.url),
        "modality": config.modality.value if config.modality is not None else None,
        **{name: getattr(config, name) for name in _NUMBERS},
        "position": asdict(config.position) if config.position is not None else None,
        "enabled": config.enabled,
    }


def _told(error: ValidationError) -> str:
    first = error.errors(include_input=False)[0]
    named = next((_LABELS[str(part)] for part in reversed(first["loc"]) if str(part) in _LABELS), "")
    return f"{named}: {first['msg']}" if named else str(first["msg"])
