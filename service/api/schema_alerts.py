"""What the API takes and gives about the watchlist and its alerts."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.types import Modality
from service.alerts import Hours, WatchState
from service.api.schema import CameraId, Changes, Closed, Moment, PlainText, SearchExample, TrackletId
from service.search import Pair

__all__ = [
    "AcknowledgementRequest",
    "AlertInfo",
    "AlertList",
    "WatchEntryChange",
    "WatchEntryCreate",
    "WatchEntryInfo",
    "WatchEntryList",
    "WatchHours",
]

Name = Annotated[PlainText, Field(min_length=1, max_length=120, examples=["Missing boy, red bag"])]
Reason = Annotated[
    PlainText,
    Field(max_length=500, description="Why; every alert says it, and the audit log.", examples=["Case 2026-118"]),
]
Threshold = Annotated[
    float,
    Field(
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="Least probability that a sighting shows the same person. The model's calibration gives it; see "
        "docs/search.md for what it is worth.",
        examples=[0.9],
    ),
]
Cameras = Annotated[list[CameraId], Field(min_length=1, max_length=1000)]
Revision = Annotated[int, Field(ge=1, description="The revision that you have seen; another one is a conflict.")]


class WatchHours(Closed):
    """Hours of every day by the clocks of a zone. 22:00 to 06:00 is a night; summer time is the zone's."""

    start: time = Field(examples=["22:00"])
    end: time = Field(description="Not included.", examples=["06:00"])
    zone: str = Field(max_length=60, examples=["Europe/Berlin"])

    @model_validator(mode="after")
    def _checked(self) -> WatchHours:
        self.of_entry()
        return self

    def of_entry(self) -> Hours:
        return Hours(self.start, self.end, self.zone)


Expiry = Annotated[
    Moment, Field(description="With offset; at most 366 days ahead.", examples=["2026-12-24T18:00:00+01:00"])
]


class WatchEntryCreate(Closed):
    """Whom to look for: either `examples` or the confirmed sightings of a subject."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Missing boy, red bag",
                    "reason": "Case 2026-118",
                    "examples": [{"tracklet_id": "01K9ZB3Q0V5W1T8R6J2N4M7XCD"}],
                    "threshold": 0.9,
                    "cameras": ["car-park-north"],
                    "hours": {"start": "22:00", "end": "06:00", "zone": "Europe/Berlin"},
                    "expires_at": "2026-12-24T18:00:00+01:00",
                }
            ]
        }
    )

    name: Name
    reason: Reason
    examples: list[SearchExample] = Field([], max_length=20, description="Sightings, and persons of uploaded photos.")
    subject_id: TrackletId | None = Field(None, description="Its best sightings of now, at most 20, are taken.")
    threshold: Threshold
    cameras: Cameras | None = Field(None, description="Null: all that you see now.")
    hours: WatchHours | None = Field(None, description="Null: the whole day.")
    expires_at: Expiry

    @model_validator(mode="after")
    def _one_kind(self) -> WatchEntryCreate:
        if bool(self.examples) == (self.subject_id is not None):
            raise ValueError("give either examples or subject_id")
        return self


class WatchEntryChange(Changes):
    """Only the fields given are changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"revision": 1, "threshold": 0.95, "hours": None}]})
    clearable = frozenset({"cameras", "hours"})

    revision: Revision
    name: Name | None = None
    reason: Reason | None = None
    threshold: Threshold | None = None
    cameras: Cameras | None = Field(None, description="Null: all that the entry was made for.")
    hours: WatchHours | None = Field(None, description="Null: the whole day.")
    expires_at: Expiry | None = None
    enabled: bool | None = Field(None, description="False pauses it.")

    def of_entry(self) -> dict[str, Any]:
        """The fields of an entry that change."""
        changes = self.given()
        del changes["revision"]
        if self.cameras is not None:
            changes["cameras"] = frozenset(self.cameras)
        if self.hours is not None:
            changes["hours"] = self.hours.of_entry()
        return changes


