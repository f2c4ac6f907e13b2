"""Ranking with several lights at once, and by neighbours, over an index of known vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pytest
from support.api_world import CALIBRATION, DIM, EVERYTHING, MODEL_HASH, START
from ulid import ULID

from models.calibration import Calibration
from models.evaluation.rerank import k_reciprocal
from models.types import Modality
from pipeline.types import FloatArray
from service.gallery import GalleryFilter, TrackletRecord, VectorIndex
from service.gallery.rows import IndexRow
from service.ranking import NEIGHBOURS, Match, Ranker, SearchError, light_queries

DAY, NIGHT = Modality.VISIBLE, Modality.INFRARED


@dataclass
class Records:
    """Stands for the gallery: records by id, without a server."""

    known: dict[str, TrackletRecord]
    read: list[int] = field(default_factory=list)  # how many, each time

    def get_many(self, ids: Sequence[str]) -> dict[str, TrackletRecord]:
        self.read.append(len(ids))
        return {one: self.known[one] for one in ids if one in self.known}


def _record(number: int, vector: FloatArray, light: Modality) -> TrackletRecord:
    started = START + timedelta(minutes=number)
    return TrackletRecord(
        id=str(ULID.from_datetime(started)),
        revision=1,
        camera_id="gate",
        track_id=number,
        modality=light,
        started_at=started,
        ended_at=started,
        closed=True,
        frame_count=1,
        quality=1.0,
        model_hash=MODEL_HASH,
        vector=vector.astype(np.float16).astype(np.float32),
    )


@pytest.fixture(scope="module")
def records() -> list[TrackletRecord]:
    """Ten people, day and night, six sightings each."""
    rng = np.random.default_rng(3)
    people = rng.normal(size=(10, DIM))
    made = []
    for number in range(120):
        vector = people[number % 10] + rng.normal(scale=0.7, size=DIM)
        made.append(_record(number, vector / np.linalg.norm(vector), (DAY, NIGHT)[number // 10 % 2]))
    return made


def _ranker(records: list[TrackletRecord], calibration: Calibration | None, gallery: Records | None = None) -> Ranker:
    index = VectorIndex(DIM, MODEL_HASH)
    index.upsert(
        [
            IndexRow(r.id, 1, r.camera_id, r.modality, 0, 1, r.model_hash, r.vector.astype("<f2").tobytes())
            for r in records
        ]
    )
    return Ranker(gallery or Records({r.id: r for r in records}), index, calibration)  # type: ignore[arg-type]


def _ask(records: list[TrackletRecord], examples: list[int], k: int, **options: object) -> list[Match]:
    chosen = [records[at] for at in examples]
    queries = light_queries([r.vector for r in chosen], [r.modality for r in chosen])
    filters = GalleryFilter(exclude_ids=frozenset(r.id for r in chosen))
    return _ranker(records, CALIBRATION).ranked(queries, k, filters, EVERYTHING, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [1, 7, 50, 1000])
def test_examples_of_both_lights_are_two_queries_and_the_likelier_counts(records: list[TrackletRecord], k: int) -> None:
    examples = [0, 20, 10, 30]  # one person: twice by day, twice by night
    found = _ask(records, examples, k)
    means = {DAY: (records[0], records[20]), NIGHT: (records[10], records[30])}
    plain = []
    for record in (r for at, r in enumerate(records) if at not in examples):
        best = -np.inf
        for light, some in means.items():
            mean = np.sum([r.vector / np.linalg.norm(r.vector) for r in some], axis=0)
            cosine = float(mean @ record.vector / np.linalg.norm(mean))
            curve = CALIBRATION.of(light, record.modality)
            assert curve is not None
            best = max(best, curve.log_odds(cosine))
        plain.append((best, record.id))
    plain.sort(reverse=True)
    assert [m.record.id for m in found] == [one for _, one in plain[:k]]


def test_a_probability_is_that_of_its_own_pair(records: list[TrackletRecord]) -> None:
    curves = {
        "VV": CALIBRATION.visible_visible,
        "II": CALIBRATION.infrared_infrared,
        "VI": CALIBRATION.visible_infrared,
    }
    for match in _ask(records, [0, 10], 1000):
        curve = curves[match.pair]
        assert curve is not None
        assert match.probability == pytest.approx(curve.probability(match.cosine), abs=1e-6)


def test_by_neighbours_the_order_changes_and_the_figures_do_not(records: list[TrackletRecord]) -> None:
    plain, reranked = _ask(records, [0], 1000), _ask(records, [0], 1000, rerank=True)
    figures = {m.record.id: (m.cosine, m.probability, m.pair) for m in plain}
    assert {m.record.id: (m.cosine, m.probability, m.pair) for m in reranked} == figures
    assert [m.record.id for m in plain] != [m.record.id for m in reranked]
    distances = k_reciprocal(records[0].vector[None], np.stack([m.record.vector for m in plain]), NEIGHBOURS)[0]
    expected = [plain[at].record.id for at in np.argsort(distances, kind="stable")]
    assert [m.record.id for m in reranked] == expected
    assert [m.rank for m in reranked] == list(range(1, 120))


def test_by_neighbours_a_short_answer_is_cut_from_the_long_one(records: list[TrackletRecord]) -> None:
    long = _ask(records, [0], 1000, rerank=True)
    assert [m.record.id for m in _ask(records, [0], 5, rerank=True)] == [m.record.id for m in long[:5]]
    assert len(_ask(records[:2], [0], 5, rerank=True)) == 1


def test_what_is_left_out_makes_no_gap(records: list[TrackletRecord]) -> None:
    found = _ask(records, [0], 1000, left_out=lambda record: record.track_id % 2 == 0)
    assert [m.rank for m in found] == list(range(1, len(found) + 1))
    assert all(m.record.track_id % 2 for m in found)


def test_opposite_examples_of_one_light_are_no_query(records: list[TrackletRecord]) -> None:
    vector = records[0].vector
    with pytest.raises(SearchError, match="opposite"):
        light_queries([vector, -vector], [DAY, DAY])
    assert len(light_queries([vector, -vector], [DAY, NIGHT])) == 2


def test_no_more_records_are_read_than_are_answered(records: list[TrackletRecord]) -> None:
    """Though each light was searched as deep; what is left out, or erased meanwhile, is made up for."""
    gallery = Records({r.id: r for r in records})
    queries = light_queries([r.vector for r in records[:1]], [DAY])
    ranker = _ranker(records, CALIBRATION, gallery)
    every = ranker.ranked(queries, 120, GalleryFilter(), EVERYTHING)
    assert {match.record.modality for match in every[:30]} == {DAY, NIGHT}
    gallery.read.clear()
    assert ranker.ranked(queries, 30, GalleryFilter(), EVERYTHING) == every[:30]
    assert gallery.read == [30]
    gallery.read.clear()
    del gallery.known[every[0].record.id]
    away = {match.record.id for match in every[1:6]}
    others = ranker.ranked(queries, 30, GalleryFilter(), EVERYTHING, left_out=lambda r: r.id in away)
    assert [match.record for match in others] == [match.record for match in every[6:36]]
    assert gallery.read == [30, 16]
