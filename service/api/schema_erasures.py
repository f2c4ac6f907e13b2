"""What the API takes and gives about erasure and legal hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from service.api.schema import Closed, PlainText, TrackletId

__all__ = ["Erasure", "ErasureRequest", "HoldInfo", "HoldRequest"]

Reason = Annotated[PlainText, Field(min_length=1, max_length=500, examples=["Request of the person, 2026-118"])]


class ErasureRequest(Closed):
    tracklet_ids: list[TrackletId] = Field(min_length=1, max_length=1000)
    reason: Reason


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