class WatchedExample(BaseModel):
    """What is looked for; a sighting of a camera that the account does not see is told without its id."""

    kind: Literal["tracklet", "photo", "erased"]
    modality: Modality
    tracklet_id: str | None
    camera_id: str | None


class WatchEntryInfo(BaseModel):
    id: str = Field(examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])
    revision: int
    name: str
    reason: str
    owner: str = Field(description="With whose rights it looks.", examples=["night-desk"])
    state: WatchState = Field(description="`watching`, or why it does not.")
    subject_id: str | None = Field(description="The subject that it was made from.")
    examples: list[WatchedExample]
    threshold: float
    cameras: list[str] | None = Field(description="Those it watches, of the ones that the account sees; null for all.")
    hours: WatchHours | None
    expires_at: datetime
    enabled: bool
    examples_until: datetime | None = Field(
        description="About when retention will have removed all sightings that it looks for: then it ends, unless one "
        "is held. Null where it has a photo, or a sighting is kept for ever."
    )
    created_at: datetime
    changed_at: datetime
    changed_by: str


class WatchEntryList(BaseModel):
    items: list[WatchEntryInfo] = Field(description="Newest first.")
    next_cursor: str | None = Field(None, description="Give it back to go on; null at the end.")


class AlertEntry(BaseModel):
    """The entry that fired, as it was then."""

    id: str
    name: str
    reason: str
    owner: str


class AlertAcknowledgement(BaseModel):
    account: str = Field(description="Who was first.")
    at: datetime
    note: str | None


_ALERT: dict[str, Any] = {
    "id": "01K9ZC5R8E2M7Q4B9X6T1V3NWP",
    "entry": {
        "id": "01K9ZB3Q0V5W1T8R6J2N4M7XCD",
        "name": "Missing boy, red bag",
        "reason": "Case 2026-118",
        "owner": "night-desk",
    },
    "example": {
        "kind": "tracklet",
        "modality": "visible",
        "tracklet_id": "01K9Z9M2T6S0C4D8F1G5H7JKRN",
        "camera_id": "car-park-north",
    },
    "tracklet_id": "01K9ZC5R7YB3D6F9H2K5M8P1QS",
    "camera_id": "gate-night",
    "camera_name": "Gate, infrared",
    "modality": "infrared",
    "modality_pair": "VI",
    "probability": 0.94,
    "threshold": 0.9,
    "cosine": 0.71,
    "model_hash": "5f2c0d9a",
    "started_at": "2026-11-25T21:14:03+00:00",
    "captured_at": "2026-11-25T21:14:06+00:00",
    "indexed_at": "2026-11-25T21:14:06.912000+00:00",
    "alerted_at": "2026-11-25T21:14:06.934112+00:00",
    "clock_doubted": False,
    "acknowledged": None,
}


class AlertInfo(BaseModel):
    """Somebody was perhaps seen, and why this was said: evidence, never proof."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ALERT]})

    id: str
    entry: AlertEntry
    example: WatchedExample = Field(description="What the sighting resembles most.")
    tracklet_id: str = Field(description="The sighting.")
    camera_id: str
    camera_name: str
    modality: Modality
    modality_pair: Pair = Field(description="Lights of example and sighting: VV, II or VI.")
    probability: float = Field(description="That both show the same person, by the calibration of that pair.")
    threshold: float = Field(description="Of the entry, when it fired.")
    cosine: float
    model_hash: str
    started_at: datetime = Field(description="When the sighting began, by the camera's clock.")
    captured_at: datetime = Field(description="The newest picture that led to the alert.")
    indexed_at: datetime = Field(description="When the sighting was written to the gallery.")
    alerted_at: datetime
    clock_doubted: bool = Field(description="The camera's clock is far off; hours were judged by `indexed_at`.")
    acknowledged: AlertAcknowledgement | None


class AlertList(BaseModel):
    items: list[AlertInfo] = Field(description="Newest first. A page may be short and still have a next one.")
    next_cursor: str | None = Field(None, description="Give it back to go on; null at the end.")


class AcknowledgementRequest(Closed):
    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "Sent somebody to the gate."}]})

    note: PlainText | None = Field(None, max_length=500)
