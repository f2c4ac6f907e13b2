"""Tracklets in Redis: each revision once, whatever order they come in; pages that stay right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from models.types import Modality
from service.gallery import Gallery, GalleryFilter, GalleryUnavailable, PutResult, RecordError, keys
from service.gallery.records import CropRef
from tests.support.tracklets import BEGIN, record, tracklet_id

IR = Modality.INFRARED


@pytest.fixture
def client(redis_server):
    return redis_server.client()


@pytest.fixture
def gallery(client) -> Gallery:
    return Gallery(client)


def test_a_record_comes_back_as_it_was(gallery: Gallery) -> None:
    crop = CropRef("hall/2026-03-01/X/a.jpg", (1.5, 2.25, 30.0, 40.0), 0.5, 12.5, BEGIN)
    base = record(1)
    written = replace(base, crops=(crop,), thumbnail="t")
    assert gallery.put(written) is PutResult.STORED
    found = gallery.get(written.id)
    assert found == written
    np.testing.assert_array_equal(found.vector, written.vector)
    np.testing.assert_array_equal(found.vector, found.vector.astype(np.float16))


def test_the_same_tracklet_twice_is_one(gallery: Gallery, client) -> None:
    assert [gallery.put(record(1)) for _ in range(3)] == [PutResult.STORED, PutResult.STALE, PutResult.STALE]
    assert gallery.count() == 1
    assert client.xlen(keys.CHANGES) == 1


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1, 3)])
def test_revisions_in_any_order_leave_the_last(gallery: Gallery, order: tuple[int, ...]) -> None:
    gallery.put_many([record(1, revision=r, lasts_s=10 * r) for r in order])
    found = gallery.get(tracklet_id(1))
    assert found is not None
    assert (found.revision, found.ended_at - found.started_at) == (3, timedelta(seconds=30))


def test_one_bad_apple_does_not_spoil_the_batch(gallery: Gallery, client) -> None:
    client.set(keys.record(tracklet_id(2)), "somebody else's string")
    results = gallery.put_many([record(1), record(2), record(3)])
    assert results == (PutResult.STORED, PutResult.REJECTED, PutResult.STORED)
    assert gallery.count() == 2


def test_a_tracklet_never_changes_its_camera(gallery: Gallery) -> None:
    gallery.put(record(1))
    assert gallery.put(record(1, revision=2, camera="yard")) is PutResult.REJECTED
    assert gallery.put(record(1, revision=2, modality=IR)) is PutResult.REJECTED
    assert gallery.get(tracklet_id(1)).camera_id == "hall"


def test_what_was_erased_does_not_come_back(gallery: Gallery, client) -> None:
    gallery.put_many([record(1), record(2, camera="yard")])
    assert gallery.delete([tracklet_id(1), tracklet_id(7)]) == 1
    assert gallery.put(record(1, revision=9)) is PutResult.ERASED
    assert gallery.put(record(7)) is PutResult.ERASED
    assert gallery.get(tracklet_id(1)) is None
    assert [r.id for r in gallery.list(GalleryFilter(cameras=frozenset({"hall"}))).records] == []
    assert not client.exists(keys.record(tracklet_id(1)))
    assert gallery.count() == 1


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_cover_everything_once_newest_first(gallery: Gallery, limit: int) -> None:
    # Several begin in the same moment: their order is by id.
    gallery.put_many([record(n, minute=n // 4, camera=f"cam-{n % 3}") for n in range(20)])
    seen, cursor = [], None
    while True:
        page = gallery.list(limit=limit, cursor=cursor)
        seen += [r.track_id for r in page.records]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == list(range(19, -1, -1))


def test_a_page_stays_right_while_the_gallery_changes(gallery: Gallery) -> None:
    gallery.put_many([record(n) for n in range(10)])
    first = gallery.list(limit=4)
    gallery.put_many([record(n) for n in range(10, 15)])
    gallery.delete([tracklet_id(6), tracklet_id(4)])
    rest = gallery.list(limit=100, cursor=first.cursor)
    assert [r.track_id for r in first.records] == [9, 8, 7, 6]
    assert [r.track_id for r in rest.records] == [5, 3, 2, 1, 0]


def test_more_than_a_chunk_in_one_microsecond(gallery: Gallery) -> None:
    gallery.put_many([record(n, minute=0) for n in range(600)])
    seen, cursor = [], None
    while True:
        page = gallery.list(limit=250, cursor=cursor)
        seen += [r.track_id for r in page.records]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == list(range(599, -1, -1))


FILTERS = {
    "all": GalleryFilter(),
    "camera": GalleryFilter(cameras=frozenset({"cam-1"})),
    "cameras": GalleryFilter(cameras=frozenset({"cam-0", "cam-2", "unknown"})),
    "no camera": GalleryFilter(cameras=frozenset()),
    "infrared": GalleryFilter(modality=IR),
    "not a camera": GalleryFilter(exclude_cameras=frozenset({"cam-1"})),
    "window": GalleryFilter(since=BEGIN + timedelta(minutes=8), until=BEGIN + timedelta(minutes=12)),
    "since": GalleryFilter(since=BEGIN + timedelta(minutes=12.2)),
    "until": GalleryFilter(until=BEGIN + timedelta(minutes=12.2)),
    "mixed": GalleryFilter(
        cameras=frozenset({"cam-0", "cam-1"}),
        modality=IR,
        since=BEGIN + timedelta(minutes=5),
        exclude_ids=frozenset({tracklet_id(19)}),
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_agree_with_looking_at_every_record(gallery: Gallery, name: str) -> None:
    everything = [
        record(
            n, camera=f"cam-{n % 3}", modality=IR if n % 2 else Modality.VISIBLE, lasts_s=400.0 if n % 5 == 0 else 20.0
        )
        for n in range(30)
    ]
    gallery.put_many(everything)
    filters = FILTERS[name]
    wanted = [r.id for r in reversed(everything) if filters.admits(r)]
    assert [r.id for r in gallery.list(filters, limit=1000).records] == wanted
    paged, cursor = [], None
    while True:
        page = gallery.list(filters, limit=2, cursor=cursor)
        paged += [r.id for r in page.records]
        if (cursor := page.cursor) is None:
            break
    assert paged == wanted
    assert gallery.count(filters) == len(wanted)


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "MTIz", "0" * 500, "é", "../../etc", "MS4wMA=="])
def test_a_foreign_cursor_is_refused(gallery: Gallery, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        gallery.list(cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001, 10**9])
def test_a_limit_out_of_range_is_refused(gallery: Gallery, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        gallery.list(limit=limit)


def test_an_inverted_window_and_a_naive_time_are_refused() -> None:
    with pytest.raises(ValueError, match="until >= since"):
        GalleryFilter(since=BEGIN, until=BEGIN - timedelta(seconds=1))
    with pytest.raises(ValueError, match="zone"):
        GalleryFilter(since=BEGIN.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "99"),
        ("schema", None),
        ("revision", "many"),
        ("modality", "ultraviolet"),
        ("started", "9" * 40),
        ("ended", "0"),
        ("crops", "[[1]]"),
        ("crops", "{"),
        ("vector", b"\x00"),
        ("vector", b""),
        ("vector", np.full(16, np.nan, np.float16).tobytes()),
        ("vector", np.zeros(16, np.float16).tobytes()),
        ("camera", b"\xff\xfe"),
        ("camera", "../etc"),
        ("vector", None),
    ],
)
def test_a_poison_record_is_left_out_and_counted(gallery: Gallery, client, field: str, value: object) -> None:
    gallery.put_many([record(n) for n in range(3)])
    name = keys.record(tracklet_id(1))
    if value is None:
        client.hdel(name, field)
    else:
        client.hset(name, field, value)
    assert [r.track_id for r in gallery.list().records] == [2, 0]
    assert gallery.get(tracklet_id(1)) is None
    assert gallery.poison_seen == 2


@pytest.mark.parametrize("bad", ["", "x", "*", tracklet_id(1).lower(), tracklet_id(1) + "\n", "tapetum:cameras"])
def test_an_id_that_is_none_names_nothing(gallery: Gallery, bad: str) -> None:
    assert gallery.get(bad) is None


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(16, np.float32),
        np.full(16, np.nan, np.float32),
        np.full(16, 1e30, np.float32),
        np.ones((2, 2), np.float32),
    ],
)
def test_a_record_without_direction_cannot_be_made(vector: np.ndarray) -> None:
    with pytest.raises(RecordError, match="vector"):
        record(1, vector=vector)


def test_out_of_memory_is_said_leaves_no_half_and_passes(mortal_server) -> None:
    client = mortal_server.client()
    gallery = Gallery(client)
    gallery.put(record(1))
    client.config_set("maxmemory", "1")
    with pytest.raises(GalleryUnavailable, match="memory"):
        gallery.put_many([record(n) for n in range(2, 5)])
    assert gallery.get(tracklet_id(1)) is not None
    assert {r.track_id for r in gallery.list().records} == {1}
    client.config_set("maxmemory", "0")
    assert gallery.put(record(2)) is PutResult.STORED


def test_a_read_only_replica_is_said_and_passes(mortal_server) -> None:
    client = mortal_server.client()
    gallery = Gallery(client)
    gallery.put(record(1))
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(GalleryUnavailable, match=r"(?i)read.?only"):
        gallery.put(record(2))
    assert gallery.get(tracklet_id(1)) is not None
    client.execute_command("REPLICAOF", "NO", "ONE")
    assert gallery.put(record(2)) is PutResult.STORED


def test_a_dead_server_is_said_and_the_same_gallery_goes_on(mortal_server) -> None:
    gallery = Gallery(mortal_server.client())
    gallery.put(record(1))
    mortal_server.kill()
    for call in (lambda: gallery.put(record(2)), lambda: gallery.get(tracklet_id(1)), gallery.list, gallery.count):
        with pytest.raises(GalleryUnavailable):
            call()
    mortal_server.start()
    assert gallery.put(record(2)) is PutResult.STORED  # the server forgot the scripts
    assert gallery.count() == 2
