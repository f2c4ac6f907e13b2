"""A webhook: where alerts are sent to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from service.gallery.records import RecordError

__all__ = ["DeadLetter", "Webhook", "WebhookStatus", "origin_of"]


def origin_of(url: str) -> str:
    """What of a checked address may be shown: ``https://hooks.example:8443``."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One target.

    Attributes:
        url: may hold a token in its path, so it is shown to nobody; see `origin`.
        secret: that messages are signed with; shown once at most, when it is made.
        cameras: whose alerts it gets; None for all.
    """

    id: str
    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    cameras: frozenset[str] | None
    enabled: bool
    created_at: datetime
    changed_at: datetime

    @property
    def origin(self) -> str:
        return origin_of(self.url)

    def wants(self, camera_id: str) -> bool:
        return self.enabled and (self.cameras is None or camera_id in self.cameras)

    def to_json(self) -> str:
        return json.dumps(
            {
                "name": self.name,
                "url": self.url,
                "secret": self.secret,
                "cameras": None if self.cameras is None else sorted(self.cameras),
                "enabled": self.enabled,
                "created_at": self.created_at.isoformat(),
                "changed_at": self.changed_at.isoformat(),
            }
        )

    @classmethod
    def from_json(cls, webhook_id: str, text: bytes) -> Webhook:
        """Read what `to_json` wrote. Raises RecordError for anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            values["cameras"] = None if values["cameras"] is None else frozenset(values["cameras"])
            for name in ("created_at", "changed_at"):
                values[name] = datetime.fromisoformat(values[name])
            return cls(webhook_id, **values)
        except (ValueError, TypeError, KeyError) as error:
            raise RecordError(f"webhook {webhook_id} cannot be read: {error!r}") from None


@dataclass(frozen=True, slots=True)
class WebhookStatus:
    """The last attempt to send something: None and None before the first.

    Attributes:
        error: why it failed, None when it went through.
        waiting, dead: alerts that are to be sent, and that were given up.
    """

    attempted_at: datetime | None
    error: str | None
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An alert that could not be delivered."""

    alert_id: str
    given_up_at: datetime
    attempts: int
    error: str

    @classmethod
    def of(cls, alert_id: str, given_up_at: datetime, attempts: Mapping[str, Any]) -> DeadLetter:
        return cls(alert_id, given_up_at, int(attempts.get("count", 0)), str(attempts.get("error", "")))
