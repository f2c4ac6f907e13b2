"""A floor as the page draws it: what of it is in sight, its picture or a grid, and who stands where, in metres."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.camera import CameraConfig
from service.api.plans import plan_image_path
from service.dashboard import strings
from service.plans import FloorPlan

__all__ = ["floor_of", "named", "place_on", "plan_names"]

_EMPTY_M = (0.0, 0.0, 40.0, 24.0)
_LINES = 16  # of a grid, at most, across the longer side
_MARGIN = 0.2
_FLATTEST = 0.45


def named(plan: str) -> str:
    """A plan as people call it; positions without a name share one plan too."""
    return plan or strings.PLAN_UNNAMED


def place_on(config: CameraConfig, plan: str) -> tuple[float, float] | None:
    """Where a camera stands on a plan, in metres; None where it does not."""
    place = config.position
    if place is None or place.plan != plan or place.x_m is None or place.y_m is None:
        return None
    return place.x_m, place.y_m


def plan_names(plans: Iterable[FloorPlan], configs: Iterable[CameraConfig]) -> list[str]:
    """Every plan that somebody described or a camera stands on, by name."""
    standing = {c.position.plan for c in configs if c.position is not None and c.position.x_m is not None}
    return sorted({plan.name for plan in plans} | standing, key=str.casefold)


def floor_of(name: str, plan: FloorPlan | None, points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """What is in sight of a plan: all that it covers, and all points; of one without edges, the points with room.

    Returns:
        left_m, top_m, width_m, height_m of what is in sight; the picture, and the part that it takes, in fractions;
        grid_m between two lines; step_m that an arrow key moves a camera by.
    """
    left, top, right, bottom = _sight(plan, points)
    width, height = right - left, bottom - top
    grid = _round_step(max(width, height) / _LINES)
    picture = None
    if plan is not None and plan.picture is not None:
        picture = {
            "src": f"{plan_image_path(plan)}?{plan.picture.key[-12:-5]}",  # another picture has another address
            "left": -left / width,
            "top": -top / height,
            "width": plan.width_m / width,
            "height": plan.height_m / height,
        }
    return {
        "name": named(name),
        "left_m": left,
        "top_m": top,
        "width_m": width,
        "height_m": height,
        "picture": picture,
        "grid_m": grid,
        "step_m": grid / 10,
    }


def _sight(plan: FloorPlan | None, points: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in metres."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if plan is not None:
        inside = all(0 <= x <= plan.width_m and 0 <= y <= plan.height_m for x, y in points)
        margin = 0.0 if inside else 0.05 * max(plan.width_m, plan.height_m)
        left, right = min([0.0, *(x - margin for x in xs)]), max([plan.width_m, *(x + margin for x in xs)])
        top, bottom = min([0.0, *(y - margin for y in ys)]), max([plan.height_m, *(y + margin for y in ys)])
        return left, top, right, bottom
    if not points:
        return _EMPTY_M
    span = max(max(xs) - min(xs), max(ys) - min(ys), 20.0)
    width = max(xs) - min(xs) + 2 * _MARGIN * span
    height = max(ys) - min(ys) + 2 * _MARGIN * span
    width, height = max(width, _FLATTEST * height), max(height, _FLATTEST * width)
    x, y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10, 20 and so on."""
    unit = 10.0 ** math.floor(math.log10(least))
    return next(unit * times for times in (1, 2, 5, 10) if unit * times >= least * 0.999)
