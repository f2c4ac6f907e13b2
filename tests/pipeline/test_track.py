"""StrongSORT through our adapter: identities through crossings and gaps, at uneven frame rates."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipeline.motion import MotionGate
from pipeline.track import StrongSortTracker, interpolate_gaussian, mot_row
from pipeline.types import Detections, Frame

START = datetime(2026, 3, 1, tzinfo=UTC)
IMAGE = np.zeros((480, 640, 3), np.uint8)
APPEARANCE = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0].astype(np.float32)


def frame_at(pts_s: float, image: np.ndarray = IMAGE) -> Frame:
    return Frame("hall", 0, image, pts_s, START + timedelta(seconds=pts_s))


def box_at(x: float, y: float = 200.0) -> list[float]:
    return [x, y, x + 50, y + 130]


def people(*boxes: list[float]) -> Detections:
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))


def looks(*who: int) -> np.ndarray:
    noise = np.random.default_rng(sum(who)).normal(0, 0.02, (len(who), 16))
    return (APPEARANCE[list(who)] + noise).astype(np.float32)


def test_two_people_who_cross_keep_their_ids() -> None:
    tracker = StrongSortTracker()
    ids: dict[str, list[int]] = {"a": [], "b": []}
    for step in range(40):
        x = 40 + 12 * step
        tracks = tracker.update(frame_at(step * 0.1), people(box_at(x), box_at(560 - x + 40)), looks(0, 1))
        by_detection = dict(zip(tracks.detection_indices.tolist(), tracks.track_ids.tolist(), strict=True))
        if step > 3:
            ids["a"].append(by_detection[0])
            ids["b"].append(by_detection[1])
    assert len(set(ids["a"])) == len(set(ids["b"])) == 1
    assert ids["a"][0] != ids["b"][0]


def test_hidden_person_keeps_the_id_and_a_stranger_in_the_place_does_not_get_it() -> None:
    tracker = StrongSortTracker(max_lost_s=4.0)
    for step in range(10):
        before = tracker.update(frame_at(step * 0.1), people(box_at(100 + 4 * step)), looks(0))
    for step in range(10, 30):
        assert len(tracker.update(frame_at(step * 0.1), Detections.empty(), looks())) == 0
    for step in range(30, 34):
        after = tracker.update(
            frame_at(step * 0.1), people(box_at(100 + 4 * step), box_at(240 + 4 * step)), looks(0, 2)
        )
    found = dict(zip(after.detection_indices.tolist(), after.track_ids.tolist(), strict=True))
    assert found[0] == before.track_ids[0]
    assert found[1] != before.track_ids[0]


def test_uneven_frame_rate_does_not_break_association() -> None:
    tracker = StrongSortTracker()
    rng = np.random.default_rng(3)
    now, seen = 0.0, set()
    for _ in range(40):
        now += float(rng.uniform(0.05, 0.6))
        tracks = tracker.update(frame_at(now), people(box_at(20 + 30 * now)), looks(4))
        seen |= set(tracks.track_ids.tolist())
    assert len(seen) == 1


def test_time_must_rise_and_rows_must_match() -> None:
    tracker = StrongSortTracker()
    tracker.update(frame_at(1.0), people(box_at(10)), looks(0))
    with pytest.raises(ValueError, match=r"expected more than 1\.0, got 1\.0"):
        tracker.update(frame_at(1.0), people(box_at(10)), looks(0))
    with pytest.raises(ValueError, match="expected 1 rows, got 2"):
        tracker.update(frame_at(2.0), people(box_at(10)), looks(0, 1))


def test_gsi_fills_a_gap() -> None:
    rows = [mot_row(n, 1, np.array(box_at(10.0 * n)), 0.8) for n in (1, 2, 3, 4, 9, 10, 11, 12)]
    smooth = interpolate_gaussian(rows)
    assert [int(r.split(",")[0]) for r in smooth] == list(range(1, 13))
    filled = [float(v) for v in smooth[5].split(",")[2:6]]
    assert filled == pytest.approx([60, 200, 50, 130], abs=6)
    assert interpolate_gaussian([]) == []


def test_motion_gate_skips_stillness_admits_movement_and_looks_again() -> None:
    gate = MotionGate(max_idle_s=2.0)
    still = np.random.default_rng(0).integers(80, 120, (480, 640, 3), dtype=np.uint8)
    moved = still.copy()
    moved[200:330, 300:350] = 220
    assert gate.admit(frame_at(0.0, still))
    assert not gate.admit(frame_at(0.1, still))
    brighter = np.clip(still.astype(int) + 30, 0, 255).astype(np.uint8)
    assert not gate.admit(frame_at(0.2, brighter)), "exposure is not motion"
    assert gate.admit(frame_at(0.3, moved))
    assert not gate.admit(frame_at(0.4, moved))
    assert gate.admit(frame_at(2.4, moved)), "a person standing still is found"
    assert gate.admit(frame_at(0.0, moved)), "a clock that fell back is no reason to be blind"
