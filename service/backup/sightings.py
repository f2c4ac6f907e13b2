"""What a backup knows of sightings: which pictures a record names, and which keys follow from records."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.sealing import PLAIN
from service.audit.log import AUDIT_HEAD, AUDIT_STREAM
from service.gallery import MediaStore, RecordError, TrackletRecord, keys
from service.schema_version import SCHEMA_KEY

_ANY_VECTOR = np.ones(1, "<f2").tobytes()
__all__ = ["comes_otherwise", "pictures_of", "readable"]


def readable(tracklet_id: str, fields: Mapping[bytes, bytes]) -> TrackletRecord | None:
    """The record but for its vector; None for one that cannot be understood, which is kept as it is."""
    try:
        # The vector may be sealed with a key that a backup does without, and nothing here looks at it.
        return TrackletRecord.from_hash(tracklet_id, {**fields, b"vector": _ANY_VECTOR}, PLAIN)
    except RecordError:
        return None


def pictures_of(tracklet_id: str, fields: Mapping[bytes, bytes]) -> list[str]:
    """Media keys that a record names; none of one that cannot be read."""
    record = readable(tracklet_id, fields)
    if record is None:
        return []
    return MediaStore.all_keys(record)


def comes_otherwise(name: str) -> bool:
    """Whether a key follows from the sightings, or has a place of its own in a backup."""
    written = (AUDIT_STREAM, AUDIT_HEAD, SCHEMA_KEY, keys.ALL, keys.ERASED)
    return name in written or name.startswith((keys.RECORD, f"{keys.ALL}:of:"))
