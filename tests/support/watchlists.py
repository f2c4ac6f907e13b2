"""Entries, accounts and tracklets for the tests of watchlist and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from support.api_world import CALIBRATION
from support.tracklets import DIMENSION, MODEL, record, unit_vector
from ulid import ULID

from models.calibration import Calibration
from models.types import Modality
from service.alerts.alert import Alert, Draft
from service.alerts.alert_store import AlertStore
from service.alerts.entries import ModelInUse, WatchEntry, WatchExample
from service.alerts.entry_store import WatchlistStore, server_time
from service.alerts.matcher import Matcher
from service.gallery import Gallery, TrackletRecord
from service.security.access import Role
from service.security.accounts import Account, AccountStore

PASSWORD = "a-password-for-tests"
IN_USE = ModelInUse(MODEL, DIMENSION, CALIBRATION)


def entry_of(
    owner: Account,
    vectors: Sequence[np.ndarray],
    *,
    examples: Sequence[WatchExample] | None = None,
    created_at: datetime | None = None,
    **changes: Any,
) -> WatchEntry:
    """An entry of photo persons in visible light, for every camera of its owner, unless told otherwise."""
    now = created_at or datetime.now(UTC)
    values: dict[str, Any] = {
        "id": str(ULID()),
        "name": "somebody",
        "reason": "a test",
        "owner": owner.name,
        "owner_since": owner.created_at,
        "scope": owner.cameras,
        "cameras": None,
        "hours": None,
        "threshold": 0.9,
        "expires_at": now + timedelta(days=1),
        "enabled": True,
        "model_hash": MODEL,
        "created_at": now,
        "changed_at": now,
        "changed_by": owner.name,
    }
    shown = examples or [WatchExample(Modality.VISIBLE, photo_id="photo", person=i) for i in range(len(vectors))]
    return WatchEntry(**{**values, **changes}, examples=tuple(shown), vectors=np.stack(vectors).astype(np.float16))


@dataclass
class Desk:
    """One matching process over a server, stepped by hand."""

    client: Any
    calibration: Calibration | None = CALIBRATION
    model_hash: str = MODEL
    heard: list[tuple[Draft, float]] = field(default_factory=list)
    set_aside: int = 0

    def __post_init__(self) -> None:
        self.gallery = Gallery(self.client)
        self.accounts = AccountStore(self.client)
        self.entries = WatchlistStore(self.client)
        self.alerts = AlertStore(self.client)
        self.owner = self.accounts.get("desk") or self.accounts.add("desk", PASSWORD, Role.OPERATOR)
        self.matcher = self.another()

    def another(self) -> Matcher:
        """A further matching process over the same server."""
        return Matcher(
            self.client,
            self.gallery,
            self.accounts,
            self.entries,
            self.alerts,
            ModelInUse(self.model_hash, DIMENSION, self.calibration),
            on_raised=lambda draft, latency_s: self.heard.append((draft, latency_s)),
            on_set_aside=self._count,
        )

    def _count(self) -> None:
        self.set_aside += 1

    def watch(self, *vectors: np.ndarray, **changes: Any) -> WatchEntry:
        """Add an entry that was made now by Redis' clock."""
        changes.setdefault("created_at", server_time(self.client))
        entry = entry_of(changes.pop("owner", self.owner), vectors, **changes)
        self.entries.add(entry)
        return entry

    def put(self, number: int, person: int | np.ndarray, **changes: Any) -> TrackletRecord:
        """A tracklet of a person, seen now."""
        vector = unit_vector(person) if isinstance(person, int) else person
        changes.setdefault("minute", (server_time(self.client) - BEGIN).total_seconds() / 60)
        made = record(number, vector=vector, **changes)
        self.gallery.put(made)
        return made

    def match(self, matcher: Matcher | None = None) -> None:
        """Match until nothing is left."""
        while (matcher or self.matcher).step(None):
            pass

    def raised(self) -> list[Alert]:
        """All alerts, oldest first."""
        return list(self.alerts.page(None, limit=1000).alerts)[::-1]


BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
