"""One export of a case: who asked for it and why, how far it is, and until when it can be fetched."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = ["UNDER_WAY", "Export", "ExportState"]


class ExportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"  # a sighting in it is not kept any more; the file is gone
    EXPIRED = "expired"  # the file is gone


UNDER_WAY = frozenset({ExportState.QUEUED, ExportState.RUNNING})


@dataclass(frozen=True, slots=True)
class Export:
    """A job and its outcome.

    Attributes:
        blurred: whether bystanders are.
        cameras: that its pictures come from; who fetches it must see all of them. None until it begins.
        done, total: of the sightings.
        size_bytes, sha256: of the file; `manifest_sha256` of what is signed in it.
        key: fingerprint of the key that signed it.
        error: why it failed or was withdrawn, a sentence.
    """

    id: str
    case_id: str
    account: str
    reason: str
    blurred: bool
    state: ExportState
    created_at: datetime
    expires_at: datetime
    cameras: tuple[str, ...] | None = None
    done: int = 0
    total: int = 0
    finished_at: datetime | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    manifest_sha256: str | None = None
    key: str | None = None
    error: str | None = None

    def to_text(self) -> str:
        """JSON."""
        values = asdict(self)
        for name in ("created_at", "expires_at", "finished_at"):
            values[name] = values[name].isoformat() if values[name] else None
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str | bytes) -> Export:
        """Read what `to_text` wrote. Raises ValueError for anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            for name in ("created_at", "expires_at", "finished_at"):
                values[name] = datetime.fromisoformat(values[name]) if values[name] else None
            values["state"] = ExportState(values["state"])
            values["cameras"] = tuple(values["cameras"]) if values["cameras"] is not None else None
            return cls(**{field.name: values[field.name] for field in fields(cls)})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"expected a stored export: {error!r}") from None
