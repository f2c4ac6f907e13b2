"""The scan of int8 codes leaves nothing out, whatever the vectors are, and erased vectors leave the memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from models.types import Modality
from service.gallery import GalleryFilter, VectorIndex, nearest, rows, sieve
from service.gallery.rows import IndexRow
from service.gallery.scan import Scan, Scanner
from tests.support.tracklets import MODEL, tracklet_id

DIMENSION = 64
COUNT = 6000
IDS = [tracklet_id(n) for n in range(COUNT)]
NUMBERS = {one: n for n, one in enumerate(IDS)}


def index_rows(vectors: np.ndarray, revision: int = 1) -> list[IndexRow]:
    return [
        IndexRow(IDS[n], revision, f"cam-{n % 5}", tuple(Modality)[n % 2], n, n + 8, MODEL, vector.tobytes())
        for n, vector in enumerate(vectors.astype("<f2"))
    ]


def index_of(vectors: np.ndarray) -> VectorIndex:
    index = VectorIndex(DIMENSION, MODEL)
    for start in range(0, COUNT, 5000):  # one segment by itself, and a tail
        index.upsert(index_rows(vectors)[start : start + 5000])
    return index


def random(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((COUNT, DIMENSION))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def spiky() -> np.ndarray:
    """Rows of which one value is so large that the codes leave out nearly all the others."""
    vectors = unit(random()) * 0.1
    vectors[::3, 5] = 1.0
    return vectors


KINDS: dict[str, Callable[[], np.ndarray]] = {
    "random": lambda: unit(random()),
    "persons": lambda: unit(random(1)[np.arange(COUNT) % 200] + 0.5 * random(2)),
    "nearly all alike": lambda: unit(np.ones((COUNT, DIMENSION)) + 0.004 * random()),
    "many times the same": lambda: unit(random()[np.arange(COUNT) % 7]),
    "spiky": spiky,
    "of very different lengths": lambda: unit(random()) * 10.0 ** np.random.default_rng(3).uniform(-4, 3, (COUNT, 1)),
}
ASKED = {
    "everything": (GalleryFilter(), lambda n: True),
    "two cameras": (GalleryFilter(cameras=frozenset({"cam-1", "cam-4"})), lambda n: n % 5 in (1, 4)),
    "infrared elsewhere": (
        GalleryFilter(modality=Modality.INFRARED, exclude_cameras=frozenset({"cam-0"})),
        lambda n: tuple(Modality)[n % 2] is Modality.INFRARED and n % 5,
    ),
}


@pytest.mark.parametrize("products", [sieve._integer_products, sieve._float_products, None])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_out(kind: str, products: sieve.Products | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64 the found are as near as the nearest: equally near ones may change places, no others."""
    monkeypatch.setattr(rows, "exact_products", lambda _: products)
    vectors = KINDS[kind]()
    index = index_of(vectors)
    stored = vectors.astype("<f2").astype(np.float64)
    queries = [*unit(random(9))[:3], unit(vectors[17:18])[0], unit(np.ones((1, DIMENSION)))[0]]
    for filters, admits in ASKED.values():
        numbers = np.array([n for n in range(COUNT) if admits(n)])
        for query in queries:
            truth = stored @ query.astype(np.float32).astype(np.float64)
            for k in (1, 10, 600):
                (hits,) = index.search(query[None].astype(np.float32), k, filters)
                found = np.array([NUMBERS[one] for one in hits.ids])
                assert len(set(found.tolist())) == k
                assert np.isin(found, numbers).all()
                best = np.sort(truth[numbers])[::-1][:k]
                np.testing.assert_allclose(truth[found], best, rtol=2e-6, atol=2e-6 * np.abs(truth).max())


