"""The world benchmark: what the real pipeline makes of a film, with a detector that sees what is there."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from support.api_world import ColourEmbedder

from models.calibration import Calibration, LogisticCalibration
from models.data.samples import DataError
from models.synthetic.clip_files import CameraClip, read_truth
from models.synthetic.clips import encode_video
from models.types import Modality
from pipeline.sources import iter_frames
from pipeline.types import Detections
from service.bench.world import Followed, follow, judge_world, write_failures
from service.demo_clips import demo_clips

FRAMES = 64


class TrueDetector:
    """Gives the truth's boxes, frame by frame."""

    def __init__(self, clip: CameraClip) -> None:
        self._truth, self._frame = read_truth(clip), 0

    def detect(self, images: list[Any]) -> list[Detections]:
        self._frame += len(images)
        rows = (self._truth.frame == self._frame) & (self._truth.visibility > 0.5)
        boxes = self._truth.boxes[rows].astype(np.float32)
        return [Detections(boxes, np.full(len(boxes), 0.9, np.float32))]


class BlindDetector:
    def detect(self, images: list[Any]) -> list[Detections]:
        return [Detections.empty() for _ in images]


class Clothes(ColourEmbedder):
    """Mean colours of head, trunk and legs; enough to tell people of one light apart now and then."""

    association_distance = 0.3
    takes_clips = False
    label = "colours, for tests"
    calibration = Calibration(visible_visible=LogisticCalibration(8.0, -6.0))

    def embed_images(self, crops: Any, modalities: Any) -> Any:
        parts = [cv2.resize(crop, (1, 6), interpolation=cv2.INTER_AREA).reshape(-1) for crop in crops]
        vectors = np.array(parts, np.float32).reshape(-1, 18) - 100
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def embed_clips(self, clips: Any, modalities: Any) -> Any:
        vectors = np.stack([self.embed_images(clip, modalities).mean(axis=0) for clip in clips])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def shortened(clip: CameraClip, folder: Path) -> CameraClip:
    """The first seconds of one of the demo's films."""
    film = folder / clip.video.name
    encode_video(film, (frame.image for frame in islice(iter_frames(clip.video), FRAMES)), clip.fps)
    lines = [line for line in clip.truth.read_text().splitlines(keepends=True) if int(line.split(",")[0]) <= FRAMES]
    (folder / clip.truth.name).write_text("".join(lines))
    return replace(clip, video=film, truth=folder / clip.truth.name, frames=FRAMES)


def models(detector: Any) -> Any:
    return SimpleNamespace(detector=detector, embedder=Clothes(), workers=1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[CameraClip]:
    folder = tmp_path_factory.mktemp("films")
    return [shortened(clip, folder) for clip in demo_clips() if clip.id in ("day-1", "day-2", "night-1")]


@pytest.fixture(scope="module")
def followed(clips: list[CameraClip]) -> list[Followed]:
    return [follow(clip, models(TrueDetector(clip))) for clip in clips]


def test_a_detector_that_sees_all_gives_figures_near_the_best(followed: list[Followed]) -> None:
    figures = judge_world(followed, models(None))
    assert set(figures.tracking) == {"day-1", "day-2", "night-1"}
    for one in figures.tracking.values():
        assert one.recall is not None
        assert one.recall > 0.75  # a track is told after it was confirmed
        assert one.precision is not None
        assert one.precision > 0.95
        assert one.hota is not None
        assert one.idf1 is not None
        assert 0.5 < one.idf1 <= 1
    assert figures.purity is not None
    assert figures.purity > 0.85
    assert figures.tracklets >= 6
    assert figures.searchable_p50_s is not None
    assert 0.5 < figures.searchable_p50_s < 4
    right, asked = figures.found_at_night
    assert 0 <= right <= asked
    assert set(figures.calibration) <= {"visible-visible"}


def test_everything_can_be_written_as_json(followed: list[Followed]) -> None:
    text = json.dumps(judge_world(followed, models(None)).to_dict(), allow_nan=False)
    assert "found_at_night" in json.loads(text)


def test_tracklets_belong_to_whom_they_show(followed: list[Followed]) -> None:
    for one in followed:
        people = set(one.truth.identity.tolist())
        for owner, purity in zip(one.owners, one.purity, strict=True):
            assert (owner in people and purity > 0.5) or (owner is None and purity <= 0.5)


def test_nobody_found_is_said_and_not_divided_by(clips: list[CameraClip]) -> None:
    figures = judge_world([follow(clips[0], models(BlindDetector()))], models(None))
    (one,) = figures.tracking.values()
    assert (one.recall, one.precision, one.hota, one.idf1) == (0, None, 0, 0)
    assert (figures.purity, figures.tracklets, figures.retrieval, figures.found_at_night) == (None, 0, {}, (0, 0))
    assert figures.missed_visits == figures.visits > 0
    json.dumps(figures.to_dict(), allow_nan=False)


def test_who_the_pipeline_did_not_see_counts_as_not_found(clips: list[CameraClip], followed: list[Followed]) -> None:
    night = next(clip for clip in clips if clip.id.startswith("night"))
    blind = [*followed[:2], follow(night, models(BlindDetector()))]
    right, asked = judge_world(blind, models(None)).found_at_night
    assert right == 0
    assert asked == judge_world(followed, models(None)).found_at_night[1] > 0


def test_who_is_not_found_is_shown(followed: list[Followed], tmp_path: Path) -> None:
    sheet = write_failures(tmp_path / "report", followed)
    if sheet is not None:
        assert cv2.imread(str(sheet)) is not None


def test_a_truth_that_does_not_fit_the_film_is_refused(clips: list[CameraClip], tmp_path: Path) -> None:
    (tmp_path / "truth.txt").write_text(f"{FRAMES + 1},1,0,0,10,10,1,1,1\n")
    with pytest.raises(DataError, match=f"frames from 1 to {FRAMES}"):
        follow(replace(clips[0], truth=tmp_path / "truth.txt"), models(BlindDetector()))


@pytest.mark.parametrize("told", [FRAMES - 1, FRAMES + 1])
def test_a_film_of_another_length_than_its_truth_is_refused(clips: list[CameraClip], tmp_path: Path, told: int) -> None:
    (tmp_path / "truth.txt").write_text("1,1,0,0,10,10,1,1,1\n")
    with pytest.raises(DataError, match=f"expected {told} frames, as its truth has, got {FRAMES}"):
        follow(replace(clips[0], frames=told, truth=tmp_path / "truth.txt"), models(BlindDetector()))


def test_cameras_that_cannot_be_told_apart_are_refused(followed: list[Followed]) -> None:
    for cameras in ([], [followed[0], followed[0]]):
        with pytest.raises(DataError, match="an id each of its own"):
            judge_world(cameras, models(None))


def test_lights_are_those_the_product_judged(followed: list[Followed]) -> None:
    for one in followed:
        wanted = Modality.INFRARED if one.clip.id.startswith("night") else Modality.VISIBLE
        assert {package.modality for package in one.tracklets} <= {wanted}
