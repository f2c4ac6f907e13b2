"""Whole pictures: how many are taken, what is black in them, and what a sighting keeps of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest

from pipeline.stills import Reel, StillRules, Stills
from pipeline.types import Frame, Moment, Still

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOBODY = np.zeros((0, 4), np.float32)


def frame_at(pts_s: float, image: np.ndarray) -> Frame:
    return Frame("door", 0, image, pts_s, START + timedelta(seconds=pts_s))


def decoded(still: Still | None) -> np.ndarray:
    assert still is not None
    image = cv2.imdecode(np.frombuffer(still.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def moment(pts_s: float, quality: float) -> Moment:
    return Moment(Still(b"", pts_s, START + timedelta(seconds=pts_s)), (0.1, 0.2, 0.3, 0.9), quality)


def reel_of(qualities: dict[float, float], clip_s: float = 10.0) -> Reel:
    reel = Reel(clip_s)
    for pts_s, quality in qualities.items():
        reel.add(moment(pts_s, quality))
    return reel


def times(reel: Reel) -> list[float]:
    return [one.still.pts_s for one in reel.moments()]


def test_so_many_a_second_are_taken_and_a_new_stream_begins_at_once() -> None:
    stills = Stills(StillRules(every_s=0.25))
    image = np.full((72, 128, 3), 90, np.uint8)
    taken = [pts_s for pts_s in np.arange(0, 4, 0.1) if stills.take(frame_at(float(pts_s), image), NOBODY)]
    assert len(taken) == 14  # every third of ten a second
    assert stills.take(frame_at(0.0, image), NOBODY) is not None


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(1080, 1920, (360, 640)), (1920, 1080, (640, 360)), (241, 321, (241, 321))]
)
def test_pictures_are_made_small_but_never_large(height: int, width: int, expected: tuple[int, int]) -> None:
    still = Stills(StillRules()).take(frame_at(1.0, np.full((height, width, 3), 90, np.uint8)), NOBODY)
    assert decoded(still).shape[:2] == expected
    assert still is not None
    assert still.captured_at == START + timedelta(seconds=1)


def test_what_does_not_count_is_black_but_for_who_is_followed() -> None:
    image = np.full((360, 1280, 3), 200, np.uint8)
    left_half = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    box = np.array([[400, 100, 480, 300]], np.float32)
    seen = decoded(Stills(StillRules(), [left_half]).take(frame_at(0.0, image), box)).mean(axis=2)
    assert seen.shape == (180, 640)
    assert seen[:, :190].max() < 20  # the neighbour's garden
    assert seen[60:140, 205:235].min() > 180  # the person before it
    assert seen[:, 330:].min() > 180
    assert (image == 200).all()  # whoever else looks at the frame sees it whole


def test_a_reel_is_bounded_and_has_the_best_moment_in_its_middle() -> None:
    quality = {pts_s: 0.9 if pts_s == 20.0 else 0.3 for pts_s in np.arange(0, 60, 0.25).tolist()}
    reel = reel_of(quality)
    assert reel.best is not None
    assert reel.best.still.pts_s == 20.0
    assert times(reel) == np.arange(15, 25.1, 0.25).tolist()


def test_a_reel_follows_who_comes_nearer_and_nearer() -> None:
    reel = reel_of({pts_s: 0.01 * pts_s for pts_s in np.arange(0, 30, 0.5).tolist()})
    assert times(reel) == np.arange(19.5, 29.6, 0.5).tolist()


def test_a_short_sighting_is_kept_whole() -> None:
    assert times(reel_of({0.0: 0.2, 0.5: 0.9, 1.0: 0.4})) == [0.0, 0.5, 1.0]


def test_without_clips_only_the_best_moment_is_kept() -> None:
    reel = reel_of({0.0: 0.2, 0.5: 0.9, 1.0: 0.4}, clip_s=0.0)
    assert reel.moments() == ()
    assert reel.best is not None
    assert reel.best.quality == 0.9
