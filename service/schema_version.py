"""Which form the data in Redis has: a number, looked at by every program before it touches anything."""

from __future__ import annotations

from typing import cast

import redis

__all__ = ["RESTORING", "SCHEMA_KEY", "SCHEMA_VERSION", "SchemaError", "check_schema", "schema_version"]

SCHEMA_KEY = "tapetum:schema"  # string: the number, or `RESTORING`
SCHEMA_VERSION = 1
RESTORING = b"restoring"


class SchemaError(RuntimeError):
    """The data are of another version than this program, or half restored; the message says what to do."""


def schema_version(client: redis.Redis) -> int:
    """The version of the data; 0 where none was written, as in an empty installation. Raises SchemaError."""
    value = cast("bytes | None", client.get(SCHEMA_KEY))
    if value == RESTORING:
        raise SchemaError(
            "a restore of this installation did not come to its end: run `tapetum restore FILE --replace` again"
        )
    if value is not None and not value.isdigit():
        raise SchemaError(f"{SCHEMA_KEY} in Redis: expected a number, got {value[:40]!r}")
    return int(value or 0)


def check_schema(client: redis.Redis) -> None:
    """Raise SchemaError for data that this program cannot understand; older ones are `migrate`'s business."""
    found = schema_version(client)
    if found > SCHEMA_VERSION:
        raise SchemaError(
            f"the data in Redis are of version {found}, and this program knows versions up to {SCHEMA_VERSION}: "
            "update tapetum, or restore a backup that was made before the update"
        )
