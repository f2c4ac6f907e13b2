"""What a subject's sightings say about where it was, and which of them cannot be of one person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.types import Modality
from pipeline.camera import CameraPosition
from pipeline.types import Sighting
from service.subjects import Walking, WalkingRules, timeline_of
from service.subjects.timeline import MAX_CONFLICTS, conflicts_with
from service.subjects.walking import distance_m

START = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
RULES = WalkingRules(max_speed_mps=10.0, view_m=50.0, clock_slack_s=2.0)


def seen(camera: str, begin_s: float, end_s: float, number: int = 0) -> Sighting:
    begin, end = START + timedelta(seconds=begin_s), START + timedelta(seconds=end_s)
    return Sighting(f"{camera}-{number}-{begin_s}", 1, camera, 1, Modality.VISIBLE, begin, end, True, 10, 0.8)


def on_plan(**places: float) -> Walking:
    """Cameras along a line."""
    return Walking(RULES, {name: CameraPosition(x_m=x, y_m=0.0) for name, x in places.items()})


@pytest.mark.parametrize(
    ("gap_s", "impossible"),
    [(60.0, False), (38.1, False), (37.9, True), (0.0, True), (-5.0, True)],
)
def test_a_way_of_500_metres_takes_forty_seconds_at_ten_metres_a_second(gap_s: float, impossible: bool) -> None:
    """500 m, of which both cameras overlook 50; 40 s, less the clocks' two."""
    timeline = timeline_of([seen("a", 0, 100), seen("b", 100 + gap_s, 300)], on_plan(a=0, b=500))
    (transition,) = timeline.transitions
    assert transition.least_s == 40.0
    assert transition.gap_s == gap_s
    assert transition.impossible is impossible
    assert timeline.conflict_count == impossible


def test_cameras_that_overlook_the_same_place_may_see_somebody_at_once() -> None:
    timeline = timeline_of([seen("a", 0, 100), seen("b", 10, 90)], on_plan(a=0, b=80))
    assert [t.impossible for t in timeline.transitions] == [False]


def test_without_places_nothing_is_called_impossible() -> None:
    timeline = timeline_of([seen("a", 0, 100), seen("b", 10, 90)], Walking(RULES))
    assert [(t.least_s, t.impossible) for t in timeline.transitions] == [(None, False)]


def test_the_table_counts_before_the_places() -> None:
    walking = Walking(RULES, on_plan(a=0, b=500).positions, {("a", "b"): 300.0})
    (transition,) = timeline_of([seen("b", 0, 10), seen("a", 110, 120)], walking).transitions
    assert (transition.least_s, transition.impossible) == (300.0, True)


def test_conflicts_are_found_also_past_other_sightings() -> None:
    """The first is long: what comes two later still overlaps it."""
    long, between, far = seen("a", 0, 1000), seen("a", 100, 200), seen("b", 300, 400)
    timeline = timeline_of([far, between, long], on_plan(a=0, b=5000))
    assert [(c.first.id, c.second.id) for c in timeline.conflicts] == [(long.id, far.id), (between.id, far.id)]
    assert [s.id for s in timeline.sightings] == [long.id, between.id, far.id]


def test_conflicts_are_counted_beyond_those_that_are_told() -> None:
    sightings = [seen(camera, 0, 100, number) for camera in "ab" for number in range(20)]
    timeline = timeline_of(sightings, on_plan(a=0, b=5000))
    assert (len(timeline.conflicts), timeline.conflict_count) == (MAX_CONFLICTS, 400)


@pytest.mark.parametrize("most", [2, 200])
@given(
    sightings=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 60), st.integers(0, 40)), max_size=14),
    places=st.lists(st.sampled_from([0.0, 80.0, 200.0, 400.0]), min_size=3, max_size=3),
)
def test_conflicts_are_those_of_every_pair(
    most: int, sightings: list[tuple[str, int, int]], places: list[float]
) -> None:
    """Camera d has no place; a and others may overlook the same one."""
    walking = on_plan(**dict(zip("abc", places, strict=True)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.subjects.timeline.MAX_CONFLICTS", most)
        timeline = timeline_of(
            [seen(one, begin, begin + long, number) for number, (one, begin, long) in enumerate(sightings)], walking
        )
    expected = []
    for first, second in combinations(timeline.sightings, 2):
        least_s = walking.least_s(first.camera_id, second.camera_id)
        gap_s = (second.started_at - first.ended_at).total_seconds()
        if walking.impossible(least_s, gap_s):
            expected.append((first.id, second.id, gap_s, least_s))
    assert [(c.first.id, c.second.id, c.gap_s, c.least_s) for c in timeline.conflicts] == expected[:most]
    assert timeline.conflict_count == len(expected)


def test_not_every_pair_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    sightings = [seen(camera, 0, 100, number) for camera in "ab" for number in range(500)]
    judged: list[float | None] = []
    plain = Walking.impossible

    def counted(walking: Walking, least_s: float | None, gap_s: float) -> bool:
        judged.append(least_s)
        return plain(walking, least_s, gap_s)

    monkeypatch.setattr(Walking, "impossible", counted)
    assert timeline_of(sightings, on_plan(a=0, b=5000)).conflict_count == 250_000
    assert len(judged) < 20 * len(sightings)


def test_dwell_is_counted_once() -> None:
    timeline = timeline_of([seen("a", 0, 60), seen("a", 30, 90), seen("a", 200, 210), seen("b", 500, 501)], Walking())
    assert [(s.camera_id, s.sightings, s.dwell_s) for s in timeline.stays] == [("a", 3, 100.0), ("b", 1, 1.0)]
    assert timeline.first_seen == START
    assert timeline.last_seen == START + timedelta(seconds=501)


def test_nobody_was_nowhere() -> None:
    timeline = timeline_of([], Walking())
    assert (timeline.first_seen, timeline.last_seen, timeline.sightings) == (None, None, ())


def test_a_proposal_is_judged_against_every_sighting() -> None:
    walking = on_plan(a=0, b=5000)
    found = conflicts_with(seen("b", 50, 60), [seen("a", 0, 40), seen("a", 9000, 9010), seen("b", 0, 10)], walking)
    assert [c.first.camera_id for c in found] == ["a"]


def test_distances() -> None:
    plan = CameraPosition(x_m=0, y_m=0, plan="ground floor")
    assert distance_m(plan, CameraPosition(x_m=3, y_m=4, plan="ground floor")) == 5.0
    assert distance_m(plan, CameraPosition(x_m=3, y_m=4, plan="first floor")) is None
    berlin, paris = CameraPosition(latitude=52.52, longitude=13.405), CameraPosition(latitude=48.8566, longitude=2.3522)
    assert distance_m(berlin, paris) == pytest.approx(877_460, rel=1e-3)
    east, west = CameraPosition(latitude=0, longitude=179.999), CameraPosition(latitude=0, longitude=-179.999)
    assert distance_m(east, west) == pytest.approx(222.4, abs=0.1)
    assert distance_m(plan, paris) is None
