"""Drawing: deterministic for a seed, exact about who is where, physical about light."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from support.synthetic import model

from models.synthetic.cameras import Camera, draw_camera
from models.synthetic.crops import Studio
from models.synthetic.dressing import Figure
from models.synthetic.renderer import Actor, Heat, Lamp, RenderError, probe
from models.synthetic.sensor import develop
from models.synthetic.thermal import ThermalSensor, draw_thermal_sensor

SEED = 11


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(model(), SEED)


def camera(infrared: bool, number: int = 1, thermal: bool = False) -> Camera:
    """A drawn camera, with a lens so short that pictures are small."""
    drawn = draw_camera(SEED, "train", number, infrared, thermal)
    return replace(drawn, focal_px=70 * drawn.reach_m / 1.72)


def standing(studio: Studio, figure: Figure, z: float, x: float = 0.0) -> Actor:
    return Actor(figure, *figure.posed(model(), 0.1), (x, z), np.pi)


@pytest.mark.parametrize(("infrared", "thermal"), [(False, False), (True, False), (True, True)])
def test_seed_gives_the_same_boxes_masks_and_pixels(studio: Studio, infrared: bool, thermal: bool) -> None:
    seen = camera(infrared, thermal=thermal)
    first = studio.tracklet(5, seen, 2, 0.5, 0, others=(6, 7))
    again = Studio(model(), SEED).tracklet(5, seen, 2, 0.5, 0, others=(6, 7))
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
    for thermal in (False, True):
        grey = studio.tracklet(3, camera(True, thermal=thermal), 1, 0.5, 0)[0].picture.astype(int)
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
    assert isinstance(seen.light, Lamp)
    lamp = replace(seen.light, inner_deg=80.0, outer_deg=89.0, ambient=0.0)
    seen = replace(seen, light=lamp)
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


def test_thermal_camera_hangs_where_the_other_infrared_one_would() -> None:
    near, thermal = camera(True), camera(True, thermal=True)
    assert (near.place, near.target, near.focal_px) == (thermal.place, thermal.target, thermal.focal_px)
    assert isinstance(thermal.light, Heat)
    with pytest.raises(ValueError, match="expected a thermal camera to be an infrared one"):
        draw_camera(SEED, "train", 1, infrared=False, thermal=True)


def test_thermal_camera_sees_no_dyes_and_what_is_bare_outshines_what_is_worn(studio: Studio) -> None:
    seen = camera(True, thermal=True)
    figure = studio.figure(4)
    dyed = replace(
        figure,
        materials=tuple(
            replace(m, colour=(0.9, 0.1, 0.1), nir=0.05, second=(0.0, 0.0, 0.0), nir_second=0.8)
            for m in figure.materials
        ),
    )
    cold = replace(figure, materials=tuple(replace(m, warmth=0.0) for m in figure.materials))
    view = seen.window((0, 0, seen.width_px, seen.height_px), 0.25)
    actual, other, chilled = (
        studio.draw(view, seen, [standing(studio, one, 0.0, seen.target[0])]) for one in (figure, dyed, cold)
    )
    on = actual.owners == 1
    np.testing.assert_allclose(actual.radiance[on], other.radiance[on], atol=2e-3)
    assert actual.radiance[on].mean() > chilled.radiance[on].mean() + 0.05
    skin, upper, *_, bag = (m.warmth for m in figure.materials[:7])
    assert skin > upper > bag > 0


def test_bolometers_columns_stay_and_its_noise_does_not() -> None:
    sensor = replace(
        draw_thermal_sensor(np.random.default_rng(1)), pitch_px=1.0, noise=0.0, stripes=0.05, black_hot=False
    )
    scene = np.tile(np.linspace(0.2, 0.8, 64, dtype=np.float32)[:, None, None], (1, 32, 3))

    def developed(own: ThermalSensor, seed: int) -> NDArray[np.int64]:
        return develop(scene, (32, 64), own, (0, 0), (0, 0), np.random.default_rng(seed)).astype(int)

    np.testing.assert_array_equal(developed(sensor, 1), developed(sensor, 2))
    assert developed(sensor, 1)[32, :, 0].std() > 1
    noisy = replace(sensor, noise=0.05)
    assert (developed(noisy, 1) != developed(noisy, 2)).any()
    warm_is_dark = developed(replace(sensor, black_hot=True), 1).mean(axis=(1, 2))
    assert warm_is_dark[0] > warm_is_dark[-1]


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
