"""How many requests a login may make: counted in Redis, so that replicas share it."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import to_thread
from redis.exceptions import RedisError
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import problem_response
from service.security.sessions import Session
from service.security.windows import count_in_window

__all__ = ["Policy", "RateLimit"]

_PREFIX = "tapetum:rate:"
WINDOW_S = 60


@dataclass(frozen=True, slots=True)
class Policy:
    """So many requests a minute; ``per_minute`` None: without limit."""

    name: str
    per_minute: int | None


class RateLimit:
    """ASGI middleware behind the gate. An account's sessions are counted together, each API token by itself.

    While Redis does not answer nothing is refused here: what then cannot be done says so itself.

    Args:
        policies: by path; `everything` is for the other paths that begin with `prefix`.
    """

    def __init__(
        self, app: ASGIApp, *, client: Any, prefix: str, everything: Policy, policies: dict[str, Policy]
    ) -> None:
        self._app = app
        self._client = client
        self._prefix = prefix
        self._everything = everything
        self._policies = policies
        self._threads = functools.cache(lambda: anyio.CapacityLimiter(16))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = scope.get("state", {}).get("session")
        policy = self._policies.get(scope.get("path", ""), self._everything)
        limit = policy.per_minute
        counted = scope["type"] == "http" and scope["path"].startswith(self._prefix)
        if not counted or not isinstance(session, Session) or limit is None:
            await self._app(scope, receive, send)
            return
        key = _key(policy, session)
        try:
            count, left_s = await to_thread.run_sync(
                count_in_window, self._client, key, WINDOW_S, limiter=self._threads()
            )
        except RedisError:
            await self._app(scope, receive, send)
            return
        told = {
            "RateLimit-Policy": f'"{policy.name}";q={limit};w={WINDOW_S}',
            "RateLimit": f'"{policy.name}";r={max(limit - count, 0)};t={left_s}',
        }
        if count > limit:
            refusal = problem_response(
                429,
                "too-many-requests",
                f"More than {limit} requests in a minute. Go on in {left_s} seconds.",
                request_id=scope["state"].get("request_id"),
                headers={**told, "Retry-After": str(left_s)},
            )
            await refusal(scope, receive, send)
            return

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self._app(scope, receive, telling)


def _key(policy: Policy, session: Session) -> str:
    access = session.access
    who = f"account:{access.account}" if access.token is None else session.key
    return f"{_PREFIX}{policy.name}:{hashlib.sha256(who.encode()).hexdigest()[:32]}"
