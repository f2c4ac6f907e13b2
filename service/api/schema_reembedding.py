"""What the API takes and gives about re-embedding the gallery."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from service.api.schema import Closed, ModelInfo
from service.reembedding import JobState

__all__ = ["Reembedding", "ReembeddingFailure", "ReembeddingJob", "ReembeddingRequest"]


class ReembeddingRequest(Closed):
    accept_losses: bool = Field(
        False, description="Go over to the model also when more than a tenth of the sightings cannot be embedded."
    )


class ReembeddingFailure(BaseModel):
    tracklet_id: str
    reason: str


class ReembeddingJob(BaseModel):
    """A re-embedding: running, paused, or the last one."""

    state: JobState
    model: ModelInfo = Field(description="To which the gallery goes over.")
    account: str
    started_at: datetime
    working: bool = Field(description="Whether a process is at it. If none is, none has this model loaded.")
    total: int = Field(description="Sightings, when the present walk through the gallery began.")
    seen: int = Field(description="Of them, how many were looked at in this walk.")
    embedded: int
    failed: int
    failures: list[ReembeddingFailure] = Field(description="The first hundred; they keep the vectors they have.")
    watch_entries: int = Field(description="Of the watchlist, made from photos: they must be made again.")
    error: str | None = Field(description="What it waits for, or why it paused.")


class Reembedding(BaseModel):
    gallery_model: ModelInfo = Field(description="By which the gallery is searched now.")
    loaded_model: ModelInfo = Field(description="Of this process, for photos; a new re-embedding goes to it.")
    job: ReembeddingJob | None = Field(description="Null when there never was one.")
