from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.cameras import encode, moving

from models.types import Modality
from pipeline.modality import ModalityJudge, chroma_spread, photo_modality
from pipeline.sources import iter_frames

V, N = Modality.VISIBLE, Modality.INFRARED
SIZE = (480, 640)


def scene(saturation: float = 1.0) -> np.ndarray:
    """A place by day: sky, wall, grass, a few persons; ``saturation`` 0 is grey."""
    rng = np.random.default_rng(5)
    picture = np.empty((*SIZE, 3), np.float32)
    picture[:160] = (200, 170, 140)
    picture[160:300] = (90, 110, 150)
    picture[300:] = (70, 120, 90)
    for x, colour in ((100, (40, 40, 180)), (300, (160, 60, 30)), (500, (30, 30, 30))):
        picture[220:400, x : x + 60] = colour
    picture *= np.linspace(0.7, 1.1, SIZE[1])[None, :, None]
    grey = picture @ np.array([0.114, 0.587, 0.299], np.float32)
    picture = grey[..., None] + saturation * (picture - grey[..., None])
    return np.clip(picture + rng.normal(0, 4, SIZE)[..., None], 0, 255).astype(np.uint8)


def coded(picture: np.ndarray, quality: int = 60) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def overlaid(picture: np.ndarray) -> np.ndarray:
    picture = picture.copy()
    picture[10:50, 10:200] = (0, 0, 255)
    cv2.putText(picture, "2026-01-01 23:59:59", (330, 460), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 255, 255), 3)
    return picture


def noisy(picture: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(6).normal(0, 10, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def letterboxed(picture: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(picture, 120, 120, 0, 0, cv2.BORDER_CONSTANT)


def tinted(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture * np.array([1.0, 0.94, 0.98]) + np.array([6, 0, 3]), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [coded, overlaid, noisy, letterboxed, tinted, lambda p: coded(overlaid(noisy(p)))])
def test_grey_is_infrared_and_colour_is_visible_whatever_lies_over_it(change):
    assert photo_modality(change(scene(0.0))) is N
    assert photo_modality(change(scene(1.0))) is V


def test_a_dull_day_is_still_a_day():
    assert photo_modality(coded(scene(0.25))) is V


def test_black_and_white_pictures_have_no_colour():
    assert photo_modality(np.zeros((*SIZE, 3), np.uint8)) is N
    assert photo_modality(np.full((*SIZE, 3), 255, np.uint8)) is N


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (40, 20), (2160, 3840)])
def test_any_size(shape):
    assert chroma_spread(np.full((*shape, 3), 120, np.uint8)) == 0.0


def test_a_small_photo_of_a_person_in_red_is_visible():
    photo = np.full((64, 32, 3), 120, np.uint8)
    photo[20:44, 8:24] = (40, 40, 180)
    assert photo_modality(photo) is V


def test_a_switch_is_noticed_after_a_second_and_flicker_is_not():
    day, night = scene(1.0), scene(0.0)
    judge = ModalityJudge(min_frames=3, min_s=1.0)
    shown = [day] * 10 + [night, day] * 10 + [night] * 15 + [day] * 15
    judged = [judge.judge(picture, n * 0.1) for n, picture in enumerate(shown)]
    changes = [n for n in range(1, len(judged)) if judged[n] is not judged[n - 1]]
    assert judged[0] is V
    assert changes == [40, 55]
    assert judged[40] is N
    assert judged[55] is V


def test_a_slow_camera_needs_three_pictures():
    judge = ModalityJudge(min_frames=3, min_s=1.0)
    judge.judge(scene(1.0), 0.0)
    assert [judge.judge(scene(0.0), 2.0 * n) for n in range(1, 4)] == [V, V, N]


def test_what_lies_between_changes_nothing():
    doubtful = scene(0.07)
    assert 2.0 < chroma_spread(doubtful) < 3.0
    for first, expected in ((scene(1.0), V), (scene(0.0), N)):
        judge = ModalityJudge()
        judge.judge(first, 0.0)
        assert {judge.judge(doubtful, n * 0.1) for n in range(1, 40)} == {expected}


def test_time_that_falls_with_a_new_connection_starts_the_count_anew():
    judge = ModalityJudge(min_frames=2, min_s=1.0)
    judge.judge(scene(1.0), 500.0)
    judge.judge(scene(0.0), 500.1)
    assert judge.judge(scene(0.0), 0.0) is V
    assert judge.judge(scene(0.0), 1.1) is N


def test_a_coded_stream_that_switches(tmp_path: Path):
    day, night = moving(640, 480), moving(640, 480, grey=True)
    path = encode(tmp_path / "switch.mp4", 60, draw=lambda n: day(n) if n < 30 else night(n))
    judge = ModalityJudge()
    judged = [judge.judge(frame.image, frame.pts_s) for frame in iter_frames(path)]
    assert judged[:30] == [V] * 30
    assert judged[45:] == [N] * 15
    assert 30 + 9 <= judged.index(N) <= 30 + 12
