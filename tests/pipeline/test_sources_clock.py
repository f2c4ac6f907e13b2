from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.backoff import backoff_s
from pipeline.sources.clock import LiveClock, PtsMender, Timeline
from pipeline.sources.governor import Governor
from pipeline.sources.picture import Picture

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("name", "raw", "mended"),
    [
        ("well", [0.0, 0.1, 0.2, 0.3], 0),
        ("frozen", [5.0, 5.0, 5.0, 5.0], 3),
        ("backwards", [5.0, 5.1, 5.0, 5.1], 1),
        ("wrapped", [95443.6, 95443.7, 0.0, 0.1], 1),
        ("a leap of a day", [0.0, 0.1, 86400.0, 86400.1], 1),
        ("none at all", [None, None, None, None], 0),
        ("none at first", [None, 0.1, 0.2, 0.3], 0),
        ("one missing", [0.0, 0.1, None, 0.3], 1),
    ],
)
def test_stamps_of_a_live_stream_are_mended(name, raw, mended):
    mender = PtsMender()
    out = [mender.mend(pts, 100.0 + 0.1 * n) for n, pts in enumerate(raw)]
    assert [b - a for a, b in pairwise(out)] == pytest.approx([0.1] * 3, abs=0.101), name
    assert all(b > a for a, b in pairwise(out))
    assert mender.mended == mended


def test_a_real_pause_is_kept():
    mender = PtsMender()
    assert mender.mend(0.0, 100.0) == 0.0
    assert mender.mend(60.0, 160.5) == 60.0
    assert mender.mended == 0


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=2, max_size=50), st.booleans())
def test_time_never_falls_whatever_comes(raw, live):
    mender = PtsMender(0.04)
    out = [mender.mend(pts, 50.0 + n * 0.04 if live else None) for n, pts in enumerate(raw)]
    assert all(b >= a for a, b in pairwise(out))


def captured(clock: LiveClock, pts_s: float, arrival_s: float, stream_s: float | None = None) -> float:
    return clock.captured_at(pts_s, arrival_s, stream_s).timestamp()


def test_a_clock_that_agrees_is_believed():
    clock = LiveClock()
    for n in range(20):
        moment_s = captured(clock, n * 0.1, NOW_S + n * 0.1 + 0.4, NOW_S + n * 0.1)
        assert moment_s == pytest.approx(NOW_S + n * 0.1, abs=1e-3)
    assert clock.offset_s == pytest.approx(-0.4, abs=1e-3)


@pytest.mark.parametrize("off_s", [365 * 86400.0, -365 * 86400.0, 3600.0, -16.0, -NOW_S])
def test_a_clock_that_is_off_is_measured_and_not_believed(off_s):
    clock = LiveClock()
    for n in range(20):
        arrival_s = NOW_S + n * 0.1
        assert captured(clock, n * 0.1, arrival_s, arrival_s + off_s) == pytest.approx(arrival_s, abs=1e-3)
    assert clock.offset_s == pytest.approx(off_s)


def test_without_a_clock_held_up_pictures_get_the_time_they_were_sent():
    clock = LiveClock()
    for n in range(10):
        captured(clock, n * 0.1, NOW_S + n * 0.1)
    # The network stops for two seconds; what was held up arrives at once.
    late = [captured(clock, n * 0.1, NOW_S + 3.0) for n in range(10, 30)]
    assert late == pytest.approx([NOW_S + n * 0.1 for n in range(10, 30)], abs=1e-3)
    assert clock.offset_s is None


def test_a_stream_that_drifts_is_followed():
    clock = LiveClock()
    for n in range(36_000):  # an hour at 10 a second, the camera's clock 0.1 % slow
        arrival_s = NOW_S + n * 0.1
        moment_s = captured(clock, n * 0.1 * 0.999, arrival_s)
        assert -0.2 <= moment_s - arrival_s <= 0.0


def test_our_own_clock_set_back_is_survived():
    clock = LiveClock()
    captured(clock, 0.0, NOW_S)
    assert captured(clock, 0.1, NOW_S - 3600) == pytest.approx(NOW_S - 3600, abs=0.2)


def test_a_recording_played_twice_has_one_time():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    timeline = Timeline(10.0, start)
    stamped = []
    for _ in range(2):
        stamped += [timeline.stamp(Picture(None, n / 10, 0.0, None)) for n in range(3)]
        timeline.begin_again()
    assert [s.sequence for s in stamped] == list(range(6))
    assert [s.captured_at - start for s in stamped] == [timedelta(milliseconds=100 * n) for n in range(6)]
    assert timeline.take_mended() == 0


def test_waits_grow_and_spread_and_stay_short_while_the_outage_is():
    rng = random.Random(1)
    early = [backoff_s(attempt, 20.0, False, rng) for attempt in range(40)]
    late = [backoff_s(attempt, 600.0, False, rng) for attempt in range(40)]
    assert max(early) <= 4.0
    assert 15.0 < max(late) <= 30.0
    assert min(late + early) >= 0.1
    hundred = sorted(backoff_s(5, 100.0, False, random.Random(n)) for n in range(100))
    assert hundred[90] - hundred[10] > 8.0, "a hundred cameras do not return in step"
    assert min(backoff_s(0, 0.0, True, rng) for _ in range(50)) >= 5.0, "a wrong password is not hammered"


class Context:
    skip_frame = "DEFAULT"


def drive(governor: Governor, begin_s: float, seconds: float, fps: float, cost_s: float) -> tuple[float, int]:
    left_out, now_s, step_s = 0, begin_s, max(1 / fps, cost_s)
    while now_s < begin_s + seconds:
        shown = 1 if governor.level < 2 else 0
        left_out += governor.after(now_s, now_s + (cost_s if shown else cost_s / 20), shown)
        now_s += step_s
    return now_s, left_out


def test_an_ordinary_camera_is_decoded_whole():
    context = Context()
    governor = Governor(context)
    assert drive(governor, 1.0, 30, 25, 0.005)[1] == 0
    assert context.skip_frame == "DEFAULT"


def test_a_camera_that_is_too_much_is_cut_down_and_let_up_again():
    context = Context()
    governor = Governor(context)
    now_s, left_out = drive(governor, 1.0, 5, 1000, 0.0005)
    assert context.skip_frame == "NONKEY"
    assert left_out > 1000
    drive(governor, now_s, 30, 25, 0.005)
    assert context.skip_frame == "DEFAULT"
