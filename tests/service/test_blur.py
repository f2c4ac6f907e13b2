"""Bystanders in crops: unrecognisable, and nobody else is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import cv2
import numpy as np
import pytest
from support.api_world import START, encoded
from support.tracklets import record

from pipeline.types import Detections, Image
from service.cases.blur import Blur, Bystander, blurred, outline
from service.gallery import CropRef, TrackletRecord

WIDTH, HEIGHT = 120, 240
CROP = (300.0, 100.0, 300.0 + WIDTH, 100.0 + HEIGHT)


class Finds:
    """A detector that finds the same boxes in every crop."""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self._boxes = np.array(boxes, np.float32).reshape(-1, 4)

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        return [Detections(self._boxes, np.ones(len(self._boxes), np.float32)) for _ in images]


def texture() -> Image:
    """What faces and writing are made of: every part of it differs from its neighbours."""
    grey = np.random.default_rng(3).integers(0, 255, (HEIGHT // 4, WIDTH // 4), np.uint8)
    grey = cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return np.repeat(grey[:, :, None], 3, axis=2)


def detail(image: Image, box: tuple[int, int, int, int]) -> float:
    """How much of the texture is left in a part, 1.0 for all of it."""
    x1, y1, x2, y2 = box
    laplacian = [np.abs(cv2.Laplacian(one[y1:y2, x1:x2], cv2.CV_64F)).mean() for one in (image, texture())]
    return float(laplacian[0] / laplacian[1])


def crop_at(second: float = 0.0, box: tuple[float, float, float, float] = CROP) -> CropRef:
    return CropRef("", box, 0.9, second, START + timedelta(seconds=second))


def other(*crops: CropRef) -> TrackletRecord:
    return replace(record(7), crops=crops)


def shifted(dx: float, dy: float = 0.0) -> tuple[float, float, float, float]:
    return CROP[0] + dx, CROP[1] + dy, CROP[2] + dx, CROP[3] + dy


def blur(detector: Finds, *others: TrackletRecord, second: float = 0.0, box: object = CROP) -> Image:
    """The texture as a crop, blurred; PNG in, so that nothing but the blur changes it before the last JPEG."""
    crop = crop_at(second, box)  # type: ignore[arg-type]
    (done,) = Blur(detector).pictures([encoded(texture(), ".png")], [crop], others)
    assert done is not None
    image = cv2.imdecode(np.frombuffer(done, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(image, np.uint8)


# In a crop of 120 x 240: the person's middle, head and feet, and a bystander's part at the left.
MIDDLE, LEFT = (40, 20, 80, 220), (0, 10, 28, 230)
PERSON = (0.0, 0.0, float(WIDTH), float(HEIGHT))


def test_alone_nothing_but_what_lies_around_the_person_is_blurred() -> None:
    image = blur(Finds(PERSON))
    inside = outline(HEIGHT, WIDTH)
    assert 0.75 < inside.mean() < 0.85
    assert np.abs(image.astype(int) - texture().astype(int))[inside].mean() < 6, "only what JPEG takes"
    assert detail(image, MIDDLE) > 0.9
    plain = blurred(texture(), [])
    assert (plain[inside] == texture()[inside]).all()
    corner = plain[:12, :6].reshape(-1, 3).astype(int)
    assert np.abs(np.diff(corner, axis=0)).mean() < 8, "nothing is left of what was there"


def test_somebody_that_the_detector_finds_beside_the_person_is_unrecognisable() -> None:
    image = blur(Finds((10, 0, 118, 240), (0, 0, 35, 200)))
    assert detail(image, (0, 10, 28, 190)) < 0.1
    assert detail(image, (50, 20, 100, 220)) > 0.85, "and the person is as before"


def test_somebody_behind_hides_nothing_of_the_persons_middle() -> None:
    image = blur(Finds(PERSON, (0, 0, 90, 150)))
    assert detail(image, (0, 10, 24, 140)) < 0.1
    assert detail(image, MIDDLE) > 0.9


def test_somebody_in_front_is_blurred_whole() -> None:
    """A box that the crop cuts off below may be nearer than the person, whose feet are at its lower edge."""
    image = blur(Finds(PERSON, (30, 100, 100, 240)))
    assert detail(image, (36, 106, 94, 234)) < 0.1
    assert detail(image, (40, 20, 80, 95)) > 0.85


@pytest.mark.parametrize("boxes", [(), ((0, 0, 118, 238),), (PERSON, (4, 2, 120, 240))])
def test_the_person_is_not_a_bystander(boxes: tuple[tuple[float, float, float, float], ...]) -> None:
    """Not found at all, found once, found twice."""
    assert detail(blur(Finds(*boxes)), MIDDLE) > 0.9


def test_where_only_a_bystander_is_found_it_is_not_taken_for_the_person() -> None:
    image = blur(Finds((0, 20, 30, 180)))
    assert detail(image, (0, 30, 26, 170)) < 0.1
    assert detail(image, MIDDLE) > 0.9


def test_other_sightings_tell_where_others_were() -> None:
    beside = other(crop_at(box=shifted(-95, -20)))
    image = blur(Finds(PERSON), beside)
    assert detail(image, (0, 10, 22, 210)) < 0.1
    assert detail(image, MIDDLE) > 0.9
    front = other(crop_at(box=shifted(-60, 30)))
    image = blur(Finds(PERSON), front)
    assert detail(image, (0, 40, 56, 236)) < 0.1
    assert detail(image, (66, 20, 84, 220)) > 0.8
    same = other(crop_at(box=shifted(6, 3)))
    assert detail(blur(Finds(PERSON), same), MIDDLE) > 0.9, "tracked twice"


def test_between_two_pictures_somebody_walked_on() -> None:
    walks = other(crop_at(-1, shifted(-290, 20)), crop_at(1, shifted(170, 20)))  # at the crop's moment: -60
    image = blur(Finds(PERSON), walks)
    assert detail(image, (0, 30, 56, 236)) < 0.1
    assert detail(image, (66, 30, 84, 220)) > 0.8


@pytest.mark.parametrize(("second", "hidden"), [(0.5, True), (1.9, True), (5.0, False)])
def test_how_long_a_sighting_says_where_somebody_is(second: float, hidden: bool) -> None:
    stood = other(crop_at(0, shifted(-60, 30)))
    left = detail(blur(Finds(PERSON), stood, second=second), (20, 60, 50, 220))
    assert (left < 0.1) is hidden


def test_a_crop_at_the_edge_of_the_frame() -> None:
    """The person's box reaches beyond the frame, its picture does not."""
    box = (-40.0, 100.0, float(WIDTH), 340.0)
    beside = other(crop_at(box=(90.0, 60.0, 200.0, 320.0)))
    image = blur(Finds(PERSON), beside, box=box)
    assert detail(image, (98, 10, 118, 210)) < 0.1
    assert detail(image, (40, 20, 86, 220)) > 0.85


def test_blurring_leaves_no_more_than_ten_means_across() -> None:
    """Whatever the original was, so little of it is in the blurred part that it cannot be undone."""
    whole = [Bystander((0, 0, WIDTH, HEIGHT + 50), True)]
    image = blurred(texture(), whole)
    rows = image[:, :, 0].astype(int)
    turns = np.abs(np.diff(np.sign(np.diff(rows, axis=1)), axis=1)) > 1
    assert turns.sum(axis=1).max() <= 10


def test_what_cannot_be_decoded_is_nothing() -> None:
    crops = [crop_at(), crop_at(1)]
    done = Blur(Finds(PERSON)).pictures([b"no picture", encoded(texture())], crops, [])
    assert done[0] is None
    assert done[1] is not None
    assert Blur(Finds(PERSON)).pictures([], [], []) == []
