"""Where a subject went: over each plan that its cameras stand on, and over a map where they have only coordinates."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nicegui import ui

from pipeline.camera import CameraConfig
from service.dashboard import strings
from service.dashboard.components import FloorMap, GlobeMap
from service.dashboard.elements import heading
from service.dashboard.floor import floor_of, named, place_on, plan_names
from service.dashboard.timeline_view import told_transition
from service.plans import FloorPlan
from service.settings import Settings
from service.subjects import Timeline

__all__ = ["globe_of", "show_where", "ways_between"]


def show_where(
    timeline: Timeline, configs: Sequence[CameraConfig], plans: Sequence[FloorPlan], settings: Settings
) -> None:
    """Draw the plans, and the map; nothing where nobody has said where cameras stand."""
    seen = frozenset(sighting.camera_id for sighting in timeline.sightings)
    described = {plan.name: plan for plan in plans}
    drawn: set[bool] = set()
    for name in plan_names(plans, configs):
        plan = described.get(name)
        places = {c.id: place for c in configs if (place := place_on(c, name)) is not None}
        # One camera on nothing tells nobody anything.
        if not seen & places.keys() or (len(places) < 2 and (plan is None or plan.picture is None)):
            continue
        heading(strings.ON_PLAN.format(plan=named(name)), level=3)
        cameras = [
            {"id": c.id, "name": c.name, "state": "", "state_text": "", "seen": c.id in seen}
            | {"x": places[c.id][0], "y": places[c.id][1]}
            for c in configs
            if c.id in places
        ]
        ways = ways_between(timeline, places)
        FloorMap().show(floor_of(name, plan, list(places.values())), cameras, ways=ways)
        drawn |= {way["impossible"] for way in ways}
    located = globe_of(configs)
    if seen & located.keys():
        heading(strings.ON_MAP, level=3)
        cameras = [
            {"id": c.id, "name": c.name, "seen": c.id in seen, "at": located[c.id]} for c in configs if c.id in located
        ]
        ways = ways_between(timeline, located)
        GlobeMap(cameras, ways, tiles=settings.map_tiles, attribution=settings.map_attribution)
        drawn |= {way["impossible"] for way in ways}
    if drawn:
        _legend(drawn)


def globe_of(configs: Sequence[CameraConfig]) -> dict[str, tuple[float, float]]:
    """Latitude and longitude of the cameras that have them and stand on no plan."""
    return {
        c.id: (c.position.latitude, c.position.longitude)
        for c in configs
        if c.position is not None
        and c.position.x_m is None
        and c.position.latitude is not None
        and c.position.longitude is not None
    }


def ways_between(timeline: Timeline, places: Mapping[str, tuple[float, float]]) -> list[dict[str, Any]]:
    """The ways that lead from one of these places to another, each kind between two cameras once: four numbers, and
    whether it cannot be, with words."""
    found: dict[tuple[str, str, bool], dict[str, Any]] = {}
    for way in timeline.transitions:
        one, other = way.before.camera_id, way.after.camera_id
        if one in places and other in places:
            told = told_transition(way) if way.impossible else ""
            line = [*places[one], *places[other]]
            found.setdefault((one, other, way.impossible), {"line": line, "impossible": way.impossible, "told": told})
    return list(found.values())


def _legend(kinds: Collection[bool]) -> None:
    """Of the ways that are drawn: possible, impossible or both."""
    with ui.element("p").classes("tp-floor-key"):
        if False in kinds:
            ui.html('<svg width="34" height="10" aria-hidden="true"><path d="M0 5h34"/></svg>', sanitize=False)
            ui.label(strings.WENT)
        if True in kinds:
            ui.html(
                '<svg width="34" height="10" aria-hidden="true" class="tp-floor-bad"><path d="M0 5h34"/></svg>'
                '<b class="tp-floor-mark" aria-hidden="true">!</b>',
                sanitize=False,
            ).classes("tp-line-part")
            ui.label(strings.WENT_NOT)
