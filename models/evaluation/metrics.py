"""CMC, average precision and inverse negative penalty, from distances and what counts as a match.

- CMC: share of queries whose first match is among the first k. With `identities` the ranking is taken over
  distinct people: of everyone's gallery pictures only the nearest counts (SYSU-MM01, Wu et al., ICCV 2017).
- AP: mean of the precision at every match, over pictures.
- INP: matches over the place of the hardest one (Ye et al., TPAMI 2021, eq. 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["RANKS", "BoolArray", "FloatArray", "IntArray", "QueryScores", "RetrievalResult", "score_queries"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

RANKS = (1, 5, 10, 20)


@dataclass(frozen=True, eq=False)
class QueryScores:
    """What each of Q queries reached. A query without any match in its gallery is not judged.

    Attributes:
        judged: ``bool[Q]``.
        place: ``int64[Q]``, where the first match stands, from 0, by the protocol's CMC; -1 if not judged.
        average_precision: ``float64[Q]``, NaN if not judged.
        inverse_negative_penalty: ``float64[Q]``, NaN if not judged.
        places: how many places a ranking can have.
    """

    judged: BoolArray
    place: IntArray
    average_precision: FloatArray
    inverse_negative_penalty: FloatArray
    places: int

    @classmethod
    def joined(cls, parts: Sequence[QueryScores]) -> QueryScores:
        """The queries of all parts, one after the other."""
        return cls(
            np.concatenate([part.judged for part in parts]),
            np.concatenate([part.place for part in parts]),
            np.concatenate([part.average_precision for part in parts]),
            np.concatenate([part.inverse_negative_penalty for part in parts]),
            max(part.places for part in parts),
        )

    def result(self) -> RetrievalResult:
        """Averaged over the judged queries. ValueError if there are none."""
        judged = int(self.judged.sum())
        if not judged:
            raise ValueError(
                f"expected at least one query with a match in the gallery, got none among {len(self.judged)}"
            )
        found = np.bincount(self.place[self.judged], minlength=self.places)
        return RetrievalResult.of(
            np.cumsum(found) / judged,
            float(self.average_precision[self.judged].mean()),
            float(self.inverse_negative_penalty[self.judged].mean()),
            queries=judged,
            skipped=len(self.judged) - judged,
        )


@dataclass(frozen=True, eq=False)
class RetrievalResult:
    """How well queries found their person. All figures are fractions, 0 to 1.

    Attributes:
        rank: k -> share of queries with a match among the first k, for k in `RANKS`.
        map: mean average precision.
        minp: mean inverse negative penalty.
        cmc: ``float64[places]``, ``cmc[k - 1]`` for every k.
        queries: how many were judged.
        skipped: how many had no match in the gallery and were left out.
    """

    rank: dict[int, float]
    map: float
    minp: float
    cmc: FloatArray
    queries: int
    skipped: int

    @classmethod
    def of(cls, cmc: FloatArray, mean_ap: float, minp: float, *, queries: int, skipped: int) -> RetrievalResult:
        """With `rank` read off the curve; past its end everything is found."""
        rank = {k: float(cmc[min(k, len(cmc)) - 1]) for k in RANKS}
        return cls(rank, mean_ap, minp, cmc, queries, skipped)

    @classmethod
    def mean(cls, results: Sequence[RetrievalResult]) -> RetrievalResult:
        """Averaged over trials, each counting the same; `queries` and `skipped` rounded. ValueError if none."""
        if not results:
            raise ValueError("expected at least one result to average, got none")
        length = max(len(one.cmc) for one in results)
        curves = [np.pad(one.cmc, (0, length - len(one.cmc)), mode="edge") for one in results]
        return cls.of(
            np.mean(curves, axis=0),
            float(np.mean([one.map for one in results])),
            float(np.mean([one.minp for one in results])),
            queries=round(float(np.mean([one.queries for one in results]))),
            skipped=round(float(np.mean([one.skipped for one in results]))),
        )

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values, without the curve."""
        return {
            "rank": {str(k): share for k, share in self.rank.items()},
            "mAP": self.map,
            "mINP": self.minp,
            "queries": self.queries,
            "skipped": self.skipped,
        }


def score_queries(
    distances: npt.NDArray[np.floating], same: BoolArray, ignored: BoolArray, identities: IntArray | None = None
) -> QueryScores:
    """Judge Q queries against G gallery entries. Equal distances keep the gallery's order.

    Args:
        distances: ``[Q, G]``, finite; small means alike.
        same: ``bool[Q, G]``, entry shows the query's person.
        ignored: ``bool[Q, G]``, entry is invisible to the query.
        identities: ``int64[G]`` for a CMC over distinct people, None for one over entries.

    Takes about 60 bytes for each of the Q x G cells; callers give the queries in portions.
    """
    entries = distances.shape[1]
    order = np.argsort(np.where(ignored, np.inf, distances), axis=1, kind="stable")
    hits = np.take_along_axis(same & ~ignored, order, axis=1)
    matches = hits.sum(axis=1)
    judged = matches > 0
    divisor = np.maximum(matches, 1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, entries + 1)
    first = np.argmax(hits, axis=1)
    hardest = entries - 1 - np.argmax(hits[:, ::-1], axis=1)
    place, places = first, entries
    if identities is not None:
        place, places = _places_among_people(order, ignored, first, identities)
    return QueryScores(
        judged,
        np.where(judged, place, -1),
        np.where(judged, (precision * hits).sum(axis=1) / divisor, np.nan),
        np.where(judged, matches / (hardest + 1), np.nan),
        places,
    )


def _places_among_people(
    order: IntArray, ignored: BoolArray, first: IntArray, identities: IntArray
) -> tuple[IntArray, int]:
    """How many other people come before each query's first match; and how many people there are."""
    entries = order.shape[1]
    position = np.empty_like(order)
    np.put_along_axis(position, order, np.arange(entries)[None], axis=1)
    position[ignored] = entries
    by_person = np.argsort(identities, kind="stable")
    begins = np.flatnonzero(np.diff(identities[by_person], prepend=identities[by_person[0]] - 1))
    nearest = np.minimum.reduceat(position[:, by_person], begins, axis=1)  # Q G -> Q people
    return (nearest < first[:, None]).sum(axis=1), len(begins)
