"""What a backup knows of floor plans: which pictures the key names that tells of them."""

from __future__ import annotations

from service.backup.archive import BackupError
from service.backup.keyspace import Line, decoded
from service.plans import PLAN_PICTURES, read_picture

__all__ = ["plan_pictures_of"]


def plan_pictures_of(line: Line) -> list[str]:
    """Media keys that a line names; none where it is of another key. Raises BackupError."""
    if line["key"] != PLAN_PICTURES:
        return []
    try:
        return [read_picture(decoded(value)).key for _, value in line["items"]]
    except (KeyError, TypeError, ValueError):
        raise BackupError("the backup is damaged: the picture of a floor plan cannot be read") from None
