"""From examples to ranked sightings: one exact search over one model's vectors, with the filters inside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from models.calibration import Calibration
from models.types import Modality
from pipeline.types import FloatArray
from service.gallery import Gallery, GalleryFilter, TrackletRecord, VectorIndex
from service.security.access import Access

__all__ = [
    "Band",
    "Example",
    "Match",
    "ModelMismatch",
    "PhotoLookup",
    "PhotoPersonVector",
    "SearchError",
    "SearchOutcome",
    "Searcher",
    "UnknownExample",
    "modality_pair",
]

MAX_EXAMPLES = 20
MAX_K = 1000
Pair = Literal["VV", "II", "VI"]
Band = Literal["strong", "possible", "weak"]
STRONG, POSSIBLE = 0.8, 0.4


class SearchError(ValueError):
    """The search cannot be made as asked; the message says why."""


class UnknownExample(SearchError):  # noqa: N818  a kind of SearchError
    """An example is not (or no longer) there."""


class ModelMismatch(SearchError):  # noqa: N818  a kind of SearchError
    """Query and gallery come from different models and are never compared."""


@dataclass(frozen=True, slots=True)
class Example:
    """A sighting, or a person of a photo."""

    tracklet_id: str | None = None
    photo_id: str | None = None
    person: int = 0

    def __post_init__(self) -> None:
        if (self.tracklet_id is None) == (self.photo_id is None):
            raise SearchError("an example: expected either a tracklet or a person of a photo")


@dataclass(frozen=True, slots=True)
class PhotoPersonVector:
    """A person of a stored photo: ``float32[D]``."""

    vector: FloatArray = field(repr=False)
    modality: Modality
    model_hash: str


PhotoLookup = Callable[[str, int, str], "PhotoPersonVector | None"]


@dataclass(frozen=True, slots=True)
class Match:
    """One ranked sighting. `probability` and `band` are None where the model is not calibrated."""

    rank: int
    record: TrackletRecord
    cosine: float
    pair: Pair
    probability: float | None
    band: Band | None


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """The answer, and what it was an answer about. Nothing in it tells of cameras outside the account's scope.

    Attributes:
        examples: the example sightings that were used.
        gallery_size: sightings in the index, of the cameras in scope.
        generation: of the index; None for a scope of some cameras, because it rises with the others too.
        left_out: sightings in scope that another model made, or whose record is broken.
    """

    matches: tuple[Match, ...]
    examples: tuple[TrackletRecord, ...]
    gallery_size: int
    generation: int | None
    left_out: int
    took_s: float


class Searcher:
    """Searches one process's index.

    Args:
        photo: finds a person of a photo that an account has uploaded, by photo, place and account.
        calibration: the checkpoint's, None when it has none.
    """

    def __init__(
        self, gallery: Gallery, index: VectorIndex, photo: PhotoLookup, calibration: Calibration | None
    ) -> None:
        self._gallery = gallery
        self._index = index
        self._photo = photo
        self._calibration = calibration

    def search(
        self,
        examples: Sequence[Example],
        filters: GalleryFilter | None = None,
        k: int = 50,
        *,
        access: Access,
        exclude_examples: bool = True,
        exclude_example_cameras: bool = False,
        min_probability: float | None = None,
    ) -> SearchOutcome:
        """The `k` most similar sightings that pass the filters, among those that the account may see.

        Several examples are one query: the mean of their unit vectors. An example outside the account's scope, or
        in somebody else's photo, is one that is not there. A cosine across the lights is lower than one within a
        light, so a calibrated model's answers are ranked by probability; otherwise by cosine.

        Args:
            exclude_example_cameras: leave out the cameras that the example sightings are of.
            min_probability: leave out what is less likely.

        Raises:
            SearchError: nothing to search with, too many examples, k or a probability out of range, or a least
                probability for a model that has none.
            UnknownExample: an example is not there.
            ModelMismatch: an example was made by another model than the gallery.
            GalleryUnavailable: Redis is away.
        """
        started = time.perf_counter()
        if not 1 <= len(examples) <= MAX_EXAMPLES:
            raise SearchError(f"examples: expected 1 to {MAX_EXAMPLES}, got {len(examples)}")
        if not 1 <= k <= MAX_K:
            raise SearchError(f"k: expected 1 to {MAX_K}, got {k}")
        self._check_least(min_probability)
        records, vectors, modalities = self._resolve(examples, access)
        filters = access.narrowed(filters)
        if exclude_examples:
            filters = replace(filters, exclude_ids=filters.exclude_ids | {r.id for r in records})
        if exclude_example_cameras:
            filters = replace(filters, exclude_cameras=filters.exclude_cameras | {r.camera_id for r in records})
        matches = self._ranked(_mean(vectors), leading_modality(modalities), k, filters, access, min_probability)
        size, left_out = self.extent(access)
        return SearchOutcome(
            matches=tuple(matches),
            examples=tuple(records),
            gallery_size=size,
            generation=self._index.generation if access.cameras is None else None,
            left_out=left_out,
            took_s=time.perf_counter() - started,
        )

    def _check_least(self, probability: float | None) -> None:
        if probability is None:
            return
        if not 0 <= probability <= 1:
            raise SearchError(f"min_probability: expected 0 to 1, got {probability}")
        if self._calibration is None or None in self._calibration.to_dict().values():
            raise SearchError("min_probability: the model in use gives no probabilities")

    def _ranked(
        self,
        query: FloatArray,
        light: Modality,
        k: int,
        filters: GalleryFilter,
        access: Access,
        least: float | None,
    ) -> list[Match]:
        """The best `k`, each light searched for itself where probabilities make them comparable."""
        wanted = tuple(Modality) if filters.modality is None else (filters.modality,)
        calibrated = self._calibration is not None and all(self._calibration.of(light, other) for other in wanted)
        parts = [replace(filters, modality=other) for other in wanted] if calibrated else [filters]
        found = [self._index.search(query[None, :], k, part)[0] for part in parts]
        cosines = {one: c for hits in found for one, c in zip(hits.ids, hits.cosines.tolist(), strict=True)}
        # The index may be a moment behind: what was erased or re-embedded meanwhile is not shown.
        matches = [
            self._match(record, cosines[one], light)
            for one, record in self._gallery.get_many(list(cosines)).items()
            if record.model_hash == self._index.model_hash and access.sees(record.camera_id)
        ]
        matches.sort(key=lambda match: -self._order(match, light) if calibrated else -match.cosine)
        if least is not None:
            matches = [match for match in matches if match.probability is not None and match.probability >= least]
        return [replace(match, rank=rank) for rank, match in enumerate(matches[:k], start=1)]

    def _order(self, match: Match, light: Modality) -> float:
        curve = self._calibration.of(light, match.record.modality) if self._calibration else None
        return curve.log_odds(match.cosine) if curve else match.cosine

    def extent(self, access: Access) -> tuple[int, int]:
        """How many sightings of the account's cameras can be found, and how many are there but cannot."""
        if access.cameras is None:
            stats = self._index.stats()
            return stats.rows, stats.other_model + stats.refused
        scope = access.narrowed()
        found = self._index.count(scope)
        return found, max(0, self._gallery.count(scope) - found)

    def _resolve(
        self, examples: Sequence[Example], access: Access
    ) -> tuple[list[TrackletRecord], list[FloatArray], list[Modality]]:
        ids = [e.tracklet_id for e in examples if e.tracklet_id is not None]
        known = self._gallery.get_many(ids) if ids else {}
        records: list[TrackletRecord] = []
        vectors: list[FloatArray] = []
        modalities: list[Modality] = []
        for example in examples:
            if example.tracklet_id is not None:
                record = known.get(example.tracklet_id)
                if record is None or not access.sees(record.camera_id):
                    raise UnknownExample(f"There is no sighting {example.tracklet_id}; it may have been erased.")
                self._check_model(record.model_hash)
                records.append(record)
                vectors.append(record.vector)
                modalities.append(record.modality)
            else:
                assert example.photo_id is not None  # noqa: S101  Example has checked it
                person = self._photo(example.photo_id, example.person, access.account)
                if person is None:
                    raise UnknownExample(
                        f"There is no person {example.person} in that photo, or the photo is older than an hour. "
                        "Send it again."
                    )
                self._check_model(person.model_hash)
                vectors.append(person.vector)
                modalities.append(person.modality)
        return records, vectors, modalities

    def _check_model(self, model_hash: str) -> None:
        if model_hash != self._index.model_hash:
            raise ModelMismatch(
                "The example was made by another model than the gallery's index uses, so they cannot be compared. "
                "Re-embed the gallery, or send the photo again."
            )

    def _match(self, record: TrackletRecord, cosine: float, query: Modality) -> Match:
        """A match that has no rank yet."""
        curve = self._calibration.of(query, record.modality) if self._calibration else None
        probability = curve.probability(cosine) if curve else None
        pair = modality_pair(query, record.modality)
        return Match(0, record, min(1.0, max(-1.0, cosine)), pair, probability, band(probability))


def leading_modality(queries: Sequence[Modality]) -> Modality:
    """The kind of light that most examples have; visible when even."""
    visible = sum(m is Modality.VISIBLE for m in queries)
    return Modality.VISIBLE if 2 * visible >= len(queries) else Modality.INFRARED


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
