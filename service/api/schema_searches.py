"""What the API takes and gives about searches that are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.api.schema import Closed, PlainText, SearchExample, SearchFilters, SearchMatch, SearchReason, Tracklet
from service.search_store import VerdictKind

__all__ = [
    "Feedback",
    "FeedbackRequest",
    "KeptSearch",
    "KeptSearchGroup",
    "KeptSearchGroups",
    "KeptSearchList",
    "KeptSearchRequest",
    "KeptSearchSummary",
    "SearchChange",
]

_EXAMPLE: dict[str, Any] = {
    "examples": [
        {
            "examples": [{"tracklet_id": "01K9ZB3Q0V5W1T8R6J2N4M7XCD"}],
            "filters": {"min_band": "possible", "exclude_example_cameras": True},
            "k": 200,
            "reason": "Missing child, case 2026-118",
        }
    ]
}


class KeptSearchRequest(Closed):
    model_config = ConfigDict(json_schema_extra=_EXAMPLE)

    examples: list[SearchExample] = Field(min_length=1, max_length=20)
    filters: SearchFilters = SearchFilters()
    k: int = Field(200, ge=1, le=1000, description="How many matches an answer holds at most.")
    rerank: bool = Field(
        False, description="Order the first 300 by k-reciprocal neighbours; probabilities stay as they are."
    )
    reason: SearchReason | None = Field(None, description="Why; goes to the audit log. Some installations require it.")


SearchName = Annotated[PlainText, Field(min_length=1, max_length=120, examples=["Red jacket, Friday night"])]


class SearchChange(Closed):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Red jacket, Friday night"}]})

    name: SearchName | None = Field(description="Null takes the name away.")


class KeptSearchSummary(BaseModel):
    id: str
    name: str | None = Field(description="Given by its account.")
    created_at: datetime
    answered_at: datetime = Field(description="When the answer that is shown was made.")
    expires_at: datetime
    revision: int = Field(description="Of the answer; refreshing and feedback make the next one.")
    reason: str | None


class KeptSearchList(BaseModel):
    items: list[KeptSearchSummary] = Field(description="Newest first; of an account at most 200 are kept.")


class Feedback(BaseModel):
    """What somebody thinks of a sighting."""

    tracklet: Tracklet
    verdict: VerdictKind
    account: str
    token: str | None = Field(description="Name of the API token it came by; null for a session.")
    at: datetime


class FeedbackRequest(Closed):
    verdict: VerdictKind


class KeptSearch(KeptSearchSummary):
    """A page of a search's answer, and how the answer stands to the gallery of now."""

    examples: list[SearchExample] = Field(description="Without sightings that are gone.")
    examples_gone: int = Field(description="Example sightings that were erased or are out of scope.")
    filters: SearchFilters
    k: int
    rerank: bool
    model_hash: str = Field(description="Of the model that the answer is of.")
    total: int = Field(description="Matches of the whole answer.")
    matches: list[SearchMatch]
    next_cursor: str | None = Field(
        None, description="Give it back to go on; null at the end. Good until the answer's revision changes."
    )
    feedback: list[Feedback]
    gallery_changed: bool = Field(description="Whether the same question may be answered differently now.")
    new_sightings: int | None = Field(description="That came into the searched part since; null when not known.")
    revised_sightings: int | None = Field(description="That were there and have grown since; null when not known.")
    changes_exact: bool = Field(description="False: there may be more of both.")
    other_model: bool = Field(
        description="The gallery is searched by another model than when this was answered: the likelihoods do not "
        "compare. Refresh it; a photo must be sent again."
    )
    vanished: int = Field(description="Sightings of the answer that are erased or were removed.")
    scope_widened: bool = Field(description="The account sees cameras now that the answer is not about.")
    note: str = Field(description="What an answer, and an empty one, means.")


class KeptSearchGroup(BaseModel):
    camera_id: str | None = Field(description="Null for a group of a time.")
    camera_name: str | None
    since: datetime = Field(description="When the first sighting begins.")
    until: datetime = Field(description="When the last one ends.")
    count: int
    best: SearchMatch
    tracklet_ids: list[str] = Field(description="Best first.")


class KeptSearchGroups(BaseModel):
    revision: int
    total: int
    groups: list[KeptSearchGroup]
