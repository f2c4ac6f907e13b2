"""When the live page says that analysis cannot keep up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.camera import CameraHealth, CameraState
from service.dashboard.pace import Pace

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def report(at_s: float, looks: float, *, fps: float = 10, state: CameraState = CameraState.LIVE, worker: str = "w") -> (
    CameraHealth
):  # fmt: skip
    """After so many seconds of a camera that sends `fps` pictures and is looked at `looks` times a second."""
    decoded = round(fps * at_s)
    skipped = {"superseded": max(0, decoded - round(looks * at_s)), "still": 3}
    return CameraHealth("gate", state, worker, NOON + timedelta(seconds=at_s), frames_decoded=decoded,
                        frames_skipped=skipped)  # fmt: skip


def told(reports: list[CameraHealth]) -> list[dict[str, float]]:
    pace = Pace()
    return [pace.too_seldom([one]) for one in reports]


@pytest.mark.parametrize("looks", [10, 3, 0.6])
def test_a_camera_that_is_looked_at_often_enough_is_not_spoken_of(looks: float) -> None:
    assert not any(told([report(s, looks) for s in range(0, 60, 2)]))


def test_one_that_is_seldom_looked_at_is_told_after_a_while() -> None:
    answers = told([report(s, 0.1) for s in range(0, 60, 2)])
    assert not any(answers[:5])
    assert all(answers[5:])
    assert answers[-1]["gate"] == pytest.approx(10, abs=3)


def test_it_is_told_no_longer_once_it_is_better() -> None:
    slow = [report(s, 0.1) for s in range(0, 40, 2)]
    begin = slow[-1]
    good = [
        CameraHealth("gate", CameraState.LIVE, "w", begin.updated_at + timedelta(seconds=s),
                     frames_decoded=begin.frames_decoded + 10 * s, frames_skipped=begin.frames_skipped)
        for s in range(2, 30, 2)
    ]  # fmt: skip
    answers = told(slow + good)
    assert answers[19]
    assert not any(answers[-8:])


def test_a_camera_that_sends_hardly_anything_is_looked_at_as_often_as_it_can_be() -> None:
    assert not any(told([report(s, 0.2, fps=0.2) for s in range(0, 60, 2)]))


def test_one_that_is_not_live_is_not_spoken_of() -> None:
    assert not any(told([report(s, 0.1, state=CameraState.RECONNECTING) for s in range(0, 60, 2)]))


def test_another_worker_begins_anew() -> None:
    answers = told([report(s, 0.1) for s in range(0, 30, 2)] + [report(30, 0.1, worker="x")])
    assert answers[-2]
    assert not answers[-1]
