"""Drawing: deterministic for a seed, exact about who is where, physical about light."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from support.synthetic import model

from models.synthetic.cameras import Camera, draw_camera
from models.synthetic.crops import Studio
from models.synthetic.dressing import Figure
from models.synthetic.renderer import Actor, RenderError, probe

SEED = 11


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(model(), SEED)


def camera(infrared: bool, number: int = 1) -> Camera:
    """A drawn camera, with a lens so short that pictures are small."""
    drawn = draw_camera(SEED, "train", number, infrared)
    return replace(drawn, focal_px=70 * drawn.reach_m / 1.72)


def standing(studio: Studio, figure: Figure, z: float, x: float = 0.0) -> Actor:
    return Actor(figure, *figure.posed(model(), 0.1), (x, z), np.pi)


@pytest.mark.parametrize("infrared", [False, True])
def test_seed_gives_the_same_boxes_masks_and_pixels(studio: Studio, infrared: bool) -> None:
    first = studio.tracklet(5, camera(infrared), 2, 0.5, 0, others=(6, 7))
    again = Studio(model(), SEED).tracklet(5, camera(infrared), 2, 0.5, 0, others=(6, 7))
    assert len(first) == len(again) == 2
    for a, b in zip(first, again, strict=True):
        assert a.box == b.box
        np.testing.assert_array_equal(a.mask, b.mask)
        np.testing.assert_allclose(a.picture.astype(float), b.picture.astype(float), atol=2)


def test_renderers_in_one_process_do_not_disturb_each_other(studio: Studio) -> None:
    before = studio.tracklet(5, camera(True), 1, 0.5, 0)[0]
    probe()
    other = Studio(model(), SEED + 1)
    other.tracklet(5, camera(True), 1, 0.5, 0)
    np.testing.assert_array_equal(studio.tracklet(5, camera(True), 1, 0.5, 0)[0].mask, before.mask)


def test_another_passage_is_another_walk(studio: Studio) -> None:
    one, two = (studio.tracklet(5, camera(False), 1, 0.5, track)[0] for track in (0, 1))
    assert one.box != two.box


def test_crop_shows_the_person_it_is_of(studio: Studio) -> None:
    for number in range(1, 7):
        for crop in studio.tracklet(number, camera(number % 2 == 0, number), 2, 1.0, 0):
            assert (crop.mask == 1).mean() > 0.1
            assert crop.seen >= 0.5
            assert crop.picture.shape[0] == pytest.approx(crop.box[3] - crop.box[1], abs=1)


def test_infrared_is_grey_and_colour_is_not(studio: Studio) -> None:
    grey = studio.tracklet(3, camera(True), 1, 0.5, 0)[0].picture.astype(int)
    assert (grey[:, :, 0] == grey[:, :, 1]).all()
    assert (grey[:, :, 0] == grey[:, :, 2]).all()
    colour = studio.tracklet(3, camera(False), 1, 0.5, 0)[0].picture.astype(int)
    assert np.abs(colour[:, :, 0] - colour[:, :, 2]).mean() > 1


def test_who_stands_in_front_owns_the_pixels(studio: Studio) -> None:
    view_of = camera(False)
    near, far = standing(studio, studio.figure(1), -1.0), standing(studio, studio.figure(2), 1.0)
    view = view_of.window((0, 0, view_of.width_px, view_of.height_px), 0.25)
    alone = studio.draw(view, view_of, [far]).owners
    both = studio.draw(view, view_of, [far, near]).owners
    assert (both == 2).any()
    assert (both == 1).sum() < (alone == 1).sum()
    assert not ((both == 1) & (alone != 1)).any()


def test_infrared_light_falls_with_the_square_of_the_distance(studio: Studio) -> None:
    seen = camera(True)
    assert seen.lamp is not None
    lamp = replace(seen.lamp, inner_deg=80.0, outer_deg=89.0, ambient=0.0)
    seen = replace(seen, lamp=lamp)
    levels = []
    for z in (0.0, 3.0):
        actor = standing(studio, studio.figure(4), z, seen.target[0])
        points = actor.in_world()[0]
        pixels = seen.project(points)
        box = (*pixels.min(axis=0), *pixels.max(axis=0))
        drawn = studio.draw(seen.window(box, 1.5), seen, [actor])
        distance = np.linalg.norm(points.mean(axis=0) - np.array(lamp.place))
        levels.append(float(drawn.radiance[drawn.owners == 1].mean()) * float(distance) ** 2)
    assert levels[1] == pytest.approx(levels[0], rel=0.25)


def test_projection_and_drawing_agree(studio: Studio) -> None:
    seen = camera(False, 2)
    actor = standing(studio, studio.figure(8), 0.5, seen.target[0])
    pixels = seen.project(actor.in_world()[0])
    x1, y1, x2, y2 = (*pixels.min(axis=0), *pixels.max(axis=0))
    drawn = studio.draw(seen.window((x1 - 6, y1 - 6, x2 + 6, y2 + 6), 2.0), seen, [actor])
    rows, columns = (np.flatnonzero((drawn.owners == 1).any(axis=axis)) / 2 for axis in (1, 0))
    assert rows[0] == pytest.approx(6, abs=2.5)
    assert rows[-1] == pytest.approx(6 + y2 - y1, abs=2.5)
    assert columns[0] == pytest.approx(6, abs=2.5)
    assert columns[-1] == pytest.approx(6 + x2 - x1, abs=2.5)


def test_parts_have_other_cameras() -> None:
    train, test = (draw_camera(SEED, part, 1, False) for part in ("train", "test"))
    assert train.place != test.place
    assert train.sensor != test.sensor
    again = draw_camera(SEED, "train", 1, False)
    assert (again.place, again.target, again.sensor) == (train.place, train.target, train.sensor)


def test_missing_opengl_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import moderngl

    def refuse(**_: object) -> None:
        raise RuntimeError("libEGL.so.1 not loaded")

    monkeypatch.setattr(moderngl, "create_context", refuse)
    with pytest.raises(RenderError, match=r"libEGL\.so\.1 not loaded.*apt-get install libegl1 libgl1 libgl1-mesa-dri"):
        probe()
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(RenderError, match=r"pip install 'tapetum\[synth\]'"):
        probe()
