"""Pages of other origins: none may call the API unless the settings name its origin, and none with a cookie."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["CrossOrigin"]

_SENT = ("Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID")
_SHOWN = ("Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Captured-At", "X-Request-ID")


class CrossOrigin:
    """ASGI middleware in front of the gate: answers preflights of the origins named, and nobody else's.

    Cookies are never let through: such a page logs in with an API token.
    """

    def __init__(self, app: ASGIApp, *, origins: Sequence[str], prefix: str) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._prefix = prefix
        self._open = CORSMiddleware(
            app,
            allow_origins=tuple(origins),
            allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=_SENT,
            expose_headers=_SHOWN,
            allow_credentials=False,
            max_age=600,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = (
            scope["type"] == "http"
            and scope["path"].startswith(self._prefix)
            and Headers(scope=scope).get("origin") in self._origins
        )
        await (self._open if named else self._app)(scope, receive, send)
