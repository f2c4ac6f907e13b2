"""One alert: who was perhaps seen, where and when, and why we say so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from ulid import ULID

from models.types import Modality
from service.alerts.entries import WatchEntry, WatchExample
from service.alerts.matching import Hit
from service.gallery.records import RecordError, TrackletRecord, from_microseconds
from service.search import Pair, modality_pair

__all__ = ["Acknowledgement", "Alert", "Draft", "alert_id"]


def alert_id(entry_id: str, tracklet_id: str) -> str:
    """Always the same ULID for the same entry and tracklet, of the tracklet's time: an alert cannot be raised twice."""
    digest = hashlib.sha256(f"{entry_id}:{tracklet_id}".encode()).digest()
    return str(ULID.from_bytes(ULID.from_str(tracklet_id).bytes[:6] + digest[:10]))


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who has taken note of an alert, and when."""

    account: str
    at: datetime
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is known of an alert before it is raised.

    Attributes:
        threshold: the entry's, when it fired.
        started_at: when the sighting began; `captured_at` is the newest picture that led to the alert. Both by the
            camera's clock.
        indexed_at: when the first change that led to it was written to the gallery, by the clock of Redis.
        clock_doubted: the camera's clock was too far from Redis', so hours were judged by `indexed_at`.
    """

    id: str
    entry_id: str
    entry_name: str
    entry_revision: int
    reason: str
    owner: str
    tracklet_id: str
    tracklet_revision: int
    track_id: int
    camera_id: str
    modality: Modality
    example: WatchExample
    pair: Pair
    probability: float
    threshold: float
    cosine: float
    model_hash: str
    started_at: datetime
    captured_at: datetime
    indexed_at: datetime
    clock_doubted: bool

    @classmethod
    def of(
        cls, entry: WatchEntry, hit: Hit, record: TrackletRecord, indexed_at: datetime, *, clock_doubted: bool
    ) -> Draft:
        example = entry.examples[hit.example]
        return cls(
            id=alert_id(entry.id, record.id),
            entry_id=entry.id,
            entry_name=entry.name,
            entry_revision=entry.revision,
            reason=entry.reason,
            owner=entry.owner,
            tracklet_id=record.id,
            tracklet_revision=record.revision,
            track_id=record.track_id,
            camera_id=record.camera_id,
            modality=record.modality,
            example=example,
            pair=modality_pair(example.modality, record.modality),
            probability=hit.probability,
            threshold=entry.threshold,
            cosine=hit.cosine,
            model_hash=record.model_hash,
            started_at=record.started_at,
            captured_at=record.ended_at,
            indexed_at=indexed_at,
            clock_doubted=clock_doubted,
        )

    def to_json(self) -> str:
        values: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(Draft)}
        for name in _MOMENTS:
            values[name] = values[name].isoformat()
        return json.dumps({**values, "example": self.example.to_dict(), "modality": self.modality.value})


_MOMENTS = ("started_at", "captured_at", "indexed_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(Draft):
    """An alert that was raised.

    Attributes:
        position: its place in the stream of alerts.
        alerted_at: by the clock of Redis, like `indexed_at`: their difference is the latency.
    """

    position: str
    alerted_at: datetime
    acknowledged: Acknowledgement | None = None

    @property
    def latency_s(self) -> float:
        """From indexed to alert."""
        return (self.alerted_at - self.indexed_at).total_seconds()

    def without_example(self) -> Alert:
        """The alert, when what it resembles was erased."""
        return replace(self, example=WatchExample(self.example.modality))

    @classmethod
    def from_hash(cls, stored: Mapping[bytes, bytes]) -> Alert:
        """Read what the store wrote. Raises RecordError for anything else."""
        try:
            values: dict[str, Any] = json.loads(stored[b"alert"])
            values["example"] = WatchExample.from_dict(values["example"])
            values["modality"] = Modality(values["modality"])
            for name in _MOMENTS:
                values[name] = datetime.fromisoformat(values[name])
            noted = stored.get(b"acknowledged")
            return cls(
                **values,
                position=stored[b"position"].decode(),
                alerted_at=from_microseconds(int(stored[b"alerted"])),
                acknowledged=None if noted is None else _acknowledgement(json.loads(noted)),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise RecordError(f"alert cannot be read: {error!r}") from None


def _acknowledgement(values: dict[str, Any]) -> Acknowledgement:
    return Acknowledgement(values["account"], datetime.fromisoformat(values["at"]), values["note"])
