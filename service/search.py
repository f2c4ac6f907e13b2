"""From examples to ranked sightings: one exact search over one model's vectors, with the filters inside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from models.calibration import Calibration
from models.types import Modality
from pipeline.types import FloatArray
from service.gallery import Gallery, GalleryFilter, TrackletRecord, VectorIndex
from service.ranking import (
    LEAST,
    MAX_K,
    POSSIBLE,
    STRONG,
    Band,
    Match,
    Pair,
    Ranker,
    SearchError,
    band,
    light_queries,
    modality_pair,
)
from service.security.access import Access

__all__ = [
    "LEAST",
    "POSSIBLE",
    "STRONG",
    "Band",
    "Example",
    "Match",
    "ModelMismatch",
    "Pair",
    "PhotoLookup",
    "PhotoPersonVector",
    "ResolvedExample",
    "SearchError",
    "SearchOutcome",
    "Searcher",
    "UnknownExample",
    "band",
    "modality_pair",
]

MAX_EXAMPLES = 20
_REEMBED = "`tapetum gallery reembed` brings it to the gallery's model, if its pictures are still there."
_SEND_AGAIN = (
    "Send it again; if that does not help, this service has loaded another model: `tapetum gallery reembed` brings the "
    "gallery to it."
)


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
class ResolvedExample:
    """An example that is there: its vector ``float32[D]``, and its record where it is a sighting."""

    example: Example
    vector: FloatArray = field(repr=False)
    modality: Modality
    record: TrackletRecord | None = None


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
        labels: what people call models, by hash.
    """

    def __init__(
        self,
        gallery: Gallery,
        index: VectorIndex,
        photo: PhotoLookup,
        calibration: Calibration | None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._gallery = gallery
        self._index = index
        self._photo = photo
        self._labels = labels or {}
        self._ranker = Ranker(gallery, index, calibration)

    @property
    def model_hash(self) -> str:
        """Of the model whose vectors are searched."""
        return self._index.model_hash

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
        rerank: bool = False,
    ) -> SearchOutcome:
        """The `k` most similar sightings that pass the filters, among those that the account may see.

        Several examples of one kind of light are one query: the mean of their unit vectors. With examples of both,
        a sighting counts by the one that it is likelier to match. An example outside the account's scope, or in
        somebody else's photo, is one that is not there. A cosine across the lights is lower than one within a
        light, so a calibrated model's answers are ranked by probability; otherwise by cosine.

        Args:
            exclude_example_cameras: leave out the cameras that the example sightings are of.
            min_probability: leave out what is less likely.
            rerank: order the first hundreds by their k-reciprocal neighbours; probabilities stay as they are.

        Raises:
            SearchError: nothing to search with, too many examples, k or a probability out of range, or a least
                probability for a model that has none.
            UnknownExample: an example is not there.
            ModelMismatch: an example was made by another model than the gallery.
            GalleryUnavailable: Redis is away.
        """
        return self.answer(
            self.resolve(examples, access),
            filters,
            k,
            access=access,
            exclude_examples=exclude_examples,
            exclude_example_cameras=exclude_example_cameras,
            min_probability=min_probability,
            rerank=rerank,
        )

    def answer(
        self,
        examples: Sequence[ResolvedExample],
        filters: GalleryFilter | None = None,
        k: int = 50,
        *,
        access: Access,
        exclude_examples: bool = True,
        exclude_example_cameras: bool = False,
        min_probability: float | None = None,
        rerank: bool = False,
        confirmed: Sequence[TrackletRecord] = (),
        left_out: Callable[[TrackletRecord], bool] = lambda _: False,
    ) -> SearchOutcome:
        """The same with examples that `resolve` gave.

        Args:
            confirmed: sightings that join the examples as equals; their cameras are not left out.
            left_out: judges each sighting that was found.
        """
        started = time.perf_counter()
        if not 1 <= k <= MAX_K:
            raise SearchError(f"k: expected 1 to {MAX_K}, got {k}")
        self._check_least(min_probability)
        records = [one.record for one in examples if one.record is not None]
        for record in confirmed:
            self._check_model(record.model_hash, "A confirmed sighting", _REEMBED)
        filters = access.narrowed(filters)
        if exclude_examples:
            filters = replace(filters, exclude_ids=filters.exclude_ids | {r.id for r in records})
        if exclude_example_cameras:
            filters = replace(filters, exclude_cameras=filters.exclude_cameras | {r.camera_id for r in records})
        known = [(one.vector, one.modality) for one in examples] + [(r.vector, r.modality) for r in confirmed]
        queries = light_queries([vector for vector, _ in known], [light for _, light in known])
        matches = self._ranker.ranked(
            queries, k, filters, access, least=min_probability, rerank=rerank, left_out=left_out
        )
        size, others = self.extent(access)
        return SearchOutcome(
            matches=tuple(matches),
            examples=tuple(records),
            gallery_size=size,
            generation=self._index.generation if access.cameras is None else None,
            left_out=others,
            took_s=time.perf_counter() - started,
        )

    def _check_least(self, probability: float | None) -> None:
        if probability is None:
            return
        if not 0 <= probability <= 1:
            raise SearchError(f"min_probability: expected 0 to 1, got {probability}")
        if not self._ranker.gives_probabilities:
            raise SearchError("min_probability: the model in use gives no probabilities")

    def extent(self, access: Access) -> tuple[int, int]:
        """How many sightings of the account's cameras can be found, and how many are there but cannot."""
        if access.cameras is None:
            stats = self._index.stats()
            return stats.rows, stats.other_model + stats.refused
        scope = access.narrowed()
        found = self._index.count(scope)
        return found, max(0, self._gallery.count(scope) - found)

    def resolve(self, examples: Sequence[Example], access: Access) -> list[ResolvedExample]:
        """The examples' vectors, in their order. Raises SearchError, UnknownExample, ModelMismatch."""
        if not 1 <= len(examples) <= MAX_EXAMPLES:
            raise SearchError(f"examples: expected 1 to {MAX_EXAMPLES}, got {len(examples)}")
        ids = [e.tracklet_id for e in examples if e.tracklet_id is not None]
        known = self._gallery.get_many(ids) if ids else {}
        return [self._resolved(example, known, access) for example in examples]

    def _resolved(self, example: Example, known: Mapping[str, TrackletRecord], access: Access) -> ResolvedExample:
        if example.photo_id is not None:
            person = self._photo(example.photo_id, example.person, access.account)
            if person is None:
                raise UnknownExample(
                    f"There is no person {example.person} in that photo, or the photo is older than an hour. "
                    "Send it again."
                )
            return self.resolved(example, person)
        record = known.get(example.tracklet_id or "")
        if record is None or not access.sees(record.camera_id):
            raise UnknownExample(f"There is no sighting {example.tracklet_id}; it may have been erased.")
        self._check_model(record.model_hash, "The sighting", _REEMBED)
        return ResolvedExample(example, record.vector, record.modality, record)

    def resolved(self, example: Example, person: PhotoPersonVector) -> ResolvedExample:
        """An example with the vector of a person. Raises ModelMismatch."""
        self._check_model(person.model_hash, "The photo", _SEND_AGAIN)
        return ResolvedExample(example, person.vector, person.modality)

    def _check_model(self, model_hash: str, what: str, todo: str) -> None:
        if model_hash != self._index.model_hash:
            raise ModelMismatch(
                f"{what} is of the model {self._named(model_hash)}, and the gallery is searched by the model "
                f"{self._named(self._index.model_hash)}: their vectors cannot be compared. {todo}"
            )

    def _named(self, model_hash: str) -> str:
        label = self._labels.get(model_hash)
        return f"“{label}” ({model_hash[:12]})" if label else model_hash[:12]
