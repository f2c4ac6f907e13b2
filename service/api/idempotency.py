"""Idempotency keys: what is made with a key is made once, also when its answer was lost.

A key belongs to an account and an operation, for a day. It is given an id for what is to be made, before it is made;
the same request with the same key gets the same id, whether the first one finished or died half way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, cast

import redis
from fastapi import Header
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from ulid import ULID

from service.gallery.store import redis_at_work
from service.problems import ProblemError
from service.security.access import AccessDenied

__all__ = ["IdempotencyKey", "Once", "id_for", "made_before", "spent"]

T = TypeVar("T")
_PREFIX = "tapetum:idempotency:"
_LIFETIME_S = 24 * 3600

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9_-]{8,64}$",
        description="Chosen by the caller; the same key with the same request makes one thing, for a day at least.",
        examples=["7d1f0c52-6b0e-4b51-9f1d-2f1c6a0e9b37"],
    ),
]


def made_before(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The answer to a repeated key, for a route's `responses`."""
    return {200: {"model": model, "description": "It was made before, with this key."}}


def id_for(client: redis.Redis, account: str, operation: str, key: str | None, request: BaseModel) -> str:
    """The id of what a request is to make: a fresh one, or the one that this key was given before.

    Raises:
        ProblemError: 409, the key was used with another request.
    """
    fresh = str(ULID())
    if key is None:
        return fresh
    name = _name(account, operation, key)
    value = {"id": fresh, "request": _digest(request)}
    with redis_at_work():
        there = cast("bytes | None", client.set(name, json.dumps(value), nx=True, get=True, ex=_LIFETIME_S))
    before: dict[str, Any] = json.loads(there) if there is not None else value
    if before["request"] != value["request"]:
        raise _taken()
    return str(before["id"])


class Once:
    """What is given its name only while it is made (a camera, an account, a token), made once for each key.

    While the first request runs, and when it died half way, the key answers 409: better asked for than made twice.
    """

    def __init__(self, client: redis.Redis, account: str, operation: str, key: str | None, request: BaseModel) -> None:
        self._redis = client
        self._key = key
        self._name = _name(account, operation, key) if key is not None else ""
        self._request = _digest(request)

    def run(self, make: Callable[[], T], name_of: Callable[[T], str], made_before: Callable[[str], T]) -> T:
        """Make it, or with `made_before` give what this key has made, by its name.

        Raises:
            ProblemError: 409, the key was used with another request, or that request has not ended.
        """
        if self._key is None:
            return make()
        with redis_at_work():
            there = cast(
                "bytes | None", self._redis.set(self._name, self._written(None), nx=True, get=True, ex=_LIFETIME_S)
            )
        if there is not None:
            before: dict[str, Any] = json.loads(there)
            if before["request"] != self._request:
                raise _taken()
            if before["id"] is None:
                raise ProblemError(
                    409,
                    "idempotency-key-pending",
                    "The first request with this Idempotency-Key has not ended. Look what there is, then use another.",
                )
            try:
                return made_before(before["id"])
            except (ValueError, HTTPException):
                raise spent() from None
        try:
            made = make()
        except (ValueError, HTTPException, AccessDenied):  # refused: nothing was made
            with redis_at_work():
                self._redis.delete(self._name)
            raise
        self.keep(name_of(made))
        return made

    def keep(self, name: str) -> None:
        """Remember what the key has made."""
        with redis_at_work():
            self._redis.set(self._name, self._written(name), ex=_LIFETIME_S)

    def _written(self, name: str | None) -> str:
        return json.dumps({"id": name, "request": self._request})


def _name(account: str, operation: str, key: str) -> str:
    return _PREFIX + hashlib.sha256(json.dumps([account, operation, key]).encode()).hexdigest()


def _digest(request: BaseModel) -> str:
    return hashlib.sha256(request.model_dump_json().encode()).hexdigest()


def spent() -> ProblemError:
    """The refusal of a key whose object is gone: it makes nothing again."""
    return ProblemError(409, "idempotency-key-spent", "What was made with this Idempotency-Key is not there any more.")


def _taken() -> ProblemError:
    return ProblemError(409, "idempotency-key-taken", "This Idempotency-Key was used with another request.")
