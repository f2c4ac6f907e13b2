"""What of a plan is in sight, and which ways are drawn over it."""

from __future__ import annotations

import pytest

from pipeline.camera import CameraConfig, CameraPosition
from service.dashboard.floor import floor_of, place_on, plan_names
from service.dashboard.where_view import globe_of, ways_between
from service.plans import FloorPlan, PlanPicture
from service.subjects import Walking, WalkingRules, timeline_of
from tests.service.test_timeline import seen

PICTURE = PlanPicture(f"_plans/{'a' * 32}/{'0123456789abcdef' * 2}.webp", 800, 600)
PLAN = FloorPlan("Hall", 60.0, 45.0, PICTURE)


def camera(camera_id: str, **place: object) -> CameraConfig:
    position = CameraPosition(**place) if place else None  # type: ignore[arg-type]
    return CameraConfig(camera_id, camera_id, "rtsp://10.0.0.1/x", position=position)


def edges(floor: dict[str, float]) -> tuple[float, ...]:
    return tuple(floor[name] for name in ("left_m", "top_m", "width_m", "height_m"))


def test_a_plan_is_in_sight_as_a_whole_with_its_picture() -> None:
    floor = floor_of("Hall", PLAN, [(5, 5), (60, 45)])
    assert edges(floor) == (0, 0, 60, 45)
    assert floor["picture"] == {
        "src": "/api/v1/plans/Hall/image?9abcdef", "left": 0, "top": 0, "width": 1, "height": 1,
    }  # fmt: skip
    assert (floor["grid_m"], floor["step_m"]) == (5, 0.5)


def test_a_camera_beyond_the_edges_of_its_plan_is_in_sight_too() -> None:
    floor = floor_of("Hall", PLAN, [(-10, 20)])
    assert edges(floor) == (-13, 0, 73, 45)
    assert floor["picture"]["left"] == pytest.approx(13 / 73)
    assert floor["picture"]["width"] == pytest.approx(60 / 73)


@pytest.mark.parametrize("points", [[], [(1e6, -1e6)], [(0, 0), (1000, 0)], [(3, 4), (3, 900)], [(0, 0), (0.1, 0.1)]])
def test_a_plan_that_nobody_described_has_room_for_all(points: list[tuple[float, float]]) -> None:
    floor = floor_of("", None, points)
    left, top, width, height = edges(floor)
    assert floor["picture"] is None
    assert 0.44 <= width / height <= 2.3
    assert all(left < x < left + width and top < y < top + height for x, y in points)
    assert 8 <= max(width, height) / floor["grid_m"] <= 17


def test_plans_are_those_that_are_described_or_stood_on() -> None:
    configs = [camera("a", x_m=1.0, y_m=2.0, plan="Yard"), camera("b", latitude=1.0, longitude=2.0), camera("c")]
    assert plan_names([PLAN], configs) == ["Hall", "Yard"]
    assert [place_on(config, "Yard") for config in configs] == [(1, 2), None, None]
    both = camera("d", x_m=1.0, y_m=2.0, latitude=3.0, longitude=4.0)
    assert globe_of([*configs, both]) == {"b": (1, 2)}


def test_each_way_is_drawn_once_and_one_that_cannot_be_besides() -> None:
    ways = timeline_of(
        [seen("a", 0, 10), seen("b", 100, 110), seen("a", 200, 210), seen("b", 300, 310), seen("z", 400, 410)],
        Walking(WalkingRules(), times_s={("a", "b"): 90.0}),
    )
    places = {"a": (0.0, 0.0), "b": (5.0, 5.0)}
    assert [way["line"] for way in ways_between(ways, places)] == [[0, 0, 5, 5], [5, 5, 0, 0]]
    impossible = timeline_of(
        [seen("a", 0, 10), seen("b", 20, 30), seen("a", 200, 210), seen("b", 310, 320)],
        Walking(WalkingRules(), times_s={("a", "b"): 90.0}),
    )
    drawn = ways_between(impossible, places)
    assert [(way["line"], way["impossible"]) for way in drawn] == [
        ([0, 0, 5, 5], True), ([5, 5, 0, 0], False), ([0, 0, 5, 5], False),
    ]  # fmt: skip
    assert drawn[0]["told"].startswith("Impossible for one person: 10 s apart")
