"""The outermost layer: a correlation id, security headers, and a plain answer when something breaks."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import problem_response

__all__ = ["Shell"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_log = structlog.get_logger(__name__)

# What browsers may keep: what is the same for everybody. Answers and pages are not.
_KEPT = ("/_nicegui/", "/login/", "/health/", "/metrics")
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_POLICY_API = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_POLICY_LOGIN = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# NiceGUI compiles Vue templates in the browser (unsafe-eval) and starts from inline scripts.
_POLICY_PAGE = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def _policy(path: str, tiles: str | None) -> str:
    if path.startswith(("/api/", "/health/", "/metrics")):
        return _POLICY_API
    if path == "/login" or path.startswith("/login/"):
        return _POLICY_LOGIN
    return _POLICY_PAGE if tiles is None else _POLICY_PAGE.replace("img-src 'self'", f"img-src 'self' {tiles}")


class Shell:
    """ASGI middleware around everything else.

    Args:
        tiles: origin of the tile server that pages may show pictures from.
    """

    def __init__(self, app: ASGIApp, *, tiles: str | None = None) -> None:
        self._app = app
        self._tiles = tiles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        extra = self._headers(scope, request_id)
        started = False

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in extra.items():
                    headers[name] = value
                if not scope["path"].startswith(_KEPT):
                    headers["cache-control"] = "no-store"
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, dressed)
            except Exception:
                _log.exception("request_failed", method=scope.get("method"), path=scope["path"])
                if started or scope["type"] == "websocket":
                    raise
                response = problem_response(
                    500,
                    "internal",
                    "Something broke in Tapetum. The log holds the details under the request id.",
                    request_id=request_id,
                )
                await response(scope, receive, dressed)

    def _headers(self, scope: Scope, request_id: str) -> Mapping[str, str]:
        return {**_ALWAYS, "content-security-policy": _policy(scope["path"], self._tiles), "x-request-id": request_id}
