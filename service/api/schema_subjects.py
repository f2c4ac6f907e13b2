"""What the API takes and gives about subjects, proposals, timelines and ways between cameras."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from service.api.schema import CameraId, Closed, PlainText, SearchFilters, Tracklet, TrackletId

__all__ = [
    "ConflictInfo",
    "DecisionRequest",
    "PendingMerge",
    "Proposal",
    "Proposals",
    "ProposalsRequest",
    "Stay",
    "Subject",
    "SubjectChange",
    "SubjectCreate",
    "SubjectMerge",
    "SubjectMove",
    "SubjectPage",
    "SubjectSighting",
    "SubjectSplit",
    "SubjectTimeline",
    "TimelineSighting",
    "TransitionInfo",
    "WalkingTime",
    "WalkingTimeList",
    "WalkingTimeRequest",
]

Name = Annotated[PlainText, Field(min_length=1, max_length=120, examples=["Man with the red bag"])]
Revision = Annotated[int, Field(ge=1, description="The revision that you have seen; another one is a conflict.")]


class SubjectCreate(Closed):
    name: Name | None = Field(None, description="Left out: it is called by its number.")
    tracklet_ids: list[TrackletId] = Field(min_length=1, max_length=200, description="Confirmed sightings.")


class SubjectChange(Closed):
    revision: Revision
    name: Name | None = Field(description="Null takes the name away.")


class DecisionRequest(Closed):
    decision: Literal["confirmed", "rejected"]


class SubjectMerge(Closed):
    revision: Revision
    other_id: TrackletId
    other_revision: Revision


class SubjectSplit(Closed):
    revision: Revision
    tracklet_ids: list[TrackletId] = Field(min_length=1, max_length=1000, description="Taken out.")
    name: Name | None = Field(None, description="Of the new subject.")


class SubjectMove(Closed):
    revision: Revision
    tracklet_ids: list[TrackletId] = Field(min_length=1, max_length=1000, description="Taken out.")
    other_id: TrackletId = Field(description="The subject that they are of.")
    other_revision: Revision


class SubjectSighting(BaseModel):
    tracklet_id: str
    camera_id: str
    camera_name: str
    decision: Literal["confirmed", "pending", "rejected"] = Field(
        description="Pending: one person confirmed it, and a second one has to."
    )
    account: str = Field(description="Who decided; of a pending one, who proposed it.")
    at: datetime
    proposed_by: str | None = Field(description="Of two who confirmed it, the first.")
    proposed_at: datetime | None


class PendingMerge(BaseModel):
    """Somebody wants to merge another subject into this one, and a second person has to agree."""

    subject_id: str
    account: str
    at: datetime


class Subject(BaseModel):
    """A person as far as people have decided: evidence put together, never proof."""

    id: str
    number: int = Field(description="Counts up; what an unnamed subject is called by.")
    name: str | None
    revision: int
    account: str = Field(description="Who made it.")
    created_at: datetime
    changed_at: datetime
    confirmed_count: int = Field(description="Of the cameras that the account sees.")
    pending_count: int = Field(description="That wait for a second person, likewise.")
    previous_ids: list[str] = Field(description="Subjects that were merged into this one; each still leads here.")
    split_from: str | None = Field(description="The subject that these sightings were taken out of.")
    sightings: list[SubjectSighting] | None = Field(None, description="Only when one subject is asked for.")
    pending_merges: list[PendingMerge] | None = Field(None, description="Likewise.")


class SubjectPage(BaseModel):
    items: list[Subject]
    next_cursor: str | None = Field(None, description="Give it back to go on; null at the end.")


class ProposalsRequest(Closed):
    filters: SearchFilters = SearchFilters()
    min_probability: float = Field(0.4, ge=0, le=1, description="Less likely sightings are not proposed.")
    limit: int = Field(50, ge=1, le=500)
    reason: PlainText | None = Field(None, max_length=500, description="As of every search.")


class Proposal(BaseModel):
    """Probably the same person. Nothing is linked until somebody confirms it."""

    tracklet: Tracklet
    probability: float
    cosine: float
    subject_id: str | None = Field(description="The other subject that has confirmed it; confirming is merging.")
    impossible: bool = Field(description="It contradicts a confirmed sighting: too far away for the time.")
    contradicts: list[str] = Field(description="Those confirmed sightings.")


class Proposals(BaseModel):
    items: list[Proposal]
    examples: list[str] = Field(description="The confirmed sightings that were searched with.")
    note: str


class TimelineSighting(BaseModel):
    tracklet: Tracklet
    dwell_s: float


class TransitionInfo(BaseModel):
    """From one camera's sighting to the next one at another camera."""

    from_tracklet_id: str
    to_tracklet_id: str
    from_camera_id: str
    to_camera_id: str
    gap_s: float = Field(description="Negative when the sightings overlap.")
    least_s: float | None = Field(description="That the way takes; null when it is not known.")
    impossible: bool


class ConflictInfo(BaseModel):
    tracklet_ids: tuple[str, str]
    gap_s: float
    least_s: float


class Stay(BaseModel):
    camera_id: str
    camera_name: str
    sightings: int
    dwell_s: float = Field(description="Time that several sightings saw at once is counted once.")


class SubjectTimeline(BaseModel):
    """Where a subject was when, of the cameras that the account sees."""

    subject_id: str
    first_seen: datetime | None
    last_seen: datetime | None
    sightings: list[TimelineSighting] = Field(description="Oldest first.")
    transitions: list[TransitionInfo]
    stays: list[Stay]
    conflicts: list[ConflictInfo] = Field(description="Pairs of sightings that cannot be of one person; at most 200.")
    conflict_count: int
    max_speed_mps: float = Field(description="What was taken for possible.")


class WalkingTimeRequest(Closed):
    seconds: float = Field(ge=0, le=86400, description="Nobody gets from one camera's view to the other's faster.")


class WalkingTime(BaseModel):
    camera_ids: list[CameraId] = Field(min_length=2, max_length=2)
    seconds: float


class WalkingTimeList(BaseModel):
    items: list[WalkingTime]
    next_cursor: str | None = Field(None, description="Give it back to go on; null at the end.")
