"""What the API takes and gives about erasure and legal hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.schema import Closed, PlainText, TrackletId, one_of

__all__ = ["Erasure", "ErasureRequest", "HoldInfo", "HoldRequest"]

Reason = Annotated[PlainText, Field(min_length=1, max_length=500, examples=["Request of the person, 2026-118"])]


class ErasureRequest(Closed):
    """Sightings, or a subject: all that are confirmed in it and in the account's cameras."""

    model_config = ConfigDict(json_schema_extra=one_of(tracklet_ids="array", subject_id="string"))

    tracklet_ids: list[TrackletId] | None = Field(None, min_length=1, max_length=1000)
    subject_id: TrackletId | None = Field(None, description="Or one that it had before.")
    reason: Reason

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.tracklet_ids is None) == (self.subject_id is None):
            raise ValueError("expected either tracklet_ids or subject_id")
        return self


class Erasure(BaseModel):
    """The report of an erasure."""

    id: str
    at: datetime
    account: str
    reason: str
    tracklet_ids: list[str]
    records: int = Field(description="How many there were.")
    pictures: int
    missing: int = Field(description="Without a record; a late delivery of them is refused too.")
    compacted: list[str] = Field(description="What the server wrote anew, so that its files forget.")
    elsewhere: dict[str, int] = Field(description="In how many other places they were: subjects, cases, exports.")
    digest: str = Field(description="SHA-256 of the report; the audit log holds it.")


class HoldRequest(Closed):
    reason: Reason


class HoldInfo(BaseModel):
    reason: str
    account: str
    placed_at: datetime
