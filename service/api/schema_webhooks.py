"""What the API takes and gives about webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.api.schema import CameraId, Changes, Closed, PlainText, TrackletId

__all__ = [
    "DeadLetterInfo",
    "DeadLetterList",
    "ResendRequest",
    "Resent",
    "WebhookChange",
    "WebhookCreate",
    "WebhookCreated",
    "WebhookInfo",
    "WebhookList",
    "WebhookTest",
]

Name = Annotated[PlainText, Field(min_length=1, max_length=120, examples=["Control room"])]
Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2048,
        description="https; http only inside networks that the settings allow. Write-only but for its host.",
        examples=["https://hooks.example/tapetum"],
        json_schema_extra={"writeOnly": True},
    ),
]
Secret = Annotated[
    str,
    Field(
        max_length=120,
        description="`whsec_` and 24 to 64 random bytes in base64, as Standard Webhooks says.",
        json_schema_extra={"format": "password", "writeOnly": True},
    ),
]
Cameras = Annotated[list[CameraId], Field(min_length=1, max_length=1000)]


class WebhookCreate(Closed):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Control room", "url": "https://hooks.example/tapetum", "cameras": ["gate"]}]
        }
    )

    name: Name
    url: Url
    secret: Secret | None = Field(None, description="Left out: one is made and shown once.")
    cameras: Cameras | None = Field(None, description="Whose alerts it gets; null for all.")


class WebhookChange(Changes):
    """Only the fields given are changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": False}]})
    clearable = frozenset({"cameras"})

    name: Name | None = None
    url: Url | None = None
    secret: Secret | None = None
    cameras: Cameras | None = Field(None, description="Null: all.")
    enabled: bool | None = Field(None, description="While it is off nothing new is queued for it.")


class WebhookInfo(BaseModel):
    id: str = Field(examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])
    name: str
    target: str = Field(description="The address without its path.", examples=["https://hooks.example"])
    cameras: list[str] | None
    enabled: bool
    created_at: datetime
    changed_at: datetime
    attempted_at: datetime | None = Field(description="When something was last sent; null for never.")
    error: str | None = Field(description="Why that failed; null when it arrived.")
    waiting: int = Field(description="Alerts that are still to be sent.")
    dead: int = Field(description="Alerts that were given up.")


class WebhookCreated(WebhookInfo):
    secret: str | None = Field(description="The one that was made; it is never shown again.")


class WebhookList(BaseModel):
    items: list[WebhookInfo]


class WebhookTest(BaseModel):
    delivered: bool
    reason: str | None = Field(description="Why not.", examples=["The target answered 404."])


class DeadLetterInfo(BaseModel):
    alert_id: str
    given_up_at: datetime
    attempts: int
    error: str = Field(description="Of the last attempt.", examples=["The target did not answer within 10 s."])


class DeadLetterList(BaseModel):
    items: list[DeadLetterInfo] = Field(description="Newest first; of a webhook at most 10,000 are kept.")
    next_cursor: str | None = Field(None, description="Give it back to go on; null at the end.")


class ResendRequest(Closed):
    model_config = ConfigDict(json_schema_extra={"examples": [{"alert_ids": ["01K9ZB3Q0V5W1T8R6J2N4M7XCD"]}]})

    alert_ids: list[TrackletId] | None = Field(None, min_length=1, max_length=1000, description="Null: all.")


class Resent(BaseModel):
    count: int = Field(description="How many of them were dead and are sent again.")
