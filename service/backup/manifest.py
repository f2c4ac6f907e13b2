"""What a backup says about itself: counts and digests of everything in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from service.audit import Head
from service.backup.archive import BackupError

__all__ = ["Manifest"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The last word of an archive.

    Attributes:
        version: of the program.
        schema: of what is in Redis.
        records: sightings.
        pictures, picture_bytes: members with pictures, some of them twice where a sighting changed meanwhile.
        missing: pictures that records name and that were not there when the backup was made.
        keys: of Redis besides sightings.
        audit_entries, audit_head: of the audit log.
        audit_intact: False when the log was broken already.
        model_hash: of the gallery's vectors; empty where nobody has named it.
        chunks: SHA-256 by name of the members with records and keys, which hold those of the pictures.
    """

    created_at: datetime
    version: str
    schema: int
    records: int
    pictures: int
    picture_bytes: int
    missing: int
    keys: int
    audit_entries: int
    audit_head: Head | None
    audit_intact: bool
    model_hash: str
    chunks: Mapping[str, str]

    def to_json(self) -> bytes:
        values = {**asdict(self), "created_at": self.created_at.isoformat()}
        values["audit_head"] = str(self.audit_head) if self.audit_head else None
        return json.dumps(values, indent=2, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Raises BackupError."""
        try:
            values: dict[str, Any] = json.loads(data)
            values["created_at"] = datetime.fromisoformat(values["created_at"])
            values["audit_head"] = Head.parse(values["audit_head"]) if values["audit_head"] else None
            found = cls(**values)
            if not all(isinstance(value, int) and value >= 0 for value in found._numbers()):
                raise ValueError("counts")
            return found
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise BackupError("the backup's manifest cannot be read") from None

    def _numbers(self) -> tuple[int, ...]:
        return (self.schema, self.records, self.pictures, self.missing, self.keys, self.audit_entries)
