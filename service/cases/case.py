"""One case, its notes and its pins, and their form as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

__all__ = [
    "MAX_MEMBERS",
    "MAX_NOTES",
    "MAX_NOTE_LENGTH",
    "MAX_PINS",
    "Case",
    "CaseState",
    "Member",
    "Note",
    "Pin",
    "PinKind",
]

T = TypeVar("T")
MAX_PINS = 10_000
MAX_NOTES = 2000
MAX_NOTE_LENGTH = 10_000
MAX_MEMBERS = 100


class CaseState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"  # nothing is added or taken out; it can be read, exported and opened again


class PinKind(StrEnum):
    TRACKLET = "tracklet"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Member:
    """An account that takes part.

    Attributes:
        since: when the account was made: a later account of the same name is somebody else.
    """

    account: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """The head of a case. `revision` rises with every change of it; notes and pins do not change it.

    Attributes:
        members: change it; readers: only read it. Nobody is both, and the owner neither.
    """

    id: str
    title: str
    state: CaseState
    owner: Member
    members: tuple[Member, ...]
    created_at: datetime
    changed_at: datetime
    revision: int = 1
    readers: tuple[Member, ...] = ()

    def takes_part(self, member: Member) -> bool:
        """Whether somebody may read it."""
        return self.may_change(member) or member in self.readers

    def may_change(self, member: Member) -> bool:
        return member == self.owner or member in self.members

    def changed(self, **changes: Any) -> Case:
        return replace(self, revision=self.revision + 1, changed_at=datetime.now(UTC), **changes)

    def to_text(self) -> str:
        """JSON."""
        return json.dumps(
            {
                "id": self.id,
                "title": self.title,
                "state": self.state.value,
                "owner": _member(self.owner),
                "members": [_member(one) for one in self.members],
                "readers": [_member(one) for one in self.readers],
                "created_at": self.created_at.isoformat(),
                "changed_at": self.changed_at.isoformat(),
                "revision": self.revision,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_text(cls, text: str | bytes) -> Case:
        """Read what `to_text` wrote. Raises ValueError for anything else."""
        return _read(
            text,
            lambda v: cls(
                id=v["id"],
                title=v["title"],
                state=CaseState(v["state"]),
                owner=_to_member(v["owner"]),
                members=tuple(_to_member(one) for one in v["members"]),
                readers=tuple(_to_member(one) for one in v.get("readers", ())),
                created_at=datetime.fromisoformat(v["created_at"]),
                changed_at=datetime.fromisoformat(v["changed_at"]),
                revision=int(v["revision"]),
            ),
        )


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote, and when. Notes are neither changed nor taken away."""

    id: str
    account: str
    at: datetime
    text: str

    def to_text(self) -> str:
        return json.dumps([self.account, self.at.isoformat(), self.text], separators=(",", ":"))

    @classmethod
    def from_text(cls, note_id: str, text: bytes) -> Note:
        return _read(text, lambda v: cls(note_id, str(v[0]), datetime.fromisoformat(v[1]), str(v[2])))


@dataclass(frozen=True, slots=True)
class Pin:
    """A sighting or a subject that belongs to a case, and who put it there.

    Attributes:
        id: of the sighting, or the subject's when it was pinned.
        camera_id: of the sighting; None for a subject, whose sightings are judged one by one.
        note: why it is here, in a line.
    """

    kind: PinKind
    id: str
    camera_id: str | None
    account: str
    at: datetime
    note: str | None = None

    def to_text(self) -> str:
        values = [self.kind.value, self.camera_id, self.account, self.at.isoformat(), self.note]
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_text(cls, pin_id: str, text: bytes) -> Pin:
        return _read(text, lambda v: cls(PinKind(v[0]), pin_id, v[1], str(v[2]), datetime.fromisoformat(v[3]), v[4]))


def _member(member: Member) -> list[str]:
    return [member.account, member.since.isoformat()]


def _to_member(value: list[str]) -> Member:
    return Member(value[0], datetime.fromisoformat(value[1]))


def _read(text: str | bytes, make: Callable[[Any], T]) -> T:
    try:
        return make(json.loads(text))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"expected a stored part of a case: {error!r}") from None
