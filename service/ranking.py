"""From query vectors to ranked sightings: each light is searched for itself and compared by probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from models.calibration import Calibration
from models.evaluation.rerank import RerankOptions, k_reciprocal
from models.types import Modality
from pipeline.types import FloatArray
from service.gallery import Gallery, GalleryFilter, TrackletRecord, VectorIndex
from service.security.access import Access

__all__ = ["LEAST", "Band", "LightQuery", "Match", "Pair", "Ranker", "SearchError", "band", "light_queries"]

MAX_K = 1000
RERANKED = 300
_LEAST_READ = 16  # records at once: what is left out is made up for
NEIGHBOURS = RerankOptions(k1=10, k2=2, original_weight=0.5)
"""The paper's 20, 6 and 0.3 suit galleries with dozens of pictures of everybody; where a person has two sightings in a
light, they put the right one first less often than the plain order does (docs/experiments.md)."""
Pair = Literal["VV", "II", "VI"]
Band = Literal["strong", "possible", "weak"]
STRONG, POSSIBLE = 0.8, 0.4
LEAST: dict[Band, float] = {"strong": STRONG, "possible": POSSIBLE, "weak": 0.0}


class SearchError(ValueError):
    """The search cannot be made as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class LightQuery:
    """All examples of one kind of light as one direction, ``float32[D]`` of unit length."""

    vector: FloatArray = field(repr=False)
    modality: Modality


@dataclass(frozen=True, slots=True)
class Match:
    """One ranked sighting. `probability` and `band` are None where the model is not calibrated."""

    rank: int
    record: TrackletRecord
    cosine: float
    pair: Pair
    probability: float | None
    band: Band | None


class Ranker:
    """Ranks one process's index.

    Args:
        calibration: the checkpoint's, None when it has none.
    """

    def __init__(self, gallery: Gallery, index: VectorIndex, calibration: Calibration | None) -> None:
        self._gallery = gallery
        self._index = index
        self._calibration = calibration

    @property
    def gives_probabilities(self) -> bool:
        """Whether every pair of lights is calibrated."""
        return self._calibration is not None and None not in self._calibration.to_dict().values()

    def ranked(
        self,
        queries: Sequence[LightQuery],
        k: int,
        filters: GalleryFilter,
        access: Access,
        *,
        least: float | None = None,
        rerank: bool = False,
        left_out: Callable[[TrackletRecord], bool] = lambda _: False,
    ) -> list[Match]:
        """The best `k`. A sighting counts by the query, by day or by night, that it is likelier to match.

        The union of each query's best `k` in each light holds the best `k` of all, because a curve rises with the
        cosine: the answer is exact.

        Args:
            least: leave out what is less likely.
            rerank: order the first `RERANKED` by k-reciprocal neighbours; cosines and probabilities stay as they are.
            left_out: judges each record that was found.
        """
        wanted = tuple(Modality) if filters.modality is None else (filters.modality,)
        calibrated = all(self._log_odds(q.modality, other, 0.0) is not None for q in queries for other in wanted)
        parts = [replace(filters, modality=other) for other in wanted] if calibrated else [filters]
        depth = max(k, RERANKED) if rerank else k
        best: dict[str, tuple[float, float, LightQuery]] = {}  # by id: order, cosine, and to which query
        for query in queries:
            for part in parts:
                light = part.modality if calibrated else None
                hits = self._index.search(query.vector[None, :], depth, part)[0]
                for one, cosine in zip(hits.ids, hits.cosines.tolist(), strict=True):
                    order = self._order(query.modality, light, cosine)
                    if one not in best or order > best[one][0]:
                        best[one] = order, cosine, query
        waiting = sorted(best, key=lambda one: best[one][0], reverse=True)
        matches: list[Match] = []
        # The index may be a moment behind: what was erased or re-embedded meanwhile is not shown.
        while waiting and len(matches) < depth:
            count = max(depth - len(matches), _LEAST_READ)
            some, waiting = waiting[:count], waiting[count:]
            for one, record in self._gallery.get_many(some).items():
                if (
                    record.model_hash == self._index.model_hash
                    and access.sees(record.camera_id)
                    and not left_out(record)
                ):
                    _, cosine, query = best[one]
                    matches.append(self._match(record, cosine, query))
        if rerank:
            matches = [*_reranked(queries, matches[:RERANKED]), *matches[RERANKED:]]
        if least is not None:
            matches = [match for match in matches if match.probability is not None and match.probability >= least]
        return [replace(match, rank=rank) for rank, match in enumerate(matches[:k], start=1)]

    def _log_odds(self, one: Modality, other: Modality, cosine: float) -> float | None:
        curve = self._calibration.of(one, other) if self._calibration else None
        return curve.log_odds(cosine) if curve else None

    def _order(self, query: Modality, found: Modality | None, cosine: float) -> float:
        """The higher, the likelier; None for a light where only cosines compare."""
        odds = self._log_odds(query, found, cosine) if found is not None else None
        return cosine if odds is None else odds

    def _match(self, record: TrackletRecord, cosine: float, query: LightQuery) -> Match:
        """A match that has no rank yet."""
        curve = self._calibration.of(query.modality, record.modality) if self._calibration else None
        probability = curve.probability(cosine) if curve else None
        pair = modality_pair(query.modality, record.modality)
        return Match(0, record, min(1.0, max(-1.0, cosine)), pair, probability, band(probability))


def light_queries(vectors: Sequence[FloatArray], modalities: Sequence[Modality]) -> tuple[LightQuery, ...]:
    """One query for each kind of light that the examples are of: the mean of their unit vectors.

    Args:
        vectors: ``float32[D]`` each.

    Raises:
        SearchError: a vector that is zero or not finite, or examples that point in opposite directions.
    """
    return tuple(
        LightQuery(_mean([v for v, m in zip(vectors, modalities, strict=True) if m is light]), light)
        for light in Modality
        if light in modalities
    )


def modality_pair(query: Modality, found: Modality) -> Pair:
    """VV, II or VI."""
    if query is not found:
        return "VI"
    return "VV" if found is Modality.VISIBLE else "II"


def band(probability: float | None) -> Band | None:
    """The probability in words."""
    if probability is None:
        return None
    return "strong" if probability >= STRONG else "possible" if probability >= POSSIBLE else "weak"


def _reranked(queries: Sequence[LightQuery], matches: list[Match]) -> list[Match]:
    """By the least k-reciprocal distance to any of the queries."""
    if len(matches) < 2:
        return matches
    gallery = np.stack([match.record.vector for match in matches])
    distances = k_reciprocal(np.stack([query.vector for query in queries]), gallery, NEIGHBOURS).min(axis=0)
    return [matches[at] for at in np.argsort(distances, kind="stable").tolist()]


def _mean(vectors: Sequence[FloatArray]) -> FloatArray:
    """``float32[D]`` of unit length: the mean of unit vectors."""
    stack = np.stack(vectors).astype(np.float32)
    norms = np.linalg.norm(stack, axis=1, keepdims=True)
    if not np.isfinite(stack).all() or not (norms > 0).all():
        raise SearchError("an example's vector is not usable")
    mean = (stack / norms).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        raise SearchError("the examples point in opposite directions; search with them one by one")
    return np.asarray(mean / length, np.float32)
