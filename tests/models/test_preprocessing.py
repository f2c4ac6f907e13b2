"""Preprocessing against its formula, and its hash."""

import dataclasses

import cv2
import numpy as np
import pytest

from models.preprocessing import Preprocessing, check_crop


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_batch_is_resize_scale_normalise(order: str, scale: float) -> None:
    preprocessing = Preprocessing(
        height_px=32, width_px=16, scale=scale, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), channel_order=order
    )
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((90, 30), (32, 16), (7, 5))]
    batch = preprocessing.batch(crops)
    assert batch.shape == (3, 3, 32, 16)
    assert batch.dtype == np.float32
    for row, crop in zip(batch, crops, strict=True):
        pixels = cv2.resize(crop, (16, 32))[:, :, :: -1 if order == "rgb" else 1].astype(np.float64)
        expected = (pixels * scale - preprocessing.mean) / preprocessing.std
        np.testing.assert_allclose(row, expected.transpose(2, 0, 1), rtol=1e-4, atol=1e-4)


def test_views_into_frames_need_no_copy() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (100, 100, 3), np.uint8)
    preprocessing = Preprocessing(height_px=16, width_px=8)
    view = frame[10:60, 20:50]
    np.testing.assert_array_equal(preprocessing.batch([view]), preprocessing.batch([view.copy()]))


def test_no_crops_make_an_empty_batch() -> None:
    assert Preprocessing().batch([]).shape == (0, 3, 256, 128)


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), r"expected uint8\[H, W, 3\] BGR, got float32\[4, 4, 3\]"),
        (np.zeros((4, 4), np.uint8), r"got uint8\[4, 4\]"),
        (np.zeros((4, 4, 4), np.uint8), r"got uint8\[4, 4, 4\]"),
        (np.zeros((0, 4, 3), np.uint8), r"at least one pixel, got shape \(0, 4, 3\)"),
        (np.zeros((20000, 1, 3), np.uint8), r"sides of at most 16384 px"),
        ([[0, 0, 0]], "got list"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_crop_is_refused(crop: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_crop(crop)
    with pytest.raises(ValueError, match=r"crops\[1\]: expected"):
        Preprocessing().batch([np.zeros((2, 2, 3), np.uint8), crop])  # type: ignore[list-item]


def test_the_hash_is_stable_and_follows_every_field() -> None:
    base = Preprocessing()
    changes = [
        {"height_px": 288},
        {"width_px": 144},
        {"scale": 1.0},
        {"mean": (0.0, 0.0, 0.0)},
        {"std": (1.0, 1.0, 1.0)},
        {"channel_order": "bgr"},
        {"interpolation": "area"},
    ]
    assert {next(iter(change)) for change in changes} == {field.name for field in dataclasses.fields(base)}
    hashes = {base.hash, *(dataclasses.replace(base, **change).hash for change in changes)}
    assert len(hashes) == 8
    assert Preprocessing.from_dict(base.to_dict()).hash == base.hash == "65553d5d102e9b95"


@pytest.mark.parametrize(
    "change",
    [
        {"height_px": 0},
        {"std": (1, 0, 1)},
        {"mean": (float("nan"), 0, 0)},
        {"channel_order": "grb"},
        {"interpolation": "x"},
    ],
)
def test_impossible_preprocessing_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Preprocessing"):
        dataclasses.replace(Preprocessing(), **change)
