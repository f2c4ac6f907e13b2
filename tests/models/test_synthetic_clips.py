"""The filmed world: plans, walks, pictures and their truth, and what lies on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.synthetic import archive, model

from models.data.samples import DataError
from models.synthetic.cameras import at_night
from models.synthetic.clip_files import ClipWorld, read_clips, read_truth
from models.synthetic.clip_plan import RAMP_S, ClipOptions, Visit, plan_cameras, plan_visits
from models.synthetic.clip_walk import Walk
from models.synthetic.clips import camera_of, render_clips
from models.synthetic.crops import Studio
from models.synthetic.film import Film
from models.synthetic.renderer import Light
from models.synthetic.sensor import develop
from models.types import Modality

SMALL = ClipOptions(people=2, visible=1, infrared=0, switching=1, seconds=2, fps=2, height_px=108, seed=4)
PEOPLE = ClipOptions(people=30, visible=3, infrared=2, switching=2, seconds=60)
WAYS = [12.0, 8.0, 15.0, 9.0, 11.0, 7.0, 10.0]
SPEEDS = {person: 0.8 + 0.02 * person for person in range(1, 31)}


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(model(), 4)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ClipWorld:
    return render_clips(tmp_path_factory.mktemp("clips") / "world", SMALL, archive())


def lasts_s(visit: Visit, way_m: float) -> float:
    return way_m / SPEEDS[visit.beside or visit.person] + visit.pauses_s + 2 * RAMP_S


@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_at_two_places_at_once(seed: int) -> None:
    options = replace(PEOPLE, seed=seed)
    visits = plan_visits(options, WAYS, SPEEDS)
    company = 0
    for kind in ("visible", "infrared", "switching"):
        for person in SPEEDS:
            times = sorted(
                (visit.begins_s, visit.begins_s + lasts_s(visit, way_m))
                for camera, own, way_m in zip(plan_cameras(options), visits, WAYS, strict=True)
                for visit in own
                if camera.kind == kind and visit.person == person
            )
            assert len(times) == {"visible": 3, "infrared": 2, "switching": 4}[kind]
            assert all(one[1] < other[0] for one, other in pairwise(times))
    for own in visits:
        company += sum(visit.beside is not None for visit in own)
    assert company, "some walk side by side"


def test_a_plan_depends_on_its_seed_alone() -> None:
    assert plan_visits(PEOPLE, WAYS, SPEEDS) == plan_visits(PEOPLE, WAYS, SPEEDS)
    assert plan_visits(PEOPLE, WAYS, SPEEDS) != plan_visits(replace(PEOPLE, seed=1), WAYS, SPEEDS)
    with pytest.raises(ValueError, match="way_m: expected 7 lengths, got 1"):
        plan_visits(PEOPLE, [3.0], SPEEDS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"people": 0}, "people: expected 1 or more"),
        ({"visible": 0, "infrared": 0, "switching": 0}, "at least one camera"),
        ({"seconds": 0.5}, "seconds: expected 1 to 3600"),
        ({"height_px": 107}, "an even number"),
        ({"part": "../up"}, "letters and digits"),
    ],
)
def test_options_that_make_no_film_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ClipOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("beside", [None, 2])
@pytest.mark.parametrize("pauses_s", [0.0, 3.0])
def test_a_walk_is_smooth_and_ends_where_it_should(studio: Studio, pauses_s: float, beside: int | None) -> None:
    visit = Visit(1, 2.0, True, 0.6, 0.25, 6.0, 0.3, 0.4, pauses_s, beside)
    walk = Walk(visit, studio.figure(1), -3.0, 9.0, 1.5, 1.2, "swing")
    times = np.arange(visit.begins_s, walk.ends_s, 0.05)
    places = np.array([walk.place(float(t)) for t in times])
    steps = np.hypot(*np.diff(places[:, :2], axis=0).T) / 0.05
    assert steps.max() < 1.2 * 1.2, "never faster than walking"
    assert np.abs(np.diff(steps)).max() < 0.35, "nobody jerks"
    assert (steps < 0.05).sum() * 0.05 == pytest.approx(pauses_s, abs=0.4)
    assert places[0, 1] == pytest.approx(-3.0)
    assert places[-1, 1] == pytest.approx(9.0, abs=0.8)
    assert np.abs(places[:, 0]).max() < 1.5 + 0.7
    moving = steps > 0.5
    ways = np.arctan2(np.diff(places[:, 0]), np.diff(places[:, 1]))
    assert np.abs(ways - places[1:, 2])[moving].max() < 0.1, "people look where they go"
    standing = walk.actor(model(), 2.0 + 0.4 * 12 / 1.2 + RAMP_S + 1.0)
    assert standing.points.shape == studio.figure(1).points.shape


@pytest.mark.parametrize("infrared", [False, True])
def test_a_picture_is_the_one_that_drawing_everything_gives(studio: Studio, infrared: bool) -> None:
    options = replace(SMALL, height_px=216)
    camera = camera_of(options, plan_cameras(options)[0])
    camera = at_night(camera, options.seed) if infrared else camera
    people = [
        Walk(Visit(1, 0.0, True, 0.2, 0.1, 6, 0, 0, 0), studio.figure(1), 0.0, 9.0, 1.5, 1.2, "swing"),
        Walk(Visit(2, 0.0, False, -0.3, 0.1, 6, 0, 0, 0), studio.figure(2), 2.0, -5.0, 1.5, 1.2, "swing"),
    ]
    actors = [walk.actor(model(), 0.5) for walk in people]
    picture, owners, seen = Film(studio.renderer, camera).picture(actors, np.random.default_rng(0))
    whole = (0, 0, camera.width_px, camera.height_px)
    light = replace(camera.light, shadows=False) if isinstance(camera.light, Light) else camera.light
    drawn = studio.renderer.draw(camera.window(whole, 1.5), camera.scene.scenery, actors, light)
    expected = develop(
        drawn.radiance, whole[2:], camera.sensor, (0.0, 0.0), (0.0, 0.0), np.random.default_rng(0)
    ).astype(int)
    off = np.abs(picture.astype(int) - expected).max(axis=2)
    assert (off > 6).mean() < 0.01, "nothing but far shadows and rounded edges differs"
    assert [one.number for one in seen] == [0, 1]
    for one in seen:
        rows, columns = np.nonzero(owners == one.number + 1)
        x1, y1, x2, y2 = one.box
        assert columns.min() >= x1 - 2
        assert columns.max() <= x2 + 2
        assert rows.min() >= y1 - 2
        assert rows.max() <= y2 + 2
        if one.visibility > 0.9:
            assert columns.max() - columns.min() > 0.8 * (x2 - x1)
            assert rows.max() - rows.min() > 0.9 * (y2 - y1)


def test_who_stands_behind_somebody_is_seen_less(studio: Studio) -> None:
    options = replace(SMALL, height_px=216)
    camera = camera_of(options, plan_cameras(options)[0])
    to_camera = np.array([camera.place[0], camera.place[2]]) - np.array([0.0, 0.0])
    ahead = to_camera / np.linalg.norm(to_camera) * 0.9

    def stands(person: int, x: float, z: float) -> object:
        walk = Walk(Visit(person, 0.0, True, 0.0, 0.0, 6, 0, 0, 0), studio.figure(person), z, z + 9, 1.5, 1.2, "swing")
        return replace(walk.actor(model(), 0.0), place=(x, z))

    film = Film(studio.renderer, camera)
    hidden = [stands(1, 0.0, 0.0), stands(2, float(ahead[0]), float(ahead[1]))]
    apart = [stands(1, 0.0, 0.0), stands(2, 1.2, 0.0)]
    shares = [film.picture(actors, np.random.default_rng(0))[2][0].visibility for actors in (hidden, apart)]  # type: ignore[arg-type]
    assert shares[0] < 0.7 < 0.9 < shares[1]


def test_films_are_read_back(world: ClipWorld) -> None:
    day, dusk = world.cameras
    assert [light for light, _ in dusk.modalities] == [Modality.VISIBLE, Modality.INFRARED]
    assert (day.frames, day.width_px, day.height_px, day.starts_at.tzinfo is not None) == (4, 192, 108, True)
    assert dusk.modality_at(1) is Modality.VISIBLE
    assert dusk.modality_at(2) is Modality.INFRARED
    truths = [read_truth(camera) for camera in world.cameras]
    assert sum(len(truth.frame) for truth in truths) > 0
    for truth in truths:
        assert set(truth.identity.tolist()) <= {1, 2}
        assert (truth.boxes[:, 2:] > truth.boxes[:, :2]).all()
        assert (truth.boxes[:, [0, 1]] >= 0).all()


def test_a_broken_off_run_is_completed_and_gives_the_same_truth(world: ClipWorld) -> None:
    day, dusk = world.cameras
    before = dusk.truth.read_text()
    kept = day.video.stat().st_mtime_ns
    dusk.truth.unlink()
    with pytest.raises(DataError, match=r"dusk-1.txt: is not there"):
        read_clips(world.root)
    render_clips(world.root, SMALL, archive())
    assert dusk.truth.read_text() == before
    assert day.video.stat().st_mtime_ns == kept
    with pytest.raises(DataError, match="filmed with other options"):
        render_clips(world.root, replace(SMALL, people=3), archive())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 9}, "filmed world of version 1"),
        ({"cameras": [{}]}, "damaged: KeyError"),
        ({"file": "../day-1.mp4"}, "names of files in the same folder"),
        ({"modalities": [["visible", 2]]}, "ascending first frames"),
        ({"modalities": [["thermal", 0]]}, "damaged"),
        ({"fps": 0}, "at least 1"),
        ({"starts_at": "2026-06-01T15:00:00"}, "a time with its offset"),
    ],
)
def test_a_damaged_world_is_named(world: ClipWorld, change: dict[str, object], words: str, tmp_path: Path) -> None:
    note = json.loads((world.root / "world.json").read_text())
    for key, value in change.items():
        (note if key in note else note["cameras"][0])[key] = value
    (tmp_path / "world.json").write_text(json.dumps(note))
    with pytest.raises(DataError, match=words):
        read_clips(tmp_path)


@pytest.mark.parametrize(
    "line", ["1,2,3", "one,1,0,0,5,5,1,1,1", "9,1,0,0,5,5,1,1,1", "0,1,0,0,5,5,1,1,1", "1,1,nan,0,5,5,1,1,1"]
)
def test_a_damaged_truth_is_named(world: ClipWorld, line: str, tmp_path: Path) -> None:
    (tmp_path / "truth.txt").write_text(line)
    with pytest.raises(DataError, match=r"truth.txt: expected"):
        read_truth(replace(world.cameras[0], truth=tmp_path / "truth.txt"))
