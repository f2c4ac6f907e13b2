"""The index answers exactly as a plain loop over all records would, through every change."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import numpy as np
import pytest

from models.types import Modality
from pipeline.sealing import PLAIN
from service.gallery import Gallery, GalleryFilter, IndexFollower, TrackletRecord, VectorIndex, keys
from service.gallery.records import to_microseconds
from service.gallery.rows import IndexRow
from tests.support.tracklets import BEGIN, DIMENSION, MODEL, record, tracklet_id, unit_vector

IR = Modality.INFRARED


def row(made: TrackletRecord) -> IndexRow:
    return IndexRow(
        made.id,
        made.revision,
        made.camera_id,
        made.modality,
        to_microseconds(made.started_at),
        to_microseconds(made.ended_at),
        made.model_hash,
        made.vector.astype("<f2").tobytes(),
    )


def plain_search(records: list[TrackletRecord], query: np.ndarray, k: int, filters: GalleryFilter) -> list[str]:
    query = query / np.linalg.norm(query)
    scored = [(-float(r.vector.astype(np.float64) @ query), r.id) for r in records if filters.admits(r)]
    return [one for _, one in sorted(scored)[:k]]


def make(count: int, begin: int = 0, **kwargs) -> list[TrackletRecord]:
    return [
        record(n, camera=f"cam-{n % 7}", modality=IR if n % 3 else Modality.VISIBLE, minute=n / 10, **kwargs)
        for n in range(begin, begin + count)
    ]


FILTERS = [
    GalleryFilter(),
    GalleryFilter(cameras=frozenset({"cam-3"})),
    GalleryFilter(cameras=frozenset({"nowhere"})),
    GalleryFilter(cameras=frozenset()),
    GalleryFilter(exclude_cameras=frozenset({"cam-0", "cam-1"})),
    GalleryFilter(modality=Modality.VISIBLE),
    GalleryFilter(since=BEGIN + timedelta(minutes=20), until=BEGIN + timedelta(minutes=21)),
    GalleryFilter(exclude_ids=frozenset(tracklet_id(n) for n in range(0, 300, 2))),
    GalleryFilter(cameras=frozenset({"cam-1", "cam-2"}), modality=IR, since=BEGIN + timedelta(minutes=30)),
]


@pytest.mark.parametrize("tail_rows", [16, 256, 4096])
@pytest.mark.parametrize("filters", FILTERS, ids=range(len(FILTERS)))
def test_every_filter_is_exact(filters: GalleryFilter, tail_rows: int) -> None:
    records = make(900)
    index = VectorIndex(DIMENSION, MODEL, tail_rows=tail_rows)
    for start in range(0, 900, 75):
        index.upsert([row(r) for r in records[start : start + 75]])
    for seed in range(3):
        query = unit_vector(10_000 + seed) * 3.7
        for k in (1, 10, 1000):
            (hits,) = index.search(query[None], k, filters)
            assert list(hits.ids) == plain_search(records, query, k, filters)
            assert (np.diff(hits.cosines) <= 0).all()


def test_several_queries_at_once_are_like_one_by_one() -> None:
    records = make(500)
    index = VectorIndex(DIMENSION, MODEL, tail_rows=64)
    index.upsert([row(r) for r in records])
    queries = np.stack([unit_vector(n) for n in range(9)])
    together = index.search(queries, 20, GalleryFilter(modality=IR))
    for query, hits in zip(queries, together, strict=True):
        (alone,) = index.search(query[None], 20, GalleryFilter(modality=IR))
        assert hits.ids == alone.ids
        np.testing.assert_allclose(hits.cosines, alone.cosines, atol=1e-6)


def test_through_random_changes_it_stays_exact() -> None:
    random = np.random.default_rng(4)
    index = VectorIndex(DIMENSION, MODEL, tail_rows=32)
    here: dict[str, TrackletRecord] = {}
    for step in range(150):
        changed = []
        for number in random.integers(0, 400, size=int(random.integers(1, 60))).tolist():
            old = here.get(tracklet_id(number))
            new = record(
                number,
                revision=old.revision + 1 if old else 1,
                camera=f"cam-{number % 7}",
                vector=unit_vector(int(random.integers(1 << 30))),
            )
            here[new.id] = new
            changed.append(row(new))
        index.upsert(changed)
        gone = [one for one in here if random.random() < 0.05]
        assert index.remove([*gone, tracklet_id(9999)]) == len(gone)
        for one in gone:
            del here[one]
        assert len(index) == len(here)
        if step % 10 == 0:
            query = unit_vector(step)
            (hits,) = index.search(query[None], 1000)
            assert list(hits.ids) == plain_search(list(here.values()), query, 1000, GalleryFilter())
    stats = index.stats()
    assert stats.rows == len(here)
    assert stats.segments < 20
    assert stats.dead < 3 * stats.rows + 200


def test_an_older_revision_changes_nothing() -> None:
    index = VectorIndex(DIMENSION, MODEL)
    assert index.upsert([row(record(1, revision=2, vector=unit_vector(5)))]) == 1
    generation = index.generation
    assert index.upsert([row(record(1, revision=1)), row(record(1, revision=2))]) == 0
    assert index.generation == generation
    (hits,) = index.search(unit_vector(5)[None], 5)
    assert hits.cosines[0] == pytest.approx(1.0, abs=1e-3)


def test_vectors_of_another_model_are_kept_out_and_counted() -> None:
    index = VectorIndex(DIMENSION, MODEL)
    index.upsert([row(record(1)), row(record(2, model="other"))])
    (hits,) = index.search(unit_vector(2)[None], 10)
    assert hits.ids == (tracklet_id(1),)
    assert (index.stats().rows, index.stats().other_model) == (1, 1)
    index.upsert([row(record(2, revision=2))])  # embedded again
    assert (index.stats().rows, index.stats().other_model) == (2, 0)
    index.upsert([row(record(2, revision=3, model="third"))])
    assert (index.stats().rows, index.stats().other_model) == (1, 1)


@pytest.mark.parametrize(
    "vector", [b"", b"\x00" * 2 * DIMENSION, np.full(DIMENSION, np.inf, "<f2").tobytes(), b"\x01\x02" * (DIMENSION + 1)]
)
def test_a_broken_vector_is_refused_alone(vector: bytes) -> None:
    index = VectorIndex(DIMENSION, MODEL)
    assert index.upsert([row(record(1)), row(record(2))._replace(vector=vector), row(record(3))]) == 2
    assert (index.stats().rows, index.stats().refused) == (2, 1)
    index.upsert([row(record(2, revision=2))])
    assert (index.stats().rows, index.stats().refused) == (3, 0)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((1, DIMENSION + 1), np.float32), "expected shape"),
        (np.ones(DIMENSION, np.float32), "expected shape"),
        (np.ones((0, DIMENSION), np.float32), "expected shape"),
        (np.full((1, DIMENSION), np.nan, np.float32), "finite"),
        (np.full((1, DIMENSION), np.inf, np.float32), "finite"),
        (np.zeros((1, DIMENSION), np.float32), "zero vector"),
    ],
)
def test_a_query_without_direction_is_refused(vectors: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VectorIndex(DIMENSION, MODEL).search(vectors, 5)


@pytest.mark.parametrize("k", [0, -1, 1001, 10**9])
def test_k_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        VectorIndex(DIMENSION, MODEL).search(unit_vector(1)[None], k)


def test_an_empty_index_finds_nothing() -> None:
    (hits,) = VectorIndex(DIMENSION, MODEL).search(unit_vector(1)[None], 5)
    assert len(hits) == 0


def test_searching_while_writing_never_shows_a_tracklet_twice_or_misses_a_steady_one() -> None:
    index = VectorIndex(DIMENSION, MODEL, tail_rows=32)
    steady = {tracklet_id(n) for n in range(200)}
    index.upsert([row(record(n)) for n in range(400)])
    stop, errors = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            ids = index.search(unit_vector(1)[None], 1000)[0].ids
            if len(set(ids)) != len(ids) or not steady <= set(ids):
                errors.append(len(ids))

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for revision in range(2, 30):
        index.upsert([row(record(n, revision=revision)) for n in range(400)])
        index.remove([tracklet_id(n) for n in range(300, 400)])
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []


# -- following Redis -----------------------------------------------------------------------------


def until(condition, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


@pytest.fixture
def follow():
    followers = []

    def start(client) -> IndexFollower:
        follower = IndexFollower(client, VectorIndex(DIMENSION, MODEL, tail_rows=64))
        followers.append(follower)
        follower.start()
        assert follower.wait_ready(10)
        return follower

    yield start
    for follower in followers:
        follower.stop()


def found(follower: IndexFollower) -> set[str]:
    return set(follower.index.search(unit_vector(0)[None], 1000)[0].ids)


def test_snapshot_then_changes(redis_server, follow) -> None:
    gallery = Gallery(redis_server.client())
    gallery.put_many(make(300))
    follower = follow(redis_server.client())
    assert len(found(follower)) == 300
    gallery.put_many(make(50, begin=300))
    gallery.put(record(5, revision=2, camera="cam-5", modality=IR, vector=unit_vector(777)))
    gallery.delete([tracklet_id(7)])
    until(lambda: tracklet_id(349) in follower.index and tracklet_id(7) not in follower.index)
    until(lambda: follower.index.search(unit_vector(777)[None], 1)[0].ids == (tracklet_id(5),))
    assert follower.stats().resyncs == 1


def test_it_starts_before_the_first_tracklet(redis_server, follow) -> None:
    follower = follow(redis_server.client())
    Gallery(redis_server.client()).put(record(1))
    until(lambda: tracklet_id(1) in follower.index)
    assert follower.stats().resyncs == 1


def test_a_poison_record_is_kept_out_and_counted(redis_server, follow) -> None:
    client = redis_server.client()
    gallery = Gallery(client)
    gallery.put_many(make(10))
    client.hset(keys.record(tracklet_id(3)), "started", "yesterday")
    client.delete(keys.record(tracklet_id(4)))
    client.delete(keys.record(tracklet_id(5)))
    client.set(keys.record(tracklet_id(5)), "not a hash")
    follower = follow(redis_server.client())
    assert found(follower) == {tracklet_id(n) for n in (0, 1, 2, 6, 7, 8, 9)}
    gallery.put(record(20, camera="cam-1"))
    until(lambda: tracklet_id(20) in follower.index)


def test_a_trimmed_stream_leads_to_a_new_snapshot(redis_server, follow, monkeypatch) -> None:
    client = redis_server.client()
    gallery = Gallery(client)
    gallery.put_many(make(10))
    follower = follow(redis_server.client())
    # More at once than the stream keeps, in one transaction, so that the follower cannot keep up.
    with client.pipeline(transaction=True) as pipe:
        pipe.hset(keys.record(tracklet_id(50)), mapping=record(50).to_hash(PLAIN))
        pipe.zadd(keys.ALL, {tracklet_id(50): 1})
        pipe.xadd(keys.CHANGES, {"op": "put", "id": tracklet_id(50)})
        pipe.hset(keys.record(tracklet_id(51)), mapping=record(51).to_hash(PLAIN))
        pipe.zadd(keys.ALL, {tracklet_id(51): 1})
        pipe.xadd(keys.CHANGES, {"op": "put", "id": tracklet_id(51)}, maxlen=1, approximate=False)
        pipe.execute()
    until(lambda: tracklet_id(50) in follower.index and tracklet_id(51) in follower.index)
    assert follower.stats().resyncs == 2


def test_an_emptied_server_empties_the_index(redis_server, follow) -> None:
    client = redis_server.client()
    gallery = Gallery(client)
    gallery.put_many(make(10))
    follower = follow(redis_server.client())
    client.flushall()
    until(lambda: len(follower.index) == 0)
    gallery.put(record(3))
    until(lambda: found(follower) == {tracklet_id(3)})


def test_while_redis_is_dead_it_answers_and_then_catches_up(mortal_server, follow) -> None:
    gallery = Gallery(mortal_server.client())
    gallery.put_many(make(20))
    follower = follow(mortal_server.client())
    mortal_server.kill()
    until(lambda: not follower.stats().connected)
    assert len(found(follower)) == 20
    mortal_server.start()
    gallery.put(record(100))
    until(lambda: len(found(follower)) == 21)
    assert follower.stats().connected


def test_a_server_that_restarts_empty_is_followed(mortal_server, follow) -> None:
    gallery = Gallery(mortal_server.client())
    gallery.put_many(make(20))
    follower = follow(mortal_server.client())
    mortal_server.kill()
    mortal_server.wipe()
    mortal_server.start()
    gallery.put(record(100))
    until(lambda: found(follower) == {tracklet_id(100)})


def test_it_follows_a_server_that_is_out_of_memory(mortal_server, follow) -> None:
    client = mortal_server.client()
    Gallery(client).put_many(make(20))
    client.config_set("maxmemory", "1")
    assert len(found(follow(mortal_server.client()))) == 20
