"""Which gallery entries a query may see, and what the CMC counts, for each benchmark.

- ``sysu-mm01``: queries of camera 3 ignore gallery camera 2, which stands at the same place (and the other way
  round, where validation asks visible queries); the CMC counts distinct people.
- ``regdb``: nothing is ignored.
- ``llcm``: the query's person in the query's camera is ignored; the CMC counts distinct people.
- ``hitsz-vcm``: the query's person in the query's camera is ignored; the CMC counts tracklets (Market-1501's).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.evaluation.metrics import BoolArray, FloatArray, IntArray, QueryScores, RetrievalResult, score_queries

__all__ = [
    "Comparison",
    "DistanceRows",
    "compare",
    "cosine_rows",
    "evaluate",
    "evaluate_distances",
    "list_protocols",
    "unit_rows",
]

_CELLS = 2**21  # of the matrix of distances that are in memory at a time, about 130 MB while they are judged
_DECIMALS = 10  # of a cosine; sums in another order would otherwise tell equal vectors apart

Labels = npt.ArrayLike


@dataclass(frozen=True, slots=True)
class _Rule:
    """`ignores` takes ``(query ids [Q, 1], gallery ids [G], query cameras [Q, 1], gallery cameras [G])``."""

    distinct_people: bool
    ignores: Callable[[IntArray, IntArray, IntArray, IntArray], BoolArray]


def _nothing(query_ids: IntArray, gallery_ids: IntArray, *_: IntArray) -> BoolArray:
    return np.zeros(np.broadcast_shapes(query_ids.shape, gallery_ids.shape), bool)


def _same_person_same_camera(
    query_ids: IntArray, gallery_ids: IntArray, query_cameras: IntArray, gallery_cameras: IntArray
) -> BoolArray:
    ignored: BoolArray = (query_ids == gallery_ids) & (query_cameras == gallery_cameras)
    return ignored


def _cameras_of_one_place(_: IntArray, __: IntArray, query_cameras: IntArray, gallery_cameras: IntArray) -> BoolArray:
    ignored: BoolArray = ((query_cameras == 3) & (gallery_cameras == 2)) | (
        (query_cameras == 2) & (gallery_cameras == 3)
    )
    return ignored


_RULES = {
    "sysu-mm01": _Rule(True, _cameras_of_one_place),
    "regdb": _Rule(False, _nothing),
    "llcm": _Rule(True, _same_person_same_camera),
    "hitsz-vcm": _Rule(False, _same_person_same_camera),
}


def list_protocols() -> tuple[str, ...]:
    """The names that `evaluate` knows."""
    return tuple(_RULES)


DistanceRows = Callable[[slice | IntArray], npt.NDArray[np.floating]]
"""Gives distances ``[q, G]`` of the queries asked for, so that a whole matrix need never exist."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Q queries and G gallery entries under a protocol; all labels are ``int64``, see `compare`."""

    protocol: str
    query_ids: IntArray
    gallery_ids: IntArray
    query_cameras: IntArray
    gallery_cameras: IntArray

    def score(self, distances: DistanceRows) -> QueryScores:
        """Judge every query, some at a time."""
        step = max(1, _CELLS // len(self.gallery_ids))
        identities = self.gallery_ids if _RULES[self.protocol].distinct_people else None
        return QueryScores.joined(
            [
                score_queries(distances(rows), *self._matches(rows), identities)
                for rows in (slice(begin, begin + step) for begin in range(0, len(self.query_ids), step))
            ]
        )

    def nearest(self, rows: IntArray, distances: DistanceRows, count: int) -> list[IntArray]:
        """For each of the queries `rows` the `count` best gallery entries that it may see, best first."""
        _, ignored = self._matches(rows)
        order = np.argsort(np.where(ignored, np.inf, distances(rows)), axis=1, kind="stable")
        return [line[~hidden[line]][:count] for line, hidden in zip(order, ignored, strict=True)]

    def _matches(self, rows: slice | IntArray) -> tuple[BoolArray, BoolArray]:
        """Which entries show the query's person and which are ignored, ``bool[q, G]`` each."""
        ids, cameras = self.query_ids[rows][:, None], self.query_cameras[rows][:, None]
        ignored = _RULES[self.protocol].ignores(ids, self.gallery_ids, cameras, self.gallery_cameras)
        return ids == self.gallery_ids, ignored


def compare(
    protocol: str, query_ids: Labels, gallery_ids: Labels, query_cameras: Labels, gallery_cameras: Labels
) -> Comparison:
    """Check the labels. Errors as `evaluate`."""
    if protocol not in _RULES:
        raise KeyError(f"no protocol called {protocol!r}; there are {', '.join(_RULES)}")
    queries, entries = len(np.atleast_1d(query_ids)), len(np.atleast_1d(gallery_ids))
    if not (queries and entries):
        raise ValueError(f"expected at least one query and one gallery entry, got {queries} and {entries}")
    return Comparison(
        protocol,
        _labels(query_ids, queries, "query_ids"),
        _labels(gallery_ids, entries, "gallery_ids"),
        _labels(query_cameras, queries, "query_cameras"),
        _labels(gallery_cameras, entries, "gallery_cameras"),
    )


def cosine_rows(query_features: npt.ArrayLike, gallery_features: npt.ArrayLike) -> DistanceRows:
    """One minus the cosine, in float64. ValueError as `evaluate`."""
    query, gallery = unit_rows(query_features, "query_features"), unit_rows(gallery_features, "gallery_features")
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"expected features of one width, got {query.shape[1]} and {gallery.shape[1]}")
    return lambda rows: 1.0 - np.round(query[rows] @ gallery.T, _DECIMALS)


