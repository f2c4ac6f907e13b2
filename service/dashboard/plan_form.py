"""The form of a floor plan: a new one, or one that is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from pydantic import TypeAdapter, ValidationError

from service.api.plans import PlanName
from service.api.schema_plans import PlanPut
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import heading, primary, quiet
from service.plans import FloorPlan

__all__ = ["PlanForm"]

_FIELD = "filled dense stack-label"
_NAME: TypeAdapter[str] = TypeAdapter(PlanName)


class PlanForm:
    """Opens at once. What is wrong is said in it, and nothing that was entered is lost.

    Args:
        plan: the one to change; None for a new one.
        on_saved: called with its name.
        name: of a new one that cameras stand on already.
    """

    def __init__(
        self, desk: Desk, plan: FloorPlan | None, on_saved: Callable[[str], Awaitable[None]], *, name: str = ""
    ) -> None:
        self._desk = desk
        self._plan = plan
        self._on_saved = on_saved
        title = strings.PLAN_ADD if plan is None else plan.name
        with ui.dialog(value=True) as self._dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            self._dialog.props["aria-label"] = title
            heading(title, level=2)
            self._name = ui.input(strings.PLAN_NAME, value=plan.name if plan else name)
            self._name.props(f"{_FIELD} maxlength=120 autofocus").set_visibility(plan is None)
            self._name.set_enabled(not name)
            self._width = ui.number(strings.PLAN_WIDTH, value=plan.width_m if plan else 40)
            self._width.props(f'{_FIELD} step=any hint="{strings.PLAN_WIDTH_HINT}"')
            self._height = ui.number(strings.PLAN_HEIGHT, value=plan.height_m if plan else 30)
            self._height.props(f'{_FIELD} step=any hint="{strings.PLAN_HEIGHT_HINT}"')
            self._height.set_visibility(plan is None or plan.picture is None)
            self._error = ui.label().classes("tp-error").props('role="alert"')
            with ui.element("div").classes("tp-line"):
                primary(strings.KEEP, self._save)
                quiet(strings.CANCEL, self._dialog.close)
        self._dialog.on("hide", self._dialog.delete)

    async def _save(self) -> None:
        self._error.set_text("")
        try:
            name = _NAME.validate_python((self._name.value or "").strip())
            size = PlanPut(width_m=self._width.value, height_m=self._height.value)
            await self._desk.ask(lambda: self._put(name, size))
        except ValidationError as error:
            self._error.set_text(_told(error))
            return
        except Unanswered as error:
            self._error.set_text(str(error))
            return
        self._dialog.close()
        await self._on_saved(name)

    def _put(self, name: str, size: PlanPut) -> FloorPlan:
        height_m = size.height_m if size.height_m is not None else size.width_m
        return self._desk.scoped.plans.put(name, size.width_m, height_m)


def _told(error: ValidationError) -> str:
    first: Any = error.errors(include_input=False)[0]
    labels = {"width_m": strings.PLAN_WIDTH, "height_m": strings.PLAN_HEIGHT}
    if not first["loc"]:
        return strings.PLAN_NAME_WRONG
    return f"{labels.get(str(first['loc'][-1]), '')}: {first['msg']}"
