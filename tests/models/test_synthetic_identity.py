"""People by seed: the same on every draw, dressed like a street, infrared not to be guessed from colour."""

from __future__ import annotations

import numpy as np
import pytest

from models.synthetic.identity import Identity, draw_identity
from models.synthetic.materials import Pattern, luminance
from models.synthetic.reid_plan import ReidOptions, passages, split

PEOPLE = [draw_identity(3, number) for number in range(1, 701)]


def clothes(person: Identity) -> list[tuple[float, float]]:
    """Luminance and infrared reflectance of upper and lower garment."""
    return [(luminance(m.colour), m.nir) for m in (person.outfit.upper_cloth, person.outfit.lower_cloth)]


def test_same_seed_and_number_give_the_same_person() -> None:
    assert [draw_identity(3, number) for number in range(1, 20)] == PEOPLE[:19]


def test_another_seed_or_number_gives_another_person() -> None:
    assert draw_identity(4, 1) != PEOPLE[0]
    assert len({person.shape for person in PEOPLE}) == len(PEOPLE)
    assert len({person.gait for person in PEOPLE}) == len(PEOPLE)


def test_infrared_reflectance_says_next_to_nothing_about_colour() -> None:
    pairs = np.array([pair for person in PEOPLE for pair in clothes(person)])
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.25
    dark = pairs[pairs[:, 0] < 0.03]
    assert (dark[:, 1] > 0.4).mean() > 0.5  # most black cloth is bright to an infrared camera
    assert (pairs[:, 1] < 0.2).mean() > 0.05  # and some is not


def test_skin_is_as_bright_in_infrared_whatever_its_tone() -> None:
    tones = np.array([(luminance(person.skin.colour), person.skin.nir) for person in PEOPLE])
    assert np.ptp(tones[:, 0]) > 0.25
    assert tones[:, 1].min() >= 0.5
    assert tones[:, 1].max() <= 0.58


def test_most_prints_fade_in_infrared() -> None:
    prints = (Pattern.CHEST_PRINT, Pattern.BACK_PRINT, Pattern.STRIPES, Pattern.CHECKS)
    cloths = [p.outfit.upper_cloth for p in PEOPLE if p.outfit.upper_cloth.pattern in prints]
    seen = np.array([abs(luminance(m.second) - luminance(m.colour)) for m in cloths])
    left = np.array([abs(m.nir_second - m.nir) for m in cloths])
    strong = seen > 0.2
    assert strong.sum() > 20
    assert (left[strong] < 0.35 * seen[strong]).mean() > 0.6


def test_a_street_is_dark_and_grey() -> None:
    uppers = np.array([person.outfit.upper_cloth.colour for person in PEOPLE])
    lightness = uppers @ [0.2126, 0.7152, 0.0722]
    assert 0.4 < (lightness < 0.06).mean() < 0.8
    chroma = uppers.max(axis=1) - uppers.min(axis=1)
    assert (chroma > 0.3).mean() < 0.12


def test_look_alikes_are_common() -> None:
    shared: dict[tuple[object, ...], int] = {}
    for person in PEOPLE:
        key = (person.outfit.upper, person.outfit.upper_cloth.colour, person.outfit.lower_cloth.colour)
        shared[key] = shared.get(key, 0) + 1
    same = sum(count for count in shared.values() if count > 1)
    assert 0.1 < same / len(PEOPLE) < 0.35


def test_parts_share_nobody_and_cover_everybody() -> None:
    options = ReidOptions(100, seed=5)
    parts = split(options)
    together = [number for people in parts.values() for number in people]
    assert sorted(together) == list(range(1, 101))
    assert {part: len(people) for part, people in parts.items()} == {"test": 25, "val": 10, "train": 65}
    assert split(options) == parts
    assert split(ReidOptions(100, seed=6)) != parts


def test_person_passes_different_cameras_of_both_kinds_among_people_of_the_part() -> None:
    options = ReidOptions(40, views=3)
    parts = split(options)
    for part, people in parts.items():
        for number in people:
            found = passages(options, part, number, people)
            assert [p.infrared for p in found] == [False] * 3 + [True] * 3
            assert len({p.filed_under for p in found}) == 6
            assert all(set(p.others) <= set(people) - {number} for p in found)


def test_sysu_layout_files_infrared_under_cameras_three_and_six() -> None:
    options = ReidOptions(10, layout="sysu-mm01", views=6)
    found = passages(options, "train", 1, tuple(range(1, 11)))
    assert [p.filed_under for p in found if not p.infrared] == [1, 2, 4, 5]
    assert [p.filed_under for p in found if p.infrared] == [3, 6]


@pytest.mark.parametrize(("people", "share"), [(2, 0.9), (20, 0.98), (3, 0.01)])
def test_nobody_is_both_tested_and_learned(people: int, share: float) -> None:
    parts = split(ReidOptions(people, test_share=share, validation_share=0.0))
    everybody = [number for part in parts.values() for number in part]
    assert sorted(everybody) == list(range(1, people + 1))
    assert parts["test"]
    assert parts["train"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"identities": 1}, "identities: expected 2"),
        ({"layout": "mars"}, "layout: expected one of hitsz-vcm, sysu-mm01, got 'mars'"),
        ({"views": 20}, "views: expected at most"),
        ({"frames": 0}, "frames: expected 1"),
        ({"seconds": 0.0}, "seconds: expected more"),
        ({"test_share": 0.7, "validation_share": 0.4}, "sum below 1"),
        ({"test_share": 0.0}, "test_share: expected above 0"),
        ({"test_share": 1.0}, "and below 1, got 1.0"),
        ({"thermal_cameras": -1}, "thermal_cameras: expected 0 to"),
        ({"validation_share": 1.0}, "validation_share: expected 0 to 1"),
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ReidOptions(**{"identities": 10, **wrong})  # type: ignore[arg-type]
