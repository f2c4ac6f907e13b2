"""What the API takes and gives about accounts, tokens and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.api.schema import CameraId, Changes, Closed, PlainText
from service.security.access import Role
from service.security.passwords import MAX_PASSWORD_LENGTH

__all__ = [
    "AuditEntry",
    "AuditPage",
    "AuditVerification",
    "PasswordChange",
    "TokenCreate",
    "TokenCreated",
    "TokenInfo",
    "TokenList",
    "User",
    "UserChange",
    "UserCreate",
    "UserCreated",
    "UserList",
]

Password = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_PASSWORD_LENGTH,
        description="At least 12 characters, 5 of them different.",
        json_schema_extra={"format": "password", "writeOnly": True},
    ),
]
UserName = Annotated[str, Field(min_length=1, max_length=64, examples=["night-desk"])]
Cameras = Annotated[list[CameraId], Field(min_length=1, max_length=1000)]


class User(BaseModel):
    account: str
    role: Role
    cameras: list[str] | None = Field(description="The cameras this account sees; null for all.")
    active: bool
    single_sign_on: bool = Field(description="Logs in at the login service; no password, role and cameras from there.")
    created_at: datetime
    changed_at: datetime


class UserList(BaseModel):
    items: list[User]
    next_cursor: str | None = Field(None, description="Give it back to go on; null at the end.")


class UserCreate(Closed):
    account: UserName
    role: Role = Role.VIEWER
    cameras: Cameras | None = Field(None, description="Only these cameras; all when left out or null.")
    password: Password | None = Field(None, description="Left out: a fresh one is made and shown once.")


class UserCreated(User):
    password: str | None = Field(description="The fresh password, shown this once; null when one was given.")


class UserChange(Changes):
    """Only the fields given are changed; the account's sessions end."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "operator", "cameras": ["car-park-north"]}]})
    clearable = frozenset({"cameras"})

    role: Role | None = None
    cameras: Cameras | None = Field(None, description="null: all cameras.")
    active: bool | None = None
    password: Password | None = None


class PasswordChange(Closed):
    current: Annotated[
        str, Field(min_length=1, max_length=256, json_schema_extra={"format": "password", "writeOnly": True})
    ]
    new: Password


class TokenInfo(BaseModel):
    id: str
    name: str
    account: str
    role: Role = Field(description="At most this; less where the account itself may less by now.")
    cameras: list[str] | None = Field(description="At most these cameras; null for all that the account sees.")
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = Field(description="To the minute.")


class TokenList(BaseModel):
    items: list[TokenInfo]


class TokenCreate(Closed):
    name: PlainText = Field(min_length=1, max_length=80, examples=["nightly report"])
    expires_in_days: float = Field(90, ge=0.001, le=366)
    role: Role | None = Field(None, description="At most the account's, which it is when left out.")
    cameras: Cameras | None = Field(None, description="At most the account's, which they are when left out.")


class TokenCreated(TokenInfo):
    token: str = Field(description="Shown this once. Send it as `Authorization: Bearer`.")


class AuditEntry(BaseModel):
    seq: int
    at: str | None
    event: str | None = Field(examples=["search"])
    account: str | None
    token: str | None = Field(description="Name of the API token that was used; null for a session.")
    address: str | None
    request_id: str | None
    details: dict[str, Any] | None
    previous: str | None = Field(description="Hash of the entry before.")
    hash: str | None


class AuditVerification(BaseModel):
    verified_at: datetime
    intact: bool
    checked: int = Field(description="Entries in order, from the first on.")
    head: str | None = Field(description="NUMBER:HASH of the last of them. Note it elsewhere; it pins all before.")
    broken_at: int | None = Field(description="The first entry that is not as it was written.")
    reason: str | None


class AuditPage(BaseModel):
    items: list[AuditEntry]
    next_cursor: int | None = Field(description="Give it back to go on; null at the end.")
    head: str | None = Field(description="NUMBER:HASH of the newest entry.")
    verification: AuditVerification | None = Field(description="The last one this process has made; null before it.")
