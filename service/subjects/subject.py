"""One subject: sightings that were confirmed, wait for a second person, or were rejected, and the ids it had before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

__all__ = ["MAX_DECISIONS", "MAX_PREVIOUS", "Decision", "Proposed", "Subject"]

MAX_DECISIONS = 2000  # confirmed, pending and rejected sightings of one subject, of each
MAX_PREVIOUS = 500
_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Proposed:
    """What one person wants and a second one has to agree to."""

    account: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """Who confirmed, rejected or, of a pending one, proposed a sighting, and when. It never changes its camera.

    Attributes:
        proposed: of a sighting that two people confirmed, the first of them; `account` is the second.
    """

    camera_id: str
    account: str
    at: datetime
    proposed: Proposed | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A person as far as people have decided.

    Attributes:
        number: counts up over the installation; what an unnamed subject is called by.
        account: who made it.
        confirmed, pending, rejected: by sighting; a sighting is in at most one of them, and confirmed in one subject
            only. Pending ones wait for a second person; until then they are no part of the subject.
        pending_merges: by id of another subject, that somebody wants to merge into this one.
        previous_ids: subjects that were merged into this one, oldest first; each leads here.
        split_from: the subject whose sightings these were before somebody took them out.
        revision: rises with every change.
    """

    id: str
    number: int
    name: str | None
    account: str
    created_at: datetime
    changed_at: datetime
    revision: int = 1
    confirmed: Mapping[str, Decision] = field(default_factory=dict)
    rejected: Mapping[str, Decision] = field(default_factory=dict)
    pending: Mapping[str, Decision] = field(default_factory=dict)
    pending_merges: Mapping[str, Proposed] = field(default_factory=dict)
    previous_ids: tuple[str, ...] = ()
    split_from: str | None = None

    def __post_init__(self) -> None:
        confirmed, pending, rejected = self.confirmed.keys(), self.pending.keys(), self.rejected.keys()
        both = (confirmed & rejected) | (confirmed & pending) | (pending & rejected)
        if both:
            raise ValueError(f"expected one decision about a sighting, got two about {sorted(both)[0]}")

    @property
    def waits(self) -> bool:
        """Whether something of it waits for a second person."""
        return bool(self.pending or self.pending_merges)

    def decided(
        self,
        *,
        confirmed: Mapping[str, Decision] = _NONE,
        rejected: Mapping[str, Decision] = _NONE,
        pending: Mapping[str, Decision] = _NONE,
    ) -> Subject:
        """With new decisions; the latest about a sighting counts."""
        rest = self.without([*confirmed, *rejected, *pending])
        return replace(
            rest,
            confirmed={**rest.confirmed, **confirmed},
            rejected={**rest.rejected, **rejected},
            pending={**rest.pending, **pending},
        )

    def confirmed_by_two(self, decisions: Mapping[str, Decision]) -> Subject:
        """With sightings that one more person confirms: pending ones of somebody else become confirmed, others pending.

        One's own proposal stays as it is, and so does what is confirmed.
        """
        first = {one: d for one, d in decisions.items() if one not in self.confirmed and one not in self.pending}
        second = {
            one: replace(d, proposed=Proposed(self.pending[one].account, self.pending[one].at))
            for one, d in decisions.items()
            if one in self.pending and self.pending[one].account != d.account
        }
        return self.decided(confirmed=second, pending=first) if first or second else self

    def without(self, tracklet_ids: Iterable[str]) -> Subject:
        """As if nothing had been decided about these sightings."""
        gone = frozenset(tracklet_ids)
        return replace(
            self,
            confirmed={one: d for one, d in self.confirmed.items() if one not in gone},
            rejected={one: d for one, d in self.rejected.items() if one not in gone},
            pending={one: d for one, d in self.pending.items() if one not in gone},
        )

    def with_merged(self, other: Subject) -> Subject:
        """With everything of another subject, whose id leads here from now on."""
        confirmed, rejected = {**other.confirmed, **self.confirmed}, {**other.rejected, **self.rejected}
        pending = {**other.pending, **self.pending}
        merges = {**other.pending_merges, **self.pending_merges}
        return replace(
            self,
            name=self.name or other.name,
            confirmed=confirmed,
            rejected=rejected,
            pending={one: d for one, d in pending.items() if one not in confirmed and one not in rejected},
            pending_merges={one: p for one, p in merges.items() if one not in (self.id, other.id)},
            previous_ids=(*self.previous_ids, *other.previous_ids, other.id),
        )

    def next_revision(self) -> Subject:
        return replace(self, revision=self.revision + 1, changed_at=datetime.now(UTC))

    def to_text(self) -> str:
        """JSON."""
        return json.dumps(
            {
                "id": self.id,
                "number": self.number,
                "name": self.name,
                "account": self.account,
                "created_at": self.created_at.isoformat(),
                "changed_at": self.changed_at.isoformat(),
                "revision": self.revision,
                "confirmed": _written(self.confirmed),
                "rejected": _written(self.rejected),
                "pending": _written(self.pending),
                "pending_merges": {one: [p.account, p.at.isoformat()] for one, p in self.pending_merges.items()},
                "previous_ids": list(self.previous_ids),
                "split_from": self.split_from,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_text(cls, text: str | bytes) -> Subject:
        """Read what `to_text` wrote. Raises ValueError for anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            return cls(
                **values
                | {name: datetime.fromisoformat(values[name]) for name in ("created_at", "changed_at")}
                | {name: _read(values[name]) for name in ("confirmed", "rejected", "pending")}
                | {"pending_merges": {one: _proposed(*p) for one, p in values["pending_merges"].items()}}
                | {"previous_ids": tuple(values["previous_ids"])}
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"expected a stored subject: {error!r}") from None


def _written(decisions: Mapping[str, Decision]) -> dict[str, list[str]]:
    return {
        one: [d.camera_id, d.account, d.at.isoformat()]
        + ([d.proposed.account, d.proposed.at.isoformat()] if d.proposed is not None else [])
        for one, d in decisions.items()
    }


def _read(decisions: Mapping[str, list[str]]) -> dict[str, Decision]:
    return {
        one: Decision(camera_id, account, datetime.fromisoformat(at), _proposed(*first) if first else None)
        for one, (camera_id, account, at, *first) in decisions.items()
    }


def _proposed(account: str, at: str) -> Proposed:
    return Proposed(account, datetime.fromisoformat(at))
