"""What the API takes and gives about cases, their notes and pins, and exports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from service.api.schema import Changes, Closed, PlainText, Tracklet, TrackletId, one_plain_line
from service.api.schema_subjects import Revision, Subject
from service.cases import CaseState, ExportState, PinKind
from service.cases.case import MAX_MEMBERS, MAX_NOTE_LENGTH

__all__ = [
    "Case",
    "CaseChange",
    "CaseCreate",
    "CasePage",
    "ExportInfo",
    "ExportList",
    "ExportRequest",
    "NoteCreate",
    "NoteInfo",
    "NotePage",
    "PinInfo",
    "PinPage",
    "PinRequest",
    "Pinned",
]


def _plain_lines(text: str) -> str:
    """Lines of ordinary writing. Raises ValueError for what could disguise what is written."""
    one_plain_line(text.replace("\r\n", "\n").replace("\n", " ").replace("\t", " "))
    return text.replace("\r\n", "\n").strip()


Title = Annotated[PlainText, Field(min_length=1, max_length=200, examples=["Bicycles from the north entrance"])]
AccountName = Annotated[str, Field(min_length=1, max_length=64, examples=["mara"])]
Text = Annotated[str, AfterValidator(_plain_lines), Field(min_length=1, max_length=MAX_NOTE_LENGTH)]
Reason = Annotated[PlainText, Field(min_length=1, max_length=500, examples=["Request of the police, 4711/26"])]


class CaseCreate(Closed):
    title: Title
    members: list[AccountName] = Field([], max_length=MAX_MEMBERS, description="Accounts that take part.")
    readers: list[AccountName] = Field([], max_length=MAX_MEMBERS, description="Accounts that only read it.")


class CaseChange(Changes):
    """Only the fields given change. Who takes part is the owner's matter, or of an administrator of all cameras."""

    revision: Revision
    title: Title | None = None
    state: CaseState | None = None
    owner: AccountName | None = None
    members: list[AccountName] | None = Field(None, max_length=MAX_MEMBERS)
    readers: list[AccountName] | None = Field(None, max_length=MAX_MEMBERS, description="Who is a member is none.")


class Case(BaseModel):
    id: str
    title: str
    state: CaseState = Field(description="Nothing is added to a closed case; it can be opened again.")
    owner: str
    members: list[str] = Field(description="They change it, as far as their role lets them.")
    readers: list[str] = Field(description="They read it; neither change nor export it.")
    revision: int
    created_at: datetime
    changed_at: datetime
    sighting_count: int | None = Field(
        None, description="Pinned, of the cameras that the account sees; only when one case is asked for."
    )
    subject_count: int | None = Field(None, description="The same of subjects, each once.")


class CasePage(BaseModel):
    items: list[Case]
    next_cursor: str | None = Field(None, description="Give it back to go on; null at the end.")


class NoteCreate(Closed):
    text: Text


class NoteInfo(BaseModel):
    id: str
    account: str
    at: datetime
    text: str


class NotePage(BaseModel):
    items: list[NoteInfo] = Field(description="Oldest first.")
    next_cursor: str | None = None


class PinRequest(Closed):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"tracklet_ids": ["01K9ZB3Q0V5W1T8R6J2N4M7XCD"], "note": "At the gate"}]}
    )

    tracklet_ids: list[TrackletId] = Field([], max_length=1000)
    subject_ids: list[TrackletId] = Field([], max_length=100)
    note: PlainText | None = Field(None, max_length=500, description="Why these are here.")

    @model_validator(mode="after")
    def _something(self) -> PinRequest:
        if not self.tracklet_ids and not self.subject_ids:
            raise ValueError("name a sighting or a subject")
        return self


class Pinned(BaseModel):
    added: int = Field(description="Those that were not pinned before.")


class PinInfo(BaseModel):
    """Either a sighting or a subject."""

    id: str = Field(description="Of the pin; take it out with it.")
    kind: PinKind
    account: str = Field(description="Who pinned it.")
    at: datetime
    note: str | None
    tracklet: Tracklet | None
    subject: Subject | None


class PinPage(BaseModel):
    items: list[PinInfo] = Field(description="The newest sightings and subjects first.")
    next_cursor: str | None = None


class ExportRequest(Closed):
    reason: Reason
    blur: bool = Field(True, description="Make bystanders unrecognisable.")


class ExportInfo(BaseModel):
    """A job: ask until it is done, then fetch the file."""

    id: str
    case_id: str
    account: str
    reason: str
    blurred: bool
    state: ExportState
    done: int = Field(description="Sightings written so far.")
    total: int
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime = Field(description="The file is removed then.")
    size_bytes: int | None
    sha256: str | None = Field(description="Of the file.")
    manifest_sha256: str | None = Field(description="Of the signed manifest; the audit log holds it too.")
    key: str | None = Field(description="Fingerprint of the key that signed it, for `tapetum exports verify --key`.")
    error: str | None


class ExportList(BaseModel):
    items: list[ExportInfo]
