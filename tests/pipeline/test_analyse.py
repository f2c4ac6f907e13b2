"""From detections to handed-over tracklets: which vectors are computed, and what one bad tracklet costs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.types import Modality
from pipeline.analyse import AnalysedFrame, AppearanceModel, CameraAnalysis, crop_out, embed_ready, follow_all, look_at
from pipeline.camera import CameraConfig
from pipeline.types import Detections, Frame, Tracklet

START = datetime(2026, 3, 1, tzinfo=UTC)
PICTURE = np.random.default_rng(2).integers(0, 255, (240, 320, 3), dtype=np.uint8)


def analyse_batch(
    batch: Sequence[tuple[CameraAnalysis, Frame, Detections]], model: AppearanceModel
) -> list[AnalysedFrame]:
    return follow_all(look_at(batch, model), model)


class CountingModel:
    """Vectors that only depend on how bright a crop is; counts what it is asked."""

    model_hash = "counting"

    def __init__(self, *, takes_clips: bool = False, refuse: float = -1.0):
        self.takes_clips = takes_clips
        self.refuse = refuse
        self.images = self.clips = 0

    def embed_images(self, crops: Sequence[np.ndarray], modalities: Sequence[Modality]) -> np.ndarray:
        assert len(crops) == len(modalities)
        self.images += len(crops)
        angles = np.array([float(crop.mean()) / 255 for crop in crops], np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).reshape(-1, 2)

    def embed_clips(self, clips: Sequence[Sequence[np.ndarray]], modalities: Sequence[Modality]) -> np.ndarray:
        self.clips += len(clips)
        if any(clip[0].mean() == self.refuse for clip in clips):
            raise RuntimeError("out of memory")
        return np.tile(np.eye(1, 2, dtype=np.float32), (len(clips), 1))


def camera(camera_id: str = "door") -> CameraAnalysis:
    config = CameraConfig(camera_id, camera_id, "rtsp://test/", modality=Modality.VISIBLE)
    return CameraAnalysis(config, max_cosine_distance=0.5, gate_motion=False)


def frame_at(pts_s: float, image: np.ndarray = PICTURE, camera_id: str = "door") -> Frame:
    when = START + timedelta(seconds=pts_s)
    return Frame(camera_id, round(10 * pts_s), image, pts_s, when, Modality.VISIBLE)


def persons(*lefts: float) -> Detections:
    boxes = np.array([[x, 40, x + 50, 190] for x in lefts], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(lefts), 0.9, np.float32))


def test_standing_person_is_embedded_now_and_then_and_the_tracklet_needs_no_more() -> None:
    model, door = CountingModel(), camera()
    handed = []
    for step in range(30):
        (result,) = analyse_batch([(door, frame_at(step * 0.1), persons(100))], model)
        handed += result.handed_over
    assert 10 <= model.images < 20, "two of three vectors are used again, once the person is followed"
    assert model.clips == 0
    assert handed
    crop = crop_out(PICTURE, np.array([100, 40, 150, 190], np.float32))
    expected = model.embed_images([crop], [Modality.VISIBLE])[0]
    for tracklet in handed:
        assert tracklet.vector == pytest.approx(expected, abs=0.05)
        assert np.linalg.norm(tracklet.vector) == pytest.approx(1.0)


def test_network_of_clips_is_given_the_clip() -> None:
    model, door = CountingModel(takes_clips=True), camera()
    handed = [
        t
        for step in range(15)
        for r in analyse_batch([(door, frame_at(step * 0.1), persons(100))], model)
        for t in r.handed_over
    ]
    assert handed
    assert model.clips == len(handed)


def test_frames_of_several_cameras_keep_their_own_persons() -> None:
    model = CountingModel()
    doors = [camera(f"door-{i}") for i in range(3)]
    for step in range(5):
        found = [persons(10), persons(), persons(10, 200)]
        results = analyse_batch(
            [(d, frame_at(step * 0.1, camera_id=d.config.id), f) for d, f in zip(doors, found, strict=True)], model
        )
    assert [len(r.tracks) for r in results] == [1, 0, 2]
    assert [r.frame.camera_id for r in results] == [d.config.id for d in doors]


def tracklets_of(door: CameraAnalysis, grey: int) -> list[Tracklet]:
    image = np.full_like(PICTURE, grey)
    image[60:180:2, 100:150] = grey  # flat: its crops have exactly this mean
    model = CountingModel()
    for step in range(6):
        analyse_batch([(door, frame_at(step * 0.1, PICTURE, door.config.id), persons(100))], model)
    (tracklet,) = door.tracklets.close_all()
    crops = tuple(
        type(c)(np.full((20, 10, 3), grey, np.uint8), c.box, c.quality, c.pts_s, c.captured_at) for c in tracklet.crops
    )
    return [type(tracklet)(**tracklet.common(), crops=crops)]


def test_tracklet_that_cannot_be_embedded_costs_only_itself() -> None:
    good, bad = camera("good"), camera("bad")
    ready = [(good.tracklets, tracklets_of(good, 90)), (bad.tracklets, tracklets_of(bad, 120))]
    packages = embed_ready(ready, CountingModel(takes_clips=True, refuse=120.0))
    assert [len(p) for p in packages] == [1, 0]
    assert bad.tracklets.refused == {"embedding_failed": 1}
    assert good.tracklets.refused == {}


def test_stream_that_begins_anew_mixes_nobody() -> None:
    model, door = CountingModel(), camera()
    first: set[int] = set()
    for step in range(10):
        (result,) = analyse_batch([(door, frame_at(5 + step * 0.1), persons(100))], model)
        first |= set(result.tracks.track_ids.tolist())
    (result,) = analyse_batch([(door, frame_at(0.0), persons(100))], model)
    assert [t.closed for t in result.handed_over] == [True], "what was open is closed and kept"
    second: set[int] = set()
    for step in range(1, 10):
        (result,) = analyse_batch([(door, frame_at(step * 0.1), persons(100))], model)
        second |= set(result.tracks.track_ids.tolist())
    assert first
    assert second
    assert not first & second
