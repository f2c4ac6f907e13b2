"""Which gallery entries a query may see, and what the CMC counts, for each benchmark.

- ``sysu-mm01``: queries of camera 3 ignore gallery camera 2, which stands at the same place; the CMC counts
  distinct people.
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

__all__ = ["Labels", "evaluate", "evaluate_distances", "list_protocols", "score", "unit_rows"]

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


def _camera_two_from_three(_: IntArray, __: IntArray, query_cameras: IntArray, gallery_cameras: IntArray) -> BoolArray:
    ignored: BoolArray = (query_cameras == 3) & (gallery_cameras == 2)
    return ignored


_RULES = {
    "sysu-mm01": _Rule(True, _camera_two_from_three),
    "regdb": _Rule(False, _nothing),
    "llcm": _Rule(True, _same_person_same_camera),
    "hitsz-vcm": _Rule(False, _same_person_same_camera),
}


def list_protocols() -> tuple[str, ...]:
    """The names that `evaluate` knows."""
    return tuple(_RULES)


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
    query, gallery = unit_rows(query_features, "query_features"), unit_rows(gallery_features, "gallery_features")
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"expected features of one width, got {query.shape[1]} and {gallery.shape[1]}")

    def distances(rows: slice) -> FloatArray:
        return 1.0 - np.round(query[rows] @ gallery.T, _DECIMALS)

    shape = (len(query), len(gallery))
    return score(protocol, distances, shape, query_ids, gallery_ids, query_cameras, gallery_cameras).result()


def evaluate_distances(
    protocol: str,
    distances: npt.NDArray[np.floating],
    query_ids: Labels,
    gallery_ids: Labels,
    query_cameras: Labels,
    gallery_cameras: Labels,
) -> RetrievalResult:
    """As `evaluate`, from distances ``[Q, G]`` that were calculated elsewhere, such as re-ranked ones."""
    if distances.ndim != 2 or not np.isfinite(distances).all():
        raise ValueError(f"distances: expected finite values [Q, G], got {distances.dtype}{list(distances.shape)}")
    labels = (query_ids, gallery_ids, query_cameras, gallery_cameras)
    shape = (len(distances), distances.shape[1])
    return score(protocol, lambda rows: distances[rows], shape, *labels).result()


def score(
    protocol: str,
    distances: Callable[[slice], npt.NDArray[np.floating]],
    shape: tuple[int, int],
    query_ids: Labels,
    gallery_ids: Labels,
    query_cameras: Labels,
    gallery_cameras: Labels,
) -> QueryScores:
    """Each query's figures; `distances` gives the rows ``[q, G]`` of a portion of the queries when asked."""
    if protocol not in _RULES:
        raise KeyError(f"no protocol called {protocol!r}; there are {', '.join(_RULES)}")
    rule = _RULES[protocol]
    queries, entries = shape
    if not (queries and entries):
        raise ValueError(f"expected at least one query and one gallery entry, got {queries} and {entries}")
    query = _labels(query_ids, queries, "query_ids")[:, None]
    query_camera = _labels(query_cameras, queries, "query_cameras")[:, None]
    gallery = _labels(gallery_ids, entries, "gallery_ids")
    gallery_camera = _labels(gallery_cameras, entries, "gallery_cameras")
    step = max(1, _CELLS // entries)
    return QueryScores.joined(
        [
            score_queries(
                distances(rows),
                query[rows] == gallery,
                rule.ignores(query[rows], gallery, query_camera[rows], gallery_camera),
                gallery if rule.distinct_people else None,
            )
            for rows in (slice(begin, begin + step) for begin in range(0, queries, step))
        ]
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
