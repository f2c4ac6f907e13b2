"""k-reciprocal re-ranking (Zhong et al., "Re-ranking person re-identification with k-reciprocal encoding", CVPR 2017).

A post-processor: it turns features into distances, which any protocol then judges. It lets queries and gallery
inform each other, so figures with it are never comparable with figures without it; nothing applies it by itself.

Following the paper's equations, and its released code where the paper leaves a choice: distances are squared
Euclidean between unit vectors, divided by the largest in their row; a vector is in its own neighbourhood;
encodings sum to one. The overlap asked for is the paper's ">= 2/3" (the code has ">").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.evaluation.metrics import FloatArray, IntArray
from models.evaluation.protocols import unit_rows

__all__ = ["RerankOptions", "k_reciprocal"]

_CELLS = 2**22  # of the matrix of all distances that are in memory at a time


@dataclass(frozen=True, slots=True)
class RerankOptions:
    """The paper's k1, k2 and lambda."""

    k1: int = 20
    k2: int = 6
    original_weight: float = 0.3

    def __post_init__(self) -> None:
        if not 1 <= self.k2 <= self.k1:
            raise ValueError(f"expected 1 <= k2 <= k1, got k1 = {self.k1}, k2 = {self.k2}")
        if not 0 <= self.original_weight <= 1:
            raise ValueError(f"original_weight: expected 0 to 1, got {self.original_weight}")


_DEFAULT = RerankOptions()


def k_reciprocal(
    query_features: npt.ArrayLike, gallery_features: npt.ArrayLike, options: RerankOptions = _DEFAULT
) -> npt.NDArray[np.float32]:
    """Distances ``float32[Q, G]``, 0 to 1, small means alike.

    Memory: the answer, the features in float64 twice, and for each of the Q + G vectors its k1 neighbours and an
    encoding of some tens to some hundreds of (column, weight) pairs; the (Q + G) x (Q + G) distances are gone
    through in portions of 32 MB, twice, and never kept.

    Raises:
        ValueError: features that are not finite ``[N, D]`` of one width.
    """
    query, gallery = unit_rows(query_features, "query_features"), unit_rows(gallery_features, "gallery_features")
    if query.shape[1] != gallery.shape[1] or not (len(query) and len(gallery)):
        raise ValueError(f"expected features of one width, got {list(query.shape)} and {list(gallery.shape)}")
    vectors = np.concatenate((query, gallery))
    ranked, largest = _neighbours(vectors, options.k1 + 1)
    encodings = _encodings(ranked, vectors, largest, options.k1)
    if options.k2 > 1:
        encodings = [_mean([encodings[near] for near in row[: options.k2]]) for row in ranked]
    distances = np.empty((len(query), len(gallery)), np.float32)
    step = max(1, _CELLS // len(gallery))
    for begin in range(0, len(query), step):
        rows = slice(begin, min(begin + step, len(query)))
        distances[rows] = options.original_weight * _squared(query[rows], gallery) / largest[rows, None]
    for row, overlap in zip(distances, _jaccard(encodings, len(query)), strict=True):
        row += (1 - options.original_weight) * overlap
    return distances


Encoding = tuple[IntArray, FloatArray]  # columns, ascending, and their weights


def _squared(some: FloatArray, others: FloatArray) -> FloatArray:
    return np.maximum(2.0 - 2.0 * (some @ others.T), 0.0)


def _neighbours(vectors: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """The nearest `count` of every vector, itself first, ``[N, count]``; and its largest distance ``[N]``."""
    ranked, largest = [], []
    step = max(1, _CELLS // len(vectors))
    for begin in range(0, len(vectors), step):
        distances = _squared(vectors[begin : begin + step], vectors)
        largest.append(distances.max(axis=1))
        rows = np.arange(len(distances))
        distances[rows, begin + rows] = -1.0
        order = np.argsort(distances, axis=1, kind="stable")
        ranked.append(order[:, :count].copy())  # a view would keep the whole order alive
    reach = np.concatenate(largest)
    return np.concatenate(ranked), np.where(reach > 0, reach, 1.0)


def _reciprocal(row: int, ranked: IntArray, k: int) -> IntArray:
    """R(row, k): those of its k nearest that have it among theirs, eq. 3."""
    near = ranked[row, : k + 1]
    mutual: IntArray = near[(ranked[near, : k + 1] == row).any(axis=1)]
    return mutual


def _encodings(ranked: IntArray, vectors: FloatArray, largest: FloatArray, k1: int) -> list[Encoding]:
    """V of eq. 7 over the expanded neighbourhood R* of eq. 5, where it is not zero, for every vector."""
    close = [_reciprocal(row, ranked, round(k1 / 2)) for row in range(len(ranked))]
    inside = np.zeros(len(ranked), bool)
    found = []
    for row in range(len(ranked)):
        own = _reciprocal(row, ranked, k1)
        inside[own] = True
        added = [close[near] for near in own if 3 * inside[close[near]].sum() >= 2 * len(close[near])]
        inside[own] = False
        columns = np.unique(np.concatenate((own, *added)))
        weights = np.exp(-_squared(vectors[row][None], vectors[columns])[0] / largest[row])
        found.append((columns, weights / weights.sum()))
    return found


def _mean(encodings: list[Encoding]) -> Encoding:
    """Local query expansion, eq. 11."""
    columns, places = np.unique(np.concatenate([one[0] for one in encodings]), return_inverse=True)
    weights = np.bincount(places, weights=np.concatenate([one[1] for one in encodings]), minlength=len(columns))
    return columns, weights / len(encodings)


def _jaccard(encodings: list[Encoding], queries: int) -> Iterator[FloatArray]:
    """Eq. 10 between every query and the gallery: ``[G]`` for each query.

    Encodings sum to one, so that the sum of maxima is 2 minus the sum of minima.
    """
    gallery = encodings[queries:]
    entries = np.repeat(np.arange(len(gallery)), [len(columns) for columns, _ in gallery])
    columns = np.concatenate([columns for columns, _ in gallery])
    weights = np.concatenate([weights for _, weights in gallery])
    order = np.argsort(columns, kind="stable")
    entries, weights = entries[order], weights[order]
    begins = np.searchsorted(columns[order], np.arange(len(encodings) + 1))
    for own, own_weights in encodings[:queries]:
        counts = begins[own + 1] - begins[own]
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        where = np.repeat(begins[own], counts) + inside
        shared = np.bincount(
            entries[where],
            weights=np.minimum(np.repeat(own_weights, counts), weights[where]),
            minlength=len(gallery),
        )
        yield 1.0 - shared / (2.0 - shared)
