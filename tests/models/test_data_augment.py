"""Augmentation: as often and as far as asked, alike in all frames of a clip, never across the kinds of light."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.augment import Augmenter, AugmentOptions
from models.data.augment.colour import channel_weights, draw_curve, mix_channels
from models.data.augment.erasing import draw_box
from models.data.augment.trivial import operations, trivial_augment
from models.layers.grey import GreyCounterpart
from models.preprocessing import Image, Preprocessing
from models.types import Modality
from tests.support.miniatures import draw_person

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
PREPARE = Preprocessing(height_px=64, width_px=32)
RAW = Preprocessing(height_px=64, width_px=32, scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3, channel_order="bgr")
OFF = AugmentOptions.off()
EVERYTHING = AugmentOptions(
    scale=0.1,
    shear=0.1,
    trivial=0.5,
    channels="exchange",
    channel_gain=0.2,
    gamma=0.3,
    contrast=0.3,
    brightness=0.1,
    infrared_jitter=0.2,
    infrared_blur=0.5,
    erasing=0.5,
)


def augment(options: AugmentOptions, frames: list[Image], light: Modality, seed: int = 0) -> np.ndarray:
    return Augmenter(options, RAW)(frames, light, np.random.default_rng(seed)).pictures


def channels_equal(pictures: np.ndarray) -> bool:
    return bool(np.abs(pictures - pictures[:, :1]).max() < 1e-3)


@pytest.fixture
def picture() -> Image:
    return draw_person(3, VISIBLE)


@pytest.fixture
def night() -> Image:
    return draw_person(3, INFRARED)


def test_off_is_what_the_network_sees_in_service(picture: Image) -> None:
    crop = cv2.resize(picture, (50, 90))
    made = Augmenter(OFF, PREPARE)([crop], VISIBLE, np.random.default_rng(0), counterpart=True)
    assert np.array_equal(made.pictures, PREPARE.batch([crop]))


@pytest.mark.parametrize("light", list(Modality))
def test_all_frames_of_a_clip_are_changed_alike(light: Modality) -> None:
    """Six times the same frame must come out six times the same: one draw for the clip, noise aside."""
    frame = draw_person(1, light)
    for seed in range(60):
        made = Augmenter(EVERYTHING, PREPARE)([frame] * 6, light, np.random.default_rng(seed), counterpart=True)
        assert made.counterpart is not None
        assert (made.pictures == made.pictures[:1]).all()
        assert (made.counterpart == made.counterpart[:1]).all()


def test_a_clip_is_changed_as_its_first_frame_alone_would_be(night: Image) -> None:
    other = draw_person(4, INFRARED)
    for seed in range(20):
        clip = augment(EVERYTHING, [night, other], INFRARED, seed)
        alone = augment(EVERYTHING, [night], INFRARED, seed)
        assert np.array_equal(clip[0], alone[0])


def test_the_generator_decides_everything(picture: Image) -> None:
    options = replace(EVERYTHING, noise=4.0)
    assert np.array_equal(augment(options, [picture], VISIBLE, 7), augment(options, [picture], VISIBLE, 7))
    assert not np.array_equal(augment(options, [picture], VISIBLE, 7), augment(options, [picture], VISIBLE, 8))


def test_source_pictures_are_left_alone(picture: Image) -> None:
    before = picture.copy()
    for seed in range(30):
        augment(replace(EVERYTHING, trivial=1.0, noise=3.0), [picture], VISIBLE, seed)
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("seed", range(40))
def test_infrared_pictures_stay_grey(night: Image, seed: int) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(night, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    options = replace(EVERYTHING, trivial=1.0, noise=5.0)
    made = Augmenter(options, RAW)([grey], INFRARED, np.random.default_rng(seed), counterpart=True)
    assert made.counterpart is not None
    assert channels_equal(made.pictures)
    assert channels_equal(made.counterpart)


@pytest.mark.parametrize("mode", ["exchange", "grey", "mix"])
def test_channel_modes_leave_infrared_pictures_alone(mode: str) -> None:
    tinted = draw_person(3, VISIBLE)  # a night picture with a colour cast would show any mixing
    options = replace(OFF, channels=mode, channel_probability=1.0)
    assert np.array_equal(augment(options, [tinted], INFRARED), augment(OFF, [tinted], INFRARED))
    assert channels_equal(augment(options, [tinted], VISIBLE))


def test_exchange_draws_cajs_five_outcomes_equally_often(picture: Image) -> None:
    options = replace(OFF, channels="exchange")
    plain = augment(OFF, [picture], VISIBLE)[0]
    grey = mix_channels([picture], channel_weights("grey", np.random.default_rng(0)))[0][..., 0]
    outcomes = [*plain, grey]
    counts = np.zeros(5)
    for seed in range(1000):
        made = augment(options, [picture], VISIBLE, seed)[0]
        if np.array_equal(made, plain):
            counts[4] += 1
        else:
            assert channels_equal(made[None])
            counts[[np.array_equal(made[0], outcome) for outcome in outcomes].index(True)] += 1
    assert counts.min() > 150, counts
    assert counts.max() < 250, counts


def test_grey_is_the_luminance_that_the_networks_use() -> None:
    picture = draw_person(2, VISIBLE)
    ours = PREPARE.batch(mix_channels([picture], channel_weights("grey", np.random.default_rng(0))))
    theirs = GreyCounterpart(PREPARE)(torch.from_numpy(PREPARE.batch([picture]))).numpy()
    assert np.abs(ours - theirs).max() < 0.51 / 255 / 0.224, "equal up to the rounding to bytes"


def test_mixtures_weigh_to_one() -> None:
    generator = np.random.default_rng(0)
    weights = np.array([channel_weights("mix", generator) for _ in range(500)])
    assert np.allclose(weights.sum(axis=1), 1)
    assert weights.min() >= 0
    pure = (weights.max(axis=1) == 1).mean()
    assert 0.4 < pure < 0.6
    assert np.abs(weights.mean(axis=0) - 1 / 3).max() < 0.06


def test_flip_comes_as_often_as_asked(picture: Image) -> None:
    plain = augment(OFF, [picture], VISIBLE)
    flipped = 0
    for seed in range(400):
        made = augment(replace(OFF, flip=0.3), [picture], VISIBLE, seed)
        mirrored = np.array_equal(made, plain[..., ::-1])
        assert mirrored or np.array_equal(made, plain)
        flipped += mirrored
    assert 85 < flipped < 155


def test_crop_moves_by_whole_pixels_and_fills_with_black(picture: Image) -> None:
    plain = np.pad(augment(OFF, [picture], VISIBLE)[0], ((0, 0), (3, 3), (3, 3)))
    windows = {(y, x): plain[:, y : y + 64, x : x + 32] for y in range(7) for x in range(7)}
    seen = set()
    for seed in range(600):
        made = augment(replace(OFF, crop_px=3), [picture], VISIBLE, seed)[0]
        seen.add(next(place for place, window in windows.items() if np.array_equal(made, window)))
    assert len(seen) == 49, "every place is reached"


def test_erased_is_the_mean_and_nothing_else_changes(picture: Image) -> None:
    plain = PREPARE.batch([picture])
    erased = 0
    for seed in range(300):
        made = Augmenter(replace(OFF, erasing=0.5), PREPARE)([picture], VISIBLE, np.random.default_rng(seed)).pictures
        changed = (made != plain).any(axis=1)
        if changed.any():
            erased += 1
            rows, columns = np.nonzero(changed[0])
            box = made[..., rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert (box == 0).all(), "zero is the mean of every channel once normalised"
    assert 120 < erased < 180


@settings(max_examples=200, deadline=None)
@given(st.integers(4, 300), st.integers(4, 200), st.integers(0, 10**6))
def test_boxes_lie_inside_and_are_as_large_as_asked(height: int, width: int, seed: int) -> None:
    options = AugmentOptions(erasing=1.0)
    box = draw_box(options, height, width, np.random.default_rng(seed))
    assert box is not None
    tall, wide = (side.stop - side.start for side in box)
    assert 0 <= box[0].start < box[0].stop <= height
    assert 0 <= box[1].start < box[1].stop <= width
    assert tall * wide <= 0.4 * height * width + tall + wide, "but for rounding"
    if tall < height and wide < width:
        assert tall * wide >= 0.02 * height * width - tall - wide
        assert 0.3 * (wide - 1) - 1 <= tall <= 10 / 3 * (wide + 1) + 1


def test_noise_fill_is_normal_and_alike_in_all_frames(picture: Image) -> None:
    options = replace(OFF, erasing=1.0, erasing_fill="noise", erasing_area=(0.4, 0.4), erasing_aspect=(2.0, 2.0))
    made = Augmenter(options, PREPARE)([picture] * 3, VISIBLE, np.random.default_rng(0)).pictures
    inside = made[0][:, (made[0] != PREPARE.batch([picture])[0]).all(axis=0)]
    assert inside.size > 1000
    assert abs(inside.mean()) < 0.1
    assert abs(inside.std() - 1) < 0.1
    assert (made == made[:1]).all()


@pytest.mark.parametrize("light", list(Modality))
def test_a_counterpart_lies_pixel_on_pixel_with_its_picture(light: Modality) -> None:
    """With colours left alone, the picture moved and erased and the counterpart must agree in shape and hole."""
    frame = draw_person(4, light)
    options = AugmentOptions(flip=0.5, crop_px=6, scale=0.2, shear=0.1, erasing=0.7)
    for seed in range(40):
        made = Augmenter(options, PREPARE)([frame], light, np.random.default_rng(seed), counterpart=True)
        assert made.counterpart is not None
        assert np.array_equal((made.pictures == 0).all(axis=1), (made.counterpart == 0).all(axis=1))
        one, other = (x[0].mean(axis=0).ravel() for x in (made.pictures, made.counterpart))
        if light is INFRARED:
            assert np.corrcoef(one, other)[0, 1] > 0.9
        edges = [np.abs(np.diff(x[0], axis=1)).sum(axis=(0, 2)) for x in (made.pictures, made.counterpart)]
        assert np.corrcoef(*edges)[0, 1] > 0.5


def test_a_visible_counterpart_is_one_channel_or_grey(picture: Image) -> None:
    spread = []
    for seed in range(40):
        made = Augmenter(OFF, RAW)([picture], VISIBLE, np.random.default_rng(seed), counterpart=True)
        assert made.counterpart is not None
        assert channels_equal(made.counterpart)
        spread.append(made.counterpart.mean())
    assert np.std(spread) > 1, "drawn anew every time"


def test_curves_stay_within_what_was_asked() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        values = draw_curve(replace(OFF, brightness=0.1), VISIBLE, 100.0, generator)
        assert values is not None
        assert np.abs(values - np.arange(256)[:, None]).max() <= 25.5 + 1e-9
        values = draw_curve(replace(OFF, contrast=0.3), INFRARED, 100.0, generator)
        assert values is not None
        slopes = np.diff(values, axis=0)
        assert 0.7 - 1e-9 <= slopes.min() <= slopes.max() <= 1.3 + 1e-9
        assert np.allclose(values[100], 100), "the mean stays"
        values = draw_curve(replace(OFF, gamma=0.5), VISIBLE, 100.0, generator)
        assert values is not None
        power = np.log(values[128, 0] / 255) / np.log(128 / 255)
        assert np.exp(-0.5) <= power <= np.exp(0.5)
        assert np.allclose(values[[0, 255]], [[0] * 3, [255] * 3])
        gains = draw_curve(replace(OFF, channel_gain=0.2), VISIBLE, 100.0, generator)
        assert gains is not None
        assert (np.abs(np.log(gains[200] / 200)) <= 0.2).all()
    assert draw_curve(OFF, VISIBLE, 100.0, generator) is None
    assert draw_curve(replace(OFF, infrared_jitter=0.5), VISIBLE, 100.0, generator) is None
    assert draw_curve(replace(OFF, channel_gain=0.5), INFRARED, 100.0, generator) is None
    assert draw_curve(replace(OFF, infrared_jitter=0.5), INFRARED, 100.0, generator) is not None


def test_blur_and_noise_do_what_they_say(night: Image) -> None:
    plain = augment(OFF, [night], INFRARED)
    rough = np.abs(np.diff(plain, axis=-1)).mean()
    blurred = [augment(replace(OFF, infrared_blur=1.0), [night], INFRARED, seed) for seed in range(20)]
    assert all(np.abs(np.diff(each, axis=-1)).mean() <= rough for each in blurred)
    assert np.array_equal(augment(replace(OFF, infrared_blur=1.0), [night], VISIBLE), augment(OFF, [night], VISIBLE))
    flat = np.full((64, 32, 3), 128, np.uint8)
    deviations = [augment(replace(OFF, noise=10.0), [flat] * 2, VISIBLE, seed)[0].std() for seed in range(60)]
    assert max(deviations) < 10.5
    assert min(deviations) < 3
    frames = augment(replace(OFF, noise=10.0), [flat] * 2, VISIBLE)
    assert not np.array_equal(frames[0], frames[1]), "a sensor's noise is new in every frame"


def test_trivial_augment_draws_every_operation_and_colour_for_visible_only() -> None:
    assert set(operations(INFRARED)) < set(operations(VISIBLE))
    (colour,) = set(operations(VISIBLE)) - set(operations(INFRARED))
    picture = draw_person(3, VISIBLE)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    assert np.abs(cv2.cvtColor(colour([picture], 1.0)[0], cv2.COLOR_BGR2GRAY).astype(int) - grey).mean() < 6
    changed = sum(
        not np.array_equal(trivial_augment([picture], VISIBLE, np.random.default_rng(seed))[0], picture)
        for seed in range(300)
    )
    identity_share = 1 / len(operations(VISIBLE))
    assert 300 * (1 - 2 * identity_share) < changed < 300 * (1 - identity_share / 4)


@pytest.mark.parametrize("light", list(Modality))
def test_no_operation_moves_a_person_out_of_the_picture(light: Modality) -> None:
    frame = draw_person(1, light)
    for operation in operations(light):
        for strength in (-1.0, -0.3, 0.0, 0.3, 1.0):
            (made,) = operation([frame], strength)
            assert made.dtype == np.uint8
            assert made.shape == frame.shape
            assert made.std() > frame.std() * 0.25, f"{operation.__name__} at {strength} leaves nothing to see"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("flip", 1.5, "flip: expected 0 to 1"),
        ("erasing", -0.1, "erasing: expected 0 to 1"),
        ("gamma", float("nan"), "gamma: expected 0 to 3"),
        ("crop_px", "ten", "crop_px: expected 0 to 256"),
        ("crop_px", 2.5, "crop_px: expected whole pixels"),
        ("channels", "sepia", "channels: expected none, exchange, grey, mix"),
        ("erasing_fill", "white", "erasing_fill: expected mean, noise"),
        ("erasing_area", (0.4, 0.02), "erasing_area: expected two ascending values"),
        ("erasing_aspect", (1.0,), "erasing_aspect: expected two ascending values"),
    ],
)
def test_options_out_of_range_are_refused(name: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AugmentOptions(**{name: value})  # type: ignore[arg-type]


def test_options_survive_a_recipe() -> None:
    assert AugmentOptions(**EVERYTHING.to_dict()) == EVERYTHING  # type: ignore[arg-type]


def test_arrays_that_do_not_fit_are_refused(picture: Image) -> None:
    augmenter = Augmenter(OFF, PREPARE)
    with pytest.raises(ValueError, match="at least one frame"):
        augmenter([], VISIBLE, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"expected float32\[1, 3, 64, 32\]"):
        augmenter.write([picture], VISIBLE, np.random.default_rng(0), np.empty((2, 3, 64, 32), np.float32))
