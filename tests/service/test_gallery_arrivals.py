"""What came into the gallery since an answer was made."""

from __future__ import annotations

import pytest

from models.types import Modality
from service.gallery import Arrivals, Gallery, GalleryFilter, keys
from service.gallery.feed import Feed
from tests.support.tracklets import BEGIN, record, tracklet_id


@pytest.fixture
def client(redis_server):
    return redis_server.client()


@pytest.fixture
def gallery(client) -> Gallery:
    return Gallery(client)


@pytest.fixture
def arrivals(client, gallery: Gallery) -> Arrivals:
    return Arrivals(client, gallery)


def test_nothing_happened(client, gallery: Gallery, arrivals: Arrivals) -> None:
    assert not arrivals.since("0-0", GalleryFilter()).any
    gallery.put(record(1))
    assert not arrivals.since(Feed(client).position(), GalleryFilter()).any


def test_new_and_revised_are_told_apart(client, gallery: Gallery, arrivals: Arrivals) -> None:
    gallery.put_many([record(1), record(2)])
    position = Feed(client).position()
    gallery.put_many([record(2, revision=2), record(3), record(3, revision=2), record(4)])
    gallery.delete([tracklet_id(1), tracklet_id(4)])
    found = arrivals.since(position, GalleryFilter())
    assert (found.new, found.revised, found.exact) == ({tracklet_id(3)}, {tracklet_id(2)}, True)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (GalleryFilter(), {1, 2, 3}),
        (GalleryFilter(cameras=frozenset({"yard"})), {2}),
        (GalleryFilter(cameras=frozenset()), set()),
        (GalleryFilter(exclude_cameras=frozenset({"yard"})), {1, 3}),
        (GalleryFilter(modality=Modality.INFRARED), {3}),
        (GalleryFilter(until=BEGIN), set()),
        (GalleryFilter(exclude_ids=frozenset({tracklet_id(1)})), {2, 3}),
    ],
)
def test_only_what_passes_the_filter_counts(
    gallery: Gallery, arrivals: Arrivals, filters: GalleryFilter, expected: set[int]
) -> None:
    gallery.put_many([record(1), record(2, camera="yard"), record(3, modality=Modality.INFRARED)])
    assert arrivals.since("0-0", filters).new == {tracklet_id(n) for n in expected}


def test_what_is_not_known_any_more_is_said(client, gallery: Gallery, arrivals: Arrivals) -> None:
    gallery.put_many([record(n) for n in range(3)])
    position = Feed(client).position()
    gallery.put_many([record(n) for n in range(3, 6)])
    client.xtrim(keys.CHANGES, maxlen=1, approximate=False)
    trimmed = arrivals.since(position, GalleryFilter())
    assert (trimmed.any, trimmed.new) == (True, None)
    ahead = arrivals.since("99999999999999-0", GalleryFilter())
    assert (ahead.any, ahead.new) == (True, None)


def test_many_changes_are_a_lower_bound(gallery: Gallery, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.gallery.arrivals.LOOKED_AT", 3)
    gallery.put_many([record(n) for n in range(5)])
    found = arrivals.since("0-0", GalleryFilter())
    assert found.new is not None
    assert (len(found.new), found.exact) == (3, False)
