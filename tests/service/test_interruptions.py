"""A camera's changes of state as an operator reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.dashboard.camera_figures import whole
from service.dashboard.charts import Chart, availability_strip, begin_of, chart
from service.dashboard.interruptions import availability
from service.dashboard.wording import Clock
from service.history import StateChange

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
UNTIL = NOON + timedelta(hours=1)
CLOCK = Clock.of("Europe/Berlin", None)


def changes(*told: tuple[float, str] | tuple[float, str, str]) -> list[StateChange]:
    """Minutes after noon, states, reasons."""
    return [StateChange(NOON + timedelta(minutes=one[0]), one[1], *one[2:]) for one in told]


@pytest.mark.parametrize(
    ("told", "sum_up", "interruptions"),
    [
        ((), "No worker has followed it yet", []),
        (((-90, "live"),), "100% live, no interruption", []),
        (((-90, "disabled"),), "Switched off", []),
        (((30, "connecting"), (30.5, "live")), "98.3% live, no interruption", []),  # it was just added
        (((0, "live"), (30, "connecting"), (30.1, "live")), "99.8% live, no interruption", []),  # it was changed
        (((0, "live"), (59.999, "stalled")), ">99.9% live, 1 interruption, 0 s", [("No new pictures", None)]),
        (
            ((-5, "live"), (10, "stalled", "no picture for 10 s"), (11, "reconnecting"), (16, "live")),
            "90.0% live, 1 interruption, 6 min",
            [("No new pictures: no picture for 10 s; Connecting again", 16)],
        ),
        (
            (
                *((0, "live"), (15, "waiting"), (20, "connecting"), (21, "live")),
                *((30, "disabled"), (40, "live"), (57, "failed")),
            ),
            "82.0% live, 2 interruptions, the longest 6 min",
            [("No worker followed it; Connecting", 21), ("Cannot connect", None)],
        ),
    ],
)  # fmt: skip
def test_interruptions_are_what_lies_between_being_live(
    told: tuple, sum_up: str, interruptions: list[tuple[str, int | None]]
) -> None:
    found = availability(changes(*told), NOON, UNTIL, CLOCK)
    assert found.told == sum_up
    ends = [None if end is None else NOON + timedelta(minutes=end) for _, end in interruptions]
    assert [(one.what, one.end) for one in found.interruptions] == [
        (what, end) for (what, _), end in zip(interruptions, ends, strict=True)
    ]


def test_what_is_told_of_a_camera_is_text_and_no_markup() -> None:
    bad = "<script>alert(1)</script>"
    found = availability(changes((0, "live"), (30, "failed", bad)), NOON, UNTIL, CLOCK)
    drawn = availability_strip(found.stretches, NOON, UNTIL, bad)
    drawn += chart(
        Chart(bad, {bad: [(NOON, 1.0)], "b": [(NOON, 2.0)]}, lambda v: f"{v} {bad}"), NOON, UNTIL, 300, CLOCK
    )
    assert "<script" not in drawn
    assert "&lt;script&gt;" in drawn


def test_a_chart_has_gaps_and_says_what_it_shows() -> None:
    points = [(NOON + timedelta(minutes=minute), value) for minute, value in ((0, 1.0), (5, 3.0), (40, 2.0), (45, 2.0))]
    drawn = chart(Chart("Pictures", {"": points}, lambda value: f"{value:g}/s"), NOON, UNTIL, 300, CLOCK)
    assert drawn.count("<polyline") == 2
    assert 'aria-label="Pictures: at the end 2/s; between 1/s and 3/s."' in drawn
    assert "20 Nov 13:05" in drawn  # the operator's zone
    many = {str(n): [(NOON, float(n))] for n in range(9)}
    legend = chart(Chart("Reasons", many, str), NOON, UNTIL, 300, CLOCK)
    assert legend.count('<line class="tp-stroke-') == 5
    assert "others <b>10.0</b>" in legend
    nothing = chart(Chart("Reasons", {"a": []}, str), NOON, UNTIL, 300, CLOCK)
    assert "No figures yet" in nothing


def test_charts_of_a_young_installation_begin_where_it_does() -> None:
    until = datetime(2026, 11, 26, 12, tzinfo=UTC)
    day, hour = until - timedelta(days=1), until - timedelta(hours=1)
    assert begin_of(until - timedelta(minutes=3), day, until) == hour
    assert begin_of(until - timedelta(hours=5), day, until) == until - timedelta(hours=5)
    assert begin_of(day - timedelta(minutes=1), day, until) == day
    assert begin_of(None, day, until) == day


def test_means_of_counts_below_one_are_not_written_as_nothing() -> None:
    assert [whole(value) for value in (0, 0.25, 1, 1234.4)] == ["0", "0.25", "1", "1,234"]