def evaluate(
    protocol: str,
    query_features: npt.ArrayLike,
    gallery_features: npt.ArrayLike,
    query_ids: Labels,
    gallery_ids: Labels,
    query_cameras: Labels,
    gallery_cameras: Labels,
) -> RetrievalResult:
    """Judge a retrieval by cosine. Nothing of the size Q x G is kept.

    Args:
        protocol: one of `list_protocols`.
        query_features, gallery_features: ``[Q, D]`` and ``[G, D]``, of any length.
        query_ids, gallery_ids, query_cameras, gallery_cameras: whole numbers, ``[Q]`` or ``[G]``.

    Raises:
        KeyError: an unknown protocol; the message lists the known ones.
        ValueError: shapes that do not fit, values that are not finite, or no query with a match.
    """
    comparison = compare(protocol, query_ids, gallery_ids, query_cameras, gallery_cameras)
    _check_counts(comparison, (len(np.atleast_1d(query_features)), len(np.atleast_1d(gallery_features))))
    return comparison.score(cosine_rows(query_features, gallery_features)).result()


def evaluate_distances(
    protocol: str,
    distances: npt.NDArray[np.floating],
    query_ids: Labels,
    gallery_ids: Labels,
    query_cameras: Labels,
    gallery_cameras: Labels,
) -> RetrievalResult:
    """As `evaluate`, from distances ``[Q, G]`` that were calculated elsewhere, such as re-ranked ones."""
    comparison = compare(protocol, query_ids, gallery_ids, query_cameras, gallery_cameras)
    if distances.ndim != 2 or not np.isfinite(distances).all():
        raise ValueError(f"distances: expected finite values [Q, G], got {distances.dtype}{list(distances.shape)}")
    _check_counts(comparison, (len(distances), distances.shape[1]))
    return comparison.score(lambda rows: distances[rows]).result()


def _check_counts(comparison: Comparison, given: tuple[int, int]) -> None:
    expected = len(comparison.query_ids), len(comparison.gallery_ids)
    if given != expected:
        raise ValueError(
            f"expected as many vectors as labels, {expected[0]} queries and {expected[1]} gallery entries, "
            f"got {given[0]} and {given[1]}"
        )


def unit_rows(features: npt.ArrayLike, name: str) -> FloatArray:
    """``float64[N, D]`` with rows of length one; rows of zeros stay. ValueError if not finite or of another rank."""
    values = np.asarray(features, np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite vectors [N, D], got shape {list(values.shape)}")
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: FloatArray = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
    return unit


def _labels(values: Labels, count: int, name: str) -> IntArray:
    labels = np.asarray(values)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected whole numbers [{count}], got {labels.dtype}{list(labels.shape)}")
    return labels.astype(np.int64)
