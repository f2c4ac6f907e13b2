"""When a person becomes searchable, when a sighting ends, and which pictures are kept."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.types import Modality
from pipeline.quality import covered_by_others, judge_crop
from pipeline.tracklets import TrackletBuilder, TrackletRules, thin
from pipeline.types import Crop, Frame, Tracklet, Tracks

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOISE = np.random.default_rng(7).integers(0, 255, (240, 320, 3), dtype=np.uint8)


def frame_at(pts_s: float, modality: Modality = Modality.VISIBLE, image: np.ndarray = NOISE) -> Frame:
    return Frame("door", round(pts_s * 10), image, pts_s, START + timedelta(seconds=pts_s), modality)


def tracks_of(*ids: int, height_px: float = 160.0, score: float = 0.9) -> Tracks:
    boxes = np.array([[20 + 70 * i, 40, 20 + 70 * i + 60, 40 + height_px] for i in range(len(ids))], np.float32)
    n = len(ids)
    return Tracks(boxes.reshape(-1, 4), np.array(ids, np.int64), np.full(n, score, np.float32), np.arange(n))


def play(builder: TrackletBuilder, seconds: np.ndarray, tracks: Tracks, **kwargs: Modality) -> list[Tracklet]:
    return [t for s in seconds for t in builder.update(frame_at(float(s), **kwargs), tracks)]


def test_person_is_searchable_within_two_seconds_and_the_record_improves() -> None:
    builder = TrackletBuilder("door")
    seen = play(builder, np.arange(0, 12, 0.3), tracks_of(1))
    assert seen[0].revision == 1
    assert not seen[0].closed
    assert (seen[0].ended_at - START).total_seconds() <= 2.0
    assert builder.tracklet_id(1) == seen[0].id
    assert [t.revision for t in seen] == list(range(1, len(seen) + 1))
    assert {t.id for t in seen} == {seen[0].id}
    (closed,) = builder.close_all()
    assert closed.closed
    assert closed.revision == len(seen) + 1
    assert closed.frame_count == 40
    assert len(closed.crops) == 6
    pts = [c.pts_s for c in closed.crops]
    assert pts == sorted(pts)
    assert pts[-1] - pts[0] > 6  # spread over the sighting, not the last six


def test_gap_closes_and_a_return_is_a_new_tracklet_of_the_same_track() -> None:
    builder = TrackletBuilder("door")
    first = play(builder, np.arange(0, 2, 0.2), tracks_of(5))
    closed = play(builder, np.arange(2, 8, 0.5), Tracks.empty())
    assert [t.closed for t in closed] == [True]
    again = play(builder, np.arange(8, 10, 0.2), tracks_of(5))
    assert again[0].id != first[0].id
    assert again[0].track_id == first[0].track_id == 5


def test_modality_switch_never_mixes() -> None:
    builder = TrackletBuilder("door")
    play(builder, np.arange(0, 2, 0.2), tracks_of(1))
    after = play(builder, np.arange(2, 4, 0.2), tracks_of(1), modality=Modality.INFRARED)
    after += builder.close_all()
    assert [(t.modality, t.closed) for t in after] == [
        (Modality.VISIBLE, True),
        (Modality.INFRARED, False),
        (Modality.INFRARED, True),
    ]
    assert all(c.captured_at < START + timedelta(seconds=2) for c in after[0].crops)


def test_long_track_goes_on_in_a_new_tracklet() -> None:
    builder = TrackletBuilder("door", TrackletRules(longest_s=5.0))
    seen = play(builder, np.arange(0, 16, 0.25), tracks_of(3)) + builder.close_all()
    assert len({t.id for t in seen}) == 4
    assert {t.track_id for t in seen} == {3}
    assert sum(t.frame_count for t in seen if t.closed) == 64


@pytest.mark.parametrize(
    ("tracks", "image", "reason"),
    [
        (tracks_of(1, height_px=6.0, score=0.3), NOISE, "size"),
        (tracks_of(1), np.full((240, 320, 3), 90, np.uint8), "sharpness"),
        (tracks_of(1, score=0.02), NOISE, "confidence"),
    ],
)
def test_refusal_is_counted_by_its_reason(tracks: Tracks, image: np.ndarray, reason: str) -> None:
    builder = TrackletBuilder("door")
    for s in np.arange(0, 3, 0.2):
        assert builder.update(frame_at(float(s), image=image), tracks) == []
    assert builder.close_all() == []
    assert builder.refused == {reason: 1}


def test_glimpse_is_too_short() -> None:
    builder = TrackletBuilder("door")
    builder.update(frame_at(0.0), tracks_of(1))
    assert builder.close_all() == []
    assert builder.refused == {"too_short": 1}


def test_frame_without_modality_is_refused() -> None:
    frame = Frame("door", 0, NOISE, 0.0, START, None)
    with pytest.raises(ValueError, match=r"modality.*got None"):
        TrackletBuilder("door").update(frame, tracks_of(1))


def test_thin_keeps_the_better_of_two_near_ones() -> None:
    def crop(pts_s: float, quality: float) -> Crop:
        return Crop(NOISE[:8, :8], np.zeros(4, np.float32), quality, pts_s, START + timedelta(seconds=pts_s))

    kept = thin([crop(0.0, 0.2), crop(0.1, 0.9), crop(5.0, 0.1), crop(9.0, 0.3), crop(9.1, 0.2)], 3)
    assert [c.pts_s for c in kept] == [0.1, 5.0, 9.0]


def test_nearer_person_hides_the_farther_one() -> None:
    boxes = np.array([[0, 0, 100, 200], [50, 50, 150, 300]], np.float32)
    assert covered_by_others(boxes) == pytest.approx([50 * 150 / (100 * 200), 0.0])
    assert covered_by_others(boxes[:0]).shape == (0,)
    assert covered_by_others(np.repeat(boxes[:1], 2, axis=0)) == pytest.approx([0.0, 0.0])


def test_whole_sharp_large_crop_beats_each_weaker_one() -> None:
    image = NOISE[:200, :80]
    box = np.array([10, 10, 90, 210], np.float32)
    best = judge_crop(image, box, 0.95, 0.0, 320, 240).score
    blurred = np.full_like(image, 100)
    assert judge_crop(blurred, box, 0.95, 0.0, 320, 240).score < best
    assert judge_crop(image, box, 0.5, 0.0, 320, 240).score < best
    assert judge_crop(image, box, 0.95, 0.6, 320, 240).score < best
    assert judge_crop(image, box, 0.95, 0.0, 90, 240).score < best
    assert judge_crop(image[:40], np.array([10, 10, 90, 50], np.float32), 0.95, 0.0, 320, 240).score < best
    assert 0 < best <= 1
