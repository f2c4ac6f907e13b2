"""An entry of the watchlist: whom to look for, why, for whom, until when, where and at what hours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.calibration import Calibration
from models.types import Modality
from service.alerts.hours import Hours
from service.gallery.records import RecordError
from service.security.access import Permission
from service.security.accounts import Account

__all__ = ["LEAST_LENGTH", "ModelInUse", "WatchEntry", "WatchExample", "WatchState", "narrow"]

Cameras = frozenset[str] | None  # None: all
LEAST_LENGTH = 1e-6  # of a vector that has a direction


class WatchState(StrEnum):
    """Whether an entry matches, or why it does not."""

    WATCHING = "watching"
    PAUSED = "paused"
    EXPIRED = "expired"
    MODEL_CHANGED = "model-changed"  # its vectors are another model's: it needs to be made again
    NOT_CALIBRATED = "not-calibrated"  # the model in use gives no probabilities
    MODEL_LOADING = "model-loading"
    OWNER_GONE = "owner-gone"  # removed or disabled
    OWNER_MAY_NOT = "owner-may-not"  # its role does not make watchlists any more
    OUT_OF_SCOPE = "out-of-scope"  # no camera, or no example, is left in its owner's scope


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """What the matching process has loaded."""

    hash: str
    dimension: int
    calibration: Calibration | None

    @property
    def calibrated(self) -> bool:
        """Whether it gives a probability for every pair of lights."""
        return self.calibration is not None and None not in self.calibration.to_dict().values()


@dataclass(frozen=True, slots=True)
class WatchExample:
    """What an entry looks for: a sighting of a camera, or a person of a photo. Its vector is a copy of the entry's own.

    Attributes:
        camera_id: of the sighting; None for a photo.
    """

    modality: Modality
    tracklet_id: str | None = None
    camera_id: str | None = None
    photo_id: str | None = None
    person: int = 0

    @property
    def kind(self) -> Literal["tracklet", "photo", "erased"]:
        """What it is; ``erased`` for what an alert named before."""
        if self.tracklet_id is not None:
            return "tracklet"
        return "photo" if self.photo_id is not None else "erased"

    def to_dict(self) -> dict[str, Any]:
        return {
            "modality": self.modality.value,
            "tracklet_id": self.tracklet_id,
            "camera_id": self.camera_id,
            "photo_id": self.photo_id,
            "person": self.person,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WatchExample:
        return cls(**{**values, "modality": Modality(values["modality"])})


@dataclass(frozen=True, slots=True)
class WatchEntry:
    """One entry.

    Attributes:
        owner, owner_since: the account, and when it was made: a new account of an old name inherits nothing.
        scope: cameras that the owner saw when the entry was made; it never matches outside of them.
        cameras: that are watched, None for all of the scope.
        threshold: least probability that it is the same person, above 0 and below 1.
        examples, vectors: what is looked for, ``float16[N, D]``, a row for each example.
        created_at: by the clock of Redis; tracklets that were indexed before do not match.
        subject_id: of the subject whose sightings the examples were, when it was made.
        revision: rises with every change.
    """

    id: str
    name: str
    reason: str
    owner: str
    owner_since: datetime
    scope: Cameras
    cameras: Cameras
    hours: Hours | None
    threshold: float
    expires_at: datetime
    enabled: bool
    model_hash: str
    examples: tuple[WatchExample, ...]
    vectors: npt.NDArray[np.float16] = field(repr=False, compare=False)
    created_at: datetime
    changed_at: datetime
    changed_by: str
    subject_id: str | None = None
    revision: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold: expected a probability above 0 and below 1, got {self.threshold}")
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.examples) or not self.examples:
            raise ValueError(f"vectors: expected shape ({len(self.examples)}, D), got {self.vectors.shape}")
        lengths = np.linalg.norm(self.vectors.astype(np.float32), axis=1)
        if not np.isfinite(lengths).all() or (lengths < LEAST_LENGTH).any():
            raise ValueError("vectors: expected finite numbers, and no row of zeros or next to nothing")

    # -- who and where -----------------------------------------------------------------------------

    def is_owned_by(self, account: Account | None) -> bool:
        """Whether this is the account that made it, and not a later one of its name."""
        return account is not None and account.name == self.owner and account.created_at == self.owner_since

    def watched(self, owner: Account) -> Cameras:
        """The cameras on which it matches: what it names, what its owner saw then, and what they see now."""
        return narrow(narrow(self.cameras, self.scope), owner.cameras)

    def usable(self, owner: Account) -> tuple[int, ...]:
        """Places of the examples that its owner may still use."""
        seen = owner.access().sees
        return tuple(i for i, e in enumerate(self.examples) if e.camera_id is None or seen(e.camera_id))

    def state(self, now: datetime, owner: Account | None, model: ModelInUse | None) -> WatchState:
        """Whether it matches now, or the first reason why not."""
        if now >= self.expires_at:
            return WatchState.EXPIRED
        if not self.enabled:
            return WatchState.PAUSED
        if owner is None or not owner.active or not self.is_owned_by(owner):
            return WatchState.OWNER_GONE
        if not owner.access().may(Permission.WATCHLISTS):
            return WatchState.OWNER_MAY_NOT
        if self.watched(owner) == frozenset() or not self.usable(owner):
            return WatchState.OUT_OF_SCOPE
        if model is None:
            return WatchState.MODEL_LOADING
        if model.hash != self.model_hash:
            return WatchState.MODEL_CHANGED
        return WatchState.WATCHING if model.calibrated else WatchState.NOT_CALIBRATED

    def without_tracklets(self, tracklet_ids: frozenset[str]) -> WatchEntry | None:
        """The entry without these examples and their vectors; None when nothing is left to look for."""
        kept = [i for i, e in enumerate(self.examples) if e.tracklet_id not in tracklet_ids]
        if not kept:
            return None
        return replace(self, examples=tuple(self.examples[i] for i in kept), vectors=self.vectors[kept])

    # -- as a Redis hash ---------------------------------------------------------------------------

    def head(self) -> str:
        """Everything but the vectors, as JSON."""
        return json.dumps(
            {
                "name": self.name,
                "reason": self.reason,
                "owner": self.owner,
                "owner_since": self.owner_since.isoformat(),
                "scope": None if self.scope is None else sorted(self.scope),
                "cameras": None if self.cameras is None else sorted(self.cameras),
                "hours": None if self.hours is None else self.hours.to_dict(),
                "threshold": self.threshold,
                "expires_at": self.expires_at.isoformat(),
                "enabled": self.enabled,
                "model_hash": self.model_hash,
                "examples": [example.to_dict() for example in self.examples],
                "created_at": self.created_at.isoformat(),
                "changed_at": self.changed_at.isoformat(),
                "changed_by": self.changed_by,
                "subject_id": self.subject_id,
            }
        )

    @classmethod
    def from_hash(cls, entry_id: str, fields: Mapping[bytes, bytes]) -> WatchEntry:
        """Read what was written. Raises RecordError for anything else."""
        try:
            head: dict[str, Any] = json.loads(fields[b"head"])
            examples = tuple(WatchExample.from_dict(one) for one in head.pop("examples"))
            hours = head.pop("hours")
            for name in ("owner_since", "expires_at", "created_at", "changed_at"):
                head[name] = datetime.fromisoformat(head[name])
            for name in ("scope", "cameras"):
                head[name] = None if head[name] is None else frozenset(head[name])
            return cls(
                id=entry_id,
                hours=None if hours is None else Hours.from_dict(hours),
                examples=examples,
                vectors=np.frombuffer(fields[b"vectors"], "<f2").reshape(len(examples), -1),
                revision=int(fields[b"revision"]),
                **head,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordError(f"watchlist entry {entry_id} cannot be read: {error!r}") from None


def narrow(one: Cameras, other: Cameras) -> Cameras:
    """The cameras that both have."""
    if one is None or other is None:
        return other if one is None else one
    return one & other
