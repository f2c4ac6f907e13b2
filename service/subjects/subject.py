"""One subject: the sightings somebody confirmed, those somebody rejected, and the ids it had before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

__all__ = ["MAX_DECISIONS", "MAX_PREVIOUS", "Decision", "Subject"]

MAX_DECISIONS = 2000  # confirmed and rejected sightings of one subject
MAX_PREVIOUS = 500


@dataclass(frozen=True, slots=True)
class Decision:
    """Who confirmed or rejected a sighting, and when. A sighting never changes its camera."""

    camera_id: str
    account: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Subject:
    """A person as far as people have decided.

    Attributes:
        number: counts up over the installation; what an unnamed subject is called by.
        account: who made it.
        confirmed, rejected: by sighting; a sighting is in at most one of both, and confirmed in one subject only.
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
    previous_ids: tuple[str, ...] = ()
    split_from: str | None = None

    def __post_init__(self) -> None:
        both = self.confirmed.keys() & self.rejected.keys()
        if both:
            raise ValueError(f"expected a sighting to be confirmed or rejected, got both for {sorted(both)[0]}")

    def decided(self, confirmed: Mapping[str, Decision], rejected: Mapping[str, Decision]) -> Subject:
        """With new decisions; the latest about a sighting counts."""
        return replace(
            self,
            confirmed={**{one: d for one, d in self.confirmed.items() if one not in rejected}, **confirmed},
            rejected={**{one: d for one, d in self.rejected.items() if one not in confirmed}, **rejected},
        )

    def without(self, tracklet_ids: Iterable[str]) -> Subject:
        """As if nothing had been decided about these sightings."""
        gone = frozenset(tracklet_ids)
        return replace(
            self,
            confirmed={one: d for one, d in self.confirmed.items() if one not in gone},
            rejected={one: d for one, d in self.rejected.items() if one not in gone},
        )

    def with_merged(self, other: Subject) -> Subject:
        """With everything of another subject, whose id leads here from now on."""
        return replace(
            self,
            name=self.name or other.name,
            confirmed={**other.confirmed, **self.confirmed},
            rejected={**other.rejected, **self.rejected},
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
                | {name: _read(values[name]) for name in ("confirmed", "rejected")}
                | {"previous_ids": tuple(values["previous_ids"])}
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"expected a stored subject: {error!r}") from None


def _written(decisions: Mapping[str, Decision]) -> dict[str, list[str]]:
    return {one: [d.camera_id, d.account, d.at.isoformat()] for one, d in decisions.items()}


def _read(decisions: Mapping[str, list[str]]) -> dict[str, Decision]:
    return {
        one: Decision(camera_id, account, datetime.fromisoformat(at))
        for one, (camera_id, account, at) in decisions.items()
    }
