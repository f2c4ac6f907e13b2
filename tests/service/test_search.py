"""The search itself, over a real index that follows a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from support.api_world import (
    CALIBRATION,
    COLOURS,
    EVERYTHING,
    MODEL_HASH,
    START,
    ColourEmbedder,
    World,
    client_of,
    foreseeable_loaders,
    record_of,
    world_in,
)

from models.calibration import LogisticCalibration
from models.types import Modality
from pipeline.types import FloatArray
from service.gallery import GalleryFilter, TrackletRecord
from service.search import Example, ModelMismatch, Searcher, SearchError, UnknownExample, band, modality_pair


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(calibration=CALIBRATION)
    with world_in(tmp_path_factory.mktemp("search"), loaders=loaders) as world, client_of(world):
        yield world


@pytest.fixture(scope="module")
def records(world: World) -> list[TrackletRecord]:
    """Four colours on three cameras, day and night, and one of another model."""
    made = []
    for number in range(24):
        colour = list(COLOURS)[number % 4]
        light = Modality.INFRARED if number // 4 % 2 else Modality.VISIBLE
        camera = ("gate", "hall", "yard")[number // 8]
        made.append(record_of(world.services.media, colour, number=number + 1, camera=camera, modality=light))
    made.append(record_of(world.services.media, "red", number=99, model_hash="another-model"))
    world.services.gallery.put_many(made)
    deadline = time.monotonic() + 10
    assert world.services.index is not None
    while len(world.services.index) < 24 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(world.services.index) == 24
    return made


def test_ranking_equals_a_plain_loop(world: World, records: list[TrackletRecord]) -> None:
    query = records[0]
    outcome = world.services.require_searcher().search([Example(query.id)], k=1000, access=EVERYTHING)
    unit = {r.id: r.vector / np.linalg.norm(r.vector) for r in records[:24]}
    cosines = {i: float(unit[query.id] @ v) for i, v in unit.items() if i != query.id}
    curves = {r.id: CALIBRATION.of(query.modality, r.modality) for r in records[:24]}
    plain = sorted(cosines, key=lambda i: -curves[i].log_odds(cosines[i]))  # type: ignore[union-attr]
    assert [m.record.id for m in outcome.matches] == plain
    assert [m.cosine for m in outcome.matches] == pytest.approx([cosines[i] for i in plain], abs=2e-3)
    assert [m.rank for m in outcome.matches] == list(range(1, 24))
    assert outcome.gallery_size == 24
    assert outcome.left_out == 1
    first = [records.index(m.record) % 4 for m in outcome.matches[:5]]
    assert first == [0] * 5  # the same colour


@pytest.mark.parametrize(
    "filters",
    [
        GalleryFilter(cameras=frozenset({"hall"})),
        GalleryFilter(exclude_cameras=frozenset({"gate", "yard"})),
        GalleryFilter(modality=Modality.INFRARED),
        GalleryFilter(since=START + timedelta(minutes=10)),
        GalleryFilter(until=START + timedelta(minutes=3)),
        GalleryFilter(cameras=frozenset({"nowhere"})),
        GalleryFilter(cameras=frozenset({"yard"}), modality=Modality.VISIBLE, since=START + timedelta(minutes=20)),
        GalleryFilter(since=START - timedelta(days=36500), until=START + timedelta(days=36500)),
    ],
)
def test_filters_are_exact(world: World, records: list[TrackletRecord], filters: GalleryFilter) -> None:
    outcome = world.services.require_searcher().search([Example(records[0].id)], filters, k=1000, access=EVERYTHING)
    expected = {r.id for r in records[1:24] if filters.admits(r)}
    assert {m.record.id for m in outcome.matches} == expected


def test_the_examples_can_stay_in(world: World, records: list[TrackletRecord]) -> None:
    outcome = world.services.require_searcher().search(
        [Example(records[0].id)], k=1, exclude_examples=False, access=EVERYTHING
    )
    assert outcome.matches[0].record.id == records[0].id
    assert outcome.matches[0].cosine == pytest.approx(1.0, abs=1e-3)


def test_several_examples_are_the_mean_of_their_directions(world: World, records: list[TrackletRecord]) -> None:
    two = [records[0], records[1]]
    outcome = world.services.require_searcher().search([Example(r.id) for r in two], k=1000, access=EVERYTHING)
    units: list[FloatArray] = [r.vector / np.linalg.norm(r.vector) for r in two]
    mean = (units[0] + units[1]) / 2
    mean /= np.linalg.norm(mean)
    for match in outcome.matches:
        vector = match.record.vector / np.linalg.norm(match.record.vector)
        assert match.cosine == pytest.approx(float(mean @ vector), abs=2e-3)
    assert not {r.id for r in two} & {m.record.id for m in outcome.matches}


def test_probabilities_come_from_the_pair_of_modalities(world: World, records: list[TrackletRecord]) -> None:
    outcome = world.services.require_searcher().search([Example(records[0].id)], k=1000, access=EVERYTHING)
    assert {m.pair for m in outcome.matches} == {"VV", "VI"}
    for match in outcome.matches:
        curve = CALIBRATION.of(Modality.VISIBLE, match.record.modality)
        assert curve is not None
        assert match.probability == pytest.approx(curve.probability(match.cosine), abs=1e-6)
        assert match.band == band(match.probability)
    infrared = world.services.require_searcher().search([Example(records[4].id)], k=1000, access=EVERYTHING)
    assert {m.pair for m in infrared.matches} == {"II", "VI"}


def test_lights_are_compared_by_probability_and_not_by_cosine(world: World, records: list[TrackletRecord]) -> None:
    searcher = world.services.require_searcher()
    skewed = Searcher(
        world.services.gallery,
        world.services.index,  # type: ignore[arg-type]
        lambda *_: None,
        replace(CALIBRATION, visible_infrared=LogisticCalibration(12.0, 30.0)),
    )
    for one in (searcher, skewed):
        outcome = one.search([Example(records[0].id)], k=4, access=EVERYTHING)
        probabilities = [m.probability for m in outcome.matches]
        assert probabilities == sorted(probabilities, reverse=True)  # type: ignore[type-var]
    assert {m.pair for m in outcome.matches} == {"VI"}, "the best of night come before what is nearer by day"
    by_day = skewed.search([Example(records[0].id)], GalleryFilter(modality=Modality.VISIBLE), k=4, access=EVERYTHING)
    assert [m.pair for m in by_day.matches] == ["VV"] * 4


@pytest.mark.parametrize("least", [0.0, 0.3, 0.9, 1.0])
def test_a_least_probability_is_kept(world: World, records: list[TrackletRecord], least: float) -> None:
    searcher = world.services.require_searcher()
    everything = searcher.search([Example(records[0].id)], k=1000, access=EVERYTHING).matches
    found = searcher.search([Example(records[0].id)], k=1000, access=EVERYTHING, min_probability=least).matches
    assert [m.record.id for m in found] == [m.record.id for m in everything if m.probability >= least]  # type: ignore[operator]


def test_the_examples_cameras_can_be_left_out(world: World, records: list[TrackletRecord]) -> None:
    examples = [Example(records[0].id), Example(records[8].id)]
    outcome = world.services.require_searcher().search(
        examples, k=1000, access=EVERYTHING, exclude_example_cameras=True
    )
    assert {m.record.camera_id for m in outcome.matches} == {"yard"}


@pytest.mark.parametrize("least", [-0.1, 1.1, float("nan")])
def test_a_probability_is_one(world: World, records: list[TrackletRecord], least: float) -> None:
    with pytest.raises(SearchError, match="min_probability: expected 0 to 1"):
        world.services.require_searcher().search([Example(records[0].id)], access=EVERYTHING, min_probability=least)


def test_a_model_without_probabilities_says_so(world: World, records: list[TrackletRecord]) -> None:
    index = world.services.index
    assert index is not None
    for calibration in (None, replace(CALIBRATION, infrared_infrared=None)):
        bare = Searcher(world.services.gallery, index, lambda *_: None, calibration)
        with pytest.raises(SearchError, match="gives no probabilities"):
            bare.search([Example(records[0].id)], access=EVERYTHING, min_probability=0.5)
    plain = Searcher(world.services.gallery, index, lambda *_: None, None)
    cosines = [m.cosine for m in plain.search([Example(records[0].id)], access=EVERYTHING).matches]
    assert cosines == sorted(cosines, reverse=True)


@pytest.mark.parametrize(("probability", "said"), [(None, None), (0.95, "strong"), (0.5, "possible"), (0.05, "weak")])
def test_bands(probability: float | None, said: str | None) -> None:
    assert band(probability) == said


def test_pairs() -> None:
    day, night = Modality.VISIBLE, Modality.INFRARED
    assert [modality_pair(a, b) for a in (day, night) for b in (day, night)] == ["VV", "VI", "VI", "II"]


def test_another_models_example_is_refused(world: World, records: list[TrackletRecord]) -> None:
    with pytest.raises(ModelMismatch, match=r"another-mode.*“colours, for tests” \(test-model-1\).*reembed"):
        world.services.require_searcher().search([Example(records[-1].id)], access=EVERYTHING)


@pytest.mark.parametrize(
    ("examples", "k", "kind"),
    [
        ([], 5, SearchError),
        ([Example("01K9ZB3Q0V5W1T8R6J2N4M7XCD")] * 21, 5, SearchError),
        ([Example("01K9ZB3Q0V5W1T8R6J2N4M7XCD")], 0, SearchError),
        ([Example("01K9ZB3Q0V5W1T8R6J2N4M7XCD")], 1001, SearchError),
        ([Example("01K9ZB3Q0V5W1T8R6J2N4M7XCD")], 5, UnknownExample),
        ([Example(photo_id="nothing-here")], 5, UnknownExample),
    ],
)
def test_what_cannot_be_searched(
    world: World, records: list[TrackletRecord], examples: list[Example], k: int, kind: type[SearchError]
) -> None:
    with pytest.raises(kind):
        world.services.require_searcher().search(examples, k=k, access=EVERYTHING)


def test_an_example_is_one_thing() -> None:
    for wrong in ({}, {"tracklet_id": "a", "photo_id": "b"}):
        with pytest.raises(SearchError):
            Example(**wrong)


def test_an_erased_sighting_is_not_shown(world: World, records: list[TrackletRecord], tmp_path: Path) -> None:
    gone = record_of(world.services.media, "blue", number=200)
    world.services.gallery.put(gone)
    deadline = time.monotonic() + 10
    assert world.services.index is not None
    while gone.id not in world.services.index and time.monotonic() < deadline:
        time.sleep(0.02)
    world.services.gallery.delete([gone.id])
    outcome = world.services.require_searcher().search([Example(records[2].id)], k=1000, access=EVERYTHING)
    assert gone.id not in {m.record.id for m in outcome.matches}
    assert ColourEmbedder.model_hash == MODEL_HASH
