"""Floor plans: where each camera stands and how it is; for whom it is allowed, cameras are dragged on to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from nicegui import ui
from pydantic import ValidationError

from pipeline.camera import CameraConfig, CameraHealth
from service.api.cameras import change_camera_config
from service.api.schema import CameraChange, CameraPlace
from service.dashboard import strings
from service.dashboard.camera_tabs import camera_tabs
from service.dashboard.components import FloorMap, PlanUpload
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import ask_first, empty, plain, primary, quiet
from service.dashboard.floor import floor_of, named, place_on, plan_names
from service.dashboard.plan_form import PlanForm
from service.dashboard.wording import report_of
from service.plans import FloorPlan
from service.security.access import Permission

__all__ = ["PlanPage", "plan_path"]


def plan_path(name: str) -> str:
    """Where the plan of this name is looked at."""
    return f"/cameras/plan?plan={quote(name, safe='')}"


class PlanPage:
    """Read anew every two seconds while it is looked at; what is being dragged is left alone.

    Args:
        chosen: name of the plan; None for the one that most cameras stand on.
    """

    def __init__(self, desk: Desk, chosen: str | None) -> None:
        self._desk = desk
        self._chosen = chosen
        self._map: FloorMap | None = None
        self._head_shows: object = None
        self._answered = 0
        self._error = ""

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            self._head = ui.element("div").classes("tp-line tp-plan-head")
            self._body = ui.element("div").classes("tp-block")
        await self._desk.ready()
        await self._refresh()
        ui.timer(2.0, self._refresh)

    def _read(self) -> tuple[list[FloorPlan], list[CameraConfig], dict[str, CameraHealth]]:
        scoped = self._desk.scoped
        configs = scoped.cameras()
        return scoped.plans.all(), configs, scoped.camera_health([config.id for config in configs])

    async def _refresh(self) -> None:
        try:
            found = await self._desk.ask(self._read)
        except Unanswered as error:
            self._nothing(("cloud_off", str(error), ""), bad=True)
            return
        self._show(*found)

    def _show(self, plans: list[FloorPlan], configs: list[CameraConfig], health: Mapping[str, CameraHealth]) -> None:
        names = plan_names(plans, configs)
        if self._chosen is None and names:
            self._chosen = max(names, key=lambda name: sum(place_on(c, name) is not None for c in configs))
        name = self._chosen
        described = {plan.name: plan for plan in plans}
        self._draw_head(names, described.get(name or ""))
        if name is None or name not in names:
            may = self._desk.may(Permission.PLANS)
            self._nothing(("map", strings.NO_PLANS, strings.NO_PLANS_TEXT if may else strings.NO_PLANS_FOR_YOU))
            return
        places = {c.id: place for c in configs if (place := place_on(c, name)) is not None}
        now = datetime.now(UTC)
        cameras = [
            self._camera(c, health.get(c.id), now) | {"x": places[c.id][0], "y": places[c.id][1]}
            for c in configs
            if c.id in places
        ]
        spare = [
            self._camera(c, health.get(c.id), now) | {"x": None, "y": None}
            for c in configs
            if c.position is None or c.position.x_m is None
        ]
        if self._map is None:
            self._body.clear()
            with self._body:
                self._map = FloorMap(
                    editable=self._desk.may(Permission.MANAGE_CAMERAS),
                    listed=True,
                    room="100vh - 9.5rem",
                    on_place=partial(self._move, place=True),
                    on_take=partial(self._move, place=False),
                )
        floor = floor_of(name, described.get(name), list(places.values()))
        self._map.show(floor, cameras, unplaced=spare, answered=self._answered, error=self._error)

    @staticmethod
    def _camera(config: CameraConfig, health: CameraHealth | None, now: datetime) -> dict[str, Any]:
        state, _ = report_of(config, health, now)
        return {"id": config.id, "name": config.name, "state": state, "state_text": strings.STATES[state][0]}

    def _nothing(self, told: tuple[str, str, str], *, bad: bool = False) -> None:
        self._map = None
        self._body.clear()
        with self._body:
            empty(*told, bad=bad)

    # -- what there is to do -----------------------------------------------------------------------

    def _draw_head(self, names: list[str], plan: FloorPlan | None) -> None:
        shows = (names, plan, self._chosen)
        if shows == self._head_shows:
            return
        self._head_shows = shows
        self._head.clear()
        with self._head:
            camera_tabs("/cameras/plan")
            if names:
                options = {name: named(name) for name in names}
                chosen = self._chosen if self._chosen in options else None
                choice = ui.select(options, value=chosen, on_change=lambda e: ui.navigate.to(plan_path(e.value)))
                choice.props(f'filled dense options-dense aria-label="{strings.PLAN}"').classes("tp-plan-choice")
            if plan is not None:
                ui.label(strings.PLAN_SIZE.format(width=plan.width_m, height=plan.height_m)).classes("tp-quiet")
            ui.element("span").classes("tp-grow")
            if self._desk.may(Permission.PLANS):
                if plan is not None:
                    PlanUpload(plan.name, self._desk.scoped.settings.max_upload_bytes, on_sent=self._sent)
                    plain(strings.PLAN_CHANGE, partial(PlanForm, self._desk, plan, self._made), icon="straighten")
                    quiet(strings.REMOVE, partial(self._ask_remove, plan), icon="delete_outline").classes("tp-bad")
                elif self._chosen and self._chosen in names:
                    plain(
                        strings.PLAN_DESCRIBE,
                        partial(PlanForm, self._desk, None, self._made, name=self._chosen),
                        icon="straighten",
                    )
                primary(strings.PLAN_ADD, partial(PlanForm, self._desk, None, self._made), icon="add")

    async def _made(self, name: str) -> None:
        if name == self._chosen:
            await self._refresh()
        else:
            ui.navigate.to(plan_path(name))

    async def _sent(self, told: dict[str, Any]) -> None:
        if told.get("error"):
            ui.notify(str(told["error"]), type="negative", position="top")
        await self._refresh()

    async def _ask_remove(self, plan: FloorPlan) -> None:
        await ask_first(strings.PLAN_REMOVE_SURE.format(name=plan.name), partial(self._remove, plan))

    async def _remove(self, plan: FloorPlan) -> None:
        def remove() -> bool:
            self._desk.scoped.plans.remove(plan.name)
            return True

        if await self._desk.try_to(remove):
            ui.navigate.to("/cameras/plan")

    async def _move(self, asked: dict[str, Any], *, place: bool) -> None:
        """Put a camera somewhere on the plan, or take it off; where it stands on the globe stays."""
        self._error = ""
        try:
            at = (asked.get("x_m"), asked.get("y_m")) if place else (None, None)
            await self._desk.ask(lambda: self._put(str(asked.get("id")), *at))
        except ValidationError as error:
            self._error = str(error.errors(include_input=False)[0]["msg"])
        except Unanswered as error:
            self._error = str(error)
        count = asked.get("asked")
        self._answered = max(self._answered, count if isinstance(count, int) else 0)
        await self._refresh()

    def _put(self, camera_id: str, x_m: float | None, y_m: float | None) -> None:
        scoped = self._desk.scoped
        before = scoped.camera(camera_id).position
        globe = {name: value for name, value in asdict(before).items() if name.endswith("itude")} if before else {}
        position = None
        if x_m is not None:
            position = CameraPlace(x_m=x_m, y_m=y_m, plan=self._chosen or "", **globe)
        elif any(value is not None for value in globe.values()):
            position = CameraPlace(**globe)
        change_camera_config(scoped, camera_id, CameraChange(position=position))
