"""Where, when and how surely: the filters of a search as the page holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models.types import Modality
from service.gallery import GalleryFilter
from service.search import Example
from service.search_store import Question

__all__ = ["SearchScope"]

MATCHES = 200


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Everything of a question but who is looked for.

    Attributes:
        cameras: only these; None for all.
        elsewhere: leave out the cameras that the examples are of.
        least: leave out what is less likely.
        rerank: order the first places by their neighbours.
    """

    cameras: frozenset[str] | None = None
    modality: Modality | None = None
    since: datetime | None = None
    until: datetime | None = None
    least: float | None = None
    elsewhere: bool = False
    rerank: bool = False

    @classmethod
    def of(cls, question: Question) -> SearchScope:
        f = question.filters
        return cls(
            f.cameras,
            f.modality,
            f.since,
            f.until,
            question.min_probability,
            question.exclude_example_cameras,
            question.rerank,
        )

    @property
    def filters(self) -> GalleryFilter:
        return GalleryFilter(cameras=self.cameras, modality=self.modality, since=self.since, until=self.until)

    def question(self, examples: Sequence[Example], reason: str | None) -> Question:
        return Question(
            examples=tuple(dict.fromkeys(examples)),
            filters=self.filters,
            k=MATCHES,
            exclude_example_cameras=self.elsewhere,
            min_probability=self.least,
            rerank=self.rerank,
            reason=reason,
        )