@pytest.mark.parametrize("dimension", [64, 1024])
def test_products_in_floats_are_those_of_integers(dimension: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the rows do not fill the last part, and at both ends of the codes."""
    monkeypatch.setattr(sieve, "_WIDENED_AT_ONCE", 10 * dimension)
    random = np.random.default_rng(4)
    queries, codes = (random.choice([-127, 126, 127], (n, dimension)).astype(np.int8) for n in (3, 57))
    queries[0] = codes[0] = 127
    found = sieve._float_products(torch.from_numpy(queries), torch.from_numpy(codes)).numpy()
    np.testing.assert_array_equal(found.astype(np.int64), queries.astype(np.int64) @ codes.astype(np.int64).T)


def test_a_way_that_is_not_exact_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Integers that saturate, and sums that a float cannot hold."""
    monkeypatch.setattr(sieve, "_integer_products", lambda q, c: (q.int() @ c.int().T).clamp(-(2**15), 2**15 - 1))
    assert sieve.exact_products.__wrapped__(64) is sieve._float_products
    assert sieve.exact_products.__wrapped__(4096) is None


def test_equal_vectors_come_in_the_order_of_their_ids() -> None:
    index = index_of(KINDS["many times the same"]())
    (hits,) = index.search(unit(random())[:1].astype(np.float32), 500)
    assert list(hits.ids) == IDS[: 7 * 500 : 7]


def test_the_scan_is_what_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of vectors as they are few are compared in full."""
    index = index_of(KINDS["persons"]())
    compared = []
    in_full = nearest._Sieved._compare
    monkeypatch.setattr(nearest._Sieved, "_compare", lambda s, r, q: compared.append(len(r)) or in_full(s, r, q))
    monkeypatch.setattr(nearest._Sieved, "_all_in_full", None)
    index.search(unit(random(9))[:1].astype(np.float32), 10)
    assert 10 <= sum(compared) < 300


def test_many_at_once_get_what_each_gets_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(KINDS["persons"]())
    queries = unit(random(9))[:60].astype(np.float32)
    asked = [(queries[n : n + 1 + n % 3], list(ASKED.values())[n % 3][0]) for n in range(57)]
    alone = [index.search(vectors, 20, filters) for vectors, filters in asked]
    groups: list[int] = []
    scan = Scanner._scan
    monkeypatch.setattr(Scanner, "_scan", lambda s, group: groups.append(len(group)) or scan(s, group))
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(lambda one: index.search(one[0], 20, one[1]), asked))
    for one, other in zip(alone, together, strict=True):
        assert [hits.ids for hits in one] == [hits.ids for hits in other]
        np.testing.assert_array_equal([hits.cosines for hits in one], [hits.cosines for hits in other])
    assert sum(groups) == len(asked)


def test_a_scan_that_fails_fails_alone_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(KINDS["random"]())
    query = unit(random(9))[:1].astype(np.float32)
    expected = index.search(query, 5)[0].ids
    monkeypatch.setattr(Scanner, "_scan", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        index.search(query, 5)
    monkeypatch.undo()
    assert index.search(query, 5)[0].ids == expected


def test_waiting_scans_share_one_product_and_no_more_than_fit() -> None:
    scanner, begun, go = Scanner(), threading.Event(), threading.Event()
    groups: list[list[int]] = []

    def hold(group: list[Scan]) -> None:
        groups.append([len(scan.queries.codes) for scan in group])
        begun.set()
        assert go.wait(10)

    scanner._scan = hold  # type: ignore[method-assign]

    def scan(queries: int) -> Scan:
        codes = nearest.QueryCodes.of(np.ones((queries, 4), np.float32))
        return Scan(codes, (), np.zeros((queries, 0), np.float32))

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(scanner.run, scan(1))
        assert begun.wait(10)
        others = [pool.submit(scanner.run, scan(10)) for _ in range(5)]
        while len(scanner._waiting) < 5:
            assert not first.done()
        go.set()
        for one in [first, *others]:
            one.result(10)
    assert groups == [[1], [10, 10, 10], [10, 10]]


def in_memory(index: VectorIndex, vector: np.ndarray) -> bool:
    """Whether the vector lies in any array of the index, as it came, in float32 or in codes."""
    half = vector.astype("<f2")
    codes = nearest.QueryCodes.of(half.astype(np.float32)[None]).codes
    for block in (*index._segments, index._tail):
        if isinstance(block, rows.Tail):
            kept = [(block.vectors, half.astype(np.float32))]
        else:
            assert block.sieve is not None
            kept = [(block.codes, half), (block.sieve.codes, codes)]
        if any((array == wanted).all(axis=1).any() for array, wanted in kept):
            return True
    return False


@pytest.mark.parametrize("number", [17, COUNT - 1], ids=["in a segment", "in the tail"])
def test_what_is_erased_leaves_the_memory_at_once(number: int) -> None:
    vectors = unit(random())
    index = index_of(vectors)
    assert in_memory(index, vectors[number])
    index.remove([IDS[number]])
    assert not in_memory(index, vectors[number])
    assert IDS[number] not in index.search(vectors[number : number + 1].astype(np.float32), 1000)[0].ids


def test_an_earlier_revision_goes_too_but_not_under_a_search_that_began_before() -> None:
    vectors = unit(random())
    index = index_of(vectors)
    with index._search():
        index.upsert([index_rows(unit(random(5)), revision=2)[17]])
        index.remove([IDS[3]])
        assert in_memory(index, vectors[17])
        assert in_memory(index, vectors[3])
    assert not in_memory(index, vectors[17])
    assert not in_memory(index, vectors[3])
