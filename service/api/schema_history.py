"""What the API tells of what happened over time."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from models.types import Modality
from pipeline.camera import CameraState
from service.api.schema import CameraId

__all__ = [
    "CameraHistory",
    "CameraHistoryBucket",
    "CameraStateChange",
    "HistoryState",
    "SystemHistory",
    "SystemHistoryBucket",
]

HistoryState = CameraState | Literal["waiting"]
Counts = dict[str, int]


class CameraStateChange(BaseModel):
    """From `at` on a camera was in a state, until the next change."""

    at: datetime
    state: HistoryState = Field(description="`waiting`: no worker followed the camera.")
    reason: str | None = Field(None, description="What the worker said of it.")
    worker_id: str | None = None


class CameraHistoryBucket(BaseModel):
    """One camera for one step, as far as workers told of it."""

    start: datetime
    followed_s: float = Field(description="For how long a worker followed the camera.")
    states_s: dict[CameraState, float] = Field(description="For how long it was in each state.")
    light_s: dict[Modality, float] = Field(description="For how long it showed day (visible) and night (infrared).")
    decoded: int = Field(description="Frames decoded.")
    analysed: int = Field(description="Frames analysed.")
    decoded_fps: float | None = Field(description="A second of the time that a worker followed it.")
    analysed_fps: float | None
    skipped: Counts = Field(description="Frames not analysed, by reason.")
    reconnects: int
    tracklets: int = Field(description="Sightings handed over.")
    tracklets_refused: Counts = Field(description="Sightings not kept, by reason.")
    latency_p95_s: float | None = Field(description="Capture to tracked box: the highest 95th percentile reported.")
    clock_offset_s: float | None = Field(description="The camera's clock against the server's, at the end of the step.")


class CameraHistory(BaseModel):
    camera_id: CameraId
    since: datetime
    until: datetime
    step_s: int = Field(description="The length of the steps: that asked for, or the shortest that is still kept.")
    items: list[CameraHistoryBucket] = Field(description="Oldest first; without steps in which nobody told anything.")
    changes: list[CameraStateChange] = Field(
        description="Oldest first. The first may lie before `since`: it says how the camera was then."
    )


class SystemHistoryBucket(BaseModel):
    """The whole installation for one step."""

    start: datetime
    analysed: int = Field(description="Frames analysed, of all cameras.")
    analysed_fps: float = Field(description="A second of the step.")
    tracklets: int = Field(description="Sightings handed over.")
    skipped: Counts = Field(description="Frames not analysed, by reason.")
    reconnects: int
    queued: dict[str, float] = Field(description="Sightings that waited on a worker's disk: the mean, by worker.")
    gallery_size: float | None = Field(description="Sightings in the index, at the end of the step.")
    alerts_waiting: float | None = Field(description="Changes of the gallery that waited to be matched: the most.")
    searches: int
    search_p50_s: float | None = Field(description="Time of an exact search, half of them; at most 9 % too high.")
    search_p95_s: float | None
    memory_bytes: dict[str, float] = Field(description="Resident memory by process and of Redis: the most.")


class SystemHistory(BaseModel):
    since: datetime
    until: datetime
    step_s: int
    items: list[SystemHistoryBucket] = Field(description="Oldest first; without steps in which nobody told anything.")
