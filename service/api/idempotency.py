"""Idempotency keys: what is made with a key is made once, also when its answer was lost.

A key belongs to an account and an operation, for a day. It is given an id for what is to be made, before it is made;
the same request with the same key gets the same id, whether the first one finished or died half way.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, cast

import redis
from fastapi import Header
from pydantic import BaseModel
from ulid import ULID

from service.gallery.store import redis_at_work
from service.problems import ProblemError

__all__ = ["IdempotencyKey", "id_for"]

_PREFIX = "tapetum:idempotency:"
_LIFETIME_S = 24 * 3600

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Chosen by the caller; the same key with the same request makes one thing, for a day.",
    ),
]


def id_for(client: redis.Redis, account: str, operation: str, key: str | None, request: BaseModel) -> str:
    """The id of what a request is to make: a fresh one, or the one that this key was given before.

    Raises:
        ProblemError: 409, the key was used with another request.
    """
    fresh = str(ULID())
    if key is None:
        return fresh
    name = _PREFIX + hashlib.sha256(json.dumps([account, operation, key]).encode()).hexdigest()
    value = {"id": fresh, "request": hashlib.sha256(request.model_dump_json().encode()).hexdigest()}
    with redis_at_work():
        there = cast("bytes | None", client.set(name, json.dumps(value), nx=True, get=True, ex=_LIFETIME_S))
    before: dict[str, Any] = json.loads(there) if there is not None else value
    if before["request"] != value["request"]:
        raise ProblemError(409, "idempotency-key-taken", "This Idempotency-Key was used with another request.")
    return str(before["id"])
