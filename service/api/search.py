"""Search the gallery for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool

from service.api.access import Searching
from service.api.schema import ModelInfo, SearchAnswer, SearchMatch, SearchRequest
from service.api.scoped import Scoped
from service.api.tracklets import tracklet_shown
from service.problems import Problem
from service.search import Example, Match, SearchOutcome

__all__ = ["NOTE", "match_shown", "router"]

router = APIRouter(prefix="/search", tags=["search"])
NOTE = (
    "Ranked by likeness: evidence, never proof. An answer without matches, or without the person, does not mean "
    "that the person was not there."
)
_RESPONSES: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "An example is not there, or no longer."},
    409: {"model": Problem, "description": "Example and gallery come from different models."},
}


@router.post("", operation_id="search", summary="Search for a person", responses=_RESPONSES)
async def search(request: SearchRequest, scoped: Searching) -> SearchAnswer:
    """Give sightings, persons of photos, or both; several examples of one person are better than one.

    The search is exact: filters are applied before it, and the scope asked for is never widened.
    """
    f = request.filters

    def run() -> SearchAnswer:
        examples = [Example(e.tracklet_id, e.photo_id, e.person) for e in request.examples]
        outcome = scoped.search(
            examples,
            f.of_gallery,
            request.k,
            reason=request.reason,
            exclude_examples=f.exclude_examples,
            exclude_example_cameras=f.exclude_example_cameras,
            min_probability=f.least,
            rerank=request.rerank,
        )
        return _shown(scoped, outcome)

    async with scoped.search_slots:
        return await run_in_threadpool(run)


def _shown(scoped: Scoped, outcome: SearchOutcome) -> SearchAnswer:
    names = scoped.camera_names()
    model = scoped.gallery_model()
    return SearchAnswer(
        matches=[match_shown(m, names) for m in outcome.matches],
        model=ModelInfo(hash=model.hash, label=model.label),
        gallery_size=outcome.gallery_size,
        gallery_generation=outcome.generation,
        left_out_other_model=outcome.left_out,
        took_ms=outcome.took_s * 1000,
        note=NOTE,
    )


def match_shown(match: Match, names: Mapping[str, str]) -> SearchMatch:
    """A match as the API tells of it."""
    return SearchMatch(
        rank=match.rank,
        tracklet=tracklet_shown(match.record, names),
        cosine=match.cosine,
        probability=match.probability,
        band=match.band,
        modality_pair=match.pair,
    )
