"""The gate: nothing of the application, HTTP or websocket, is reached without a login unless listed here.

It stands in front of everything that is mounted (API, pages, their assets and sockets, metrics, the OpenAPI
document), so that a route added later is closed until somebody opens it on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeVar
from urllib.parse import quote

import anyio
import structlog
from anyio import to_thread
from redis.exceptions import RedisError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import ProblemError, problem_response
from service.security.origin import check_body_kind, check_same_origin
from service.security.sessions import Session, SessionStore

__all__ = ["COOKIE", "Gate"]

COOKIE = "tapetum_session"
OPEN_PATHS = frozenset(
    {
        "/health/live",
        "/health/ready",
        "/login",
        "/login/login.css",
        "/login/login.js",
        "/login/oidc",
        "/login/oidc/callback",
    }
)
SESSION_PATH = "/api/v1/session"
METRICS_PATH = "/metrics"
PAGE_SOCKET_PATH = "/_nicegui_ws/"
# A long answer (live pictures, the page's socket) ends at most so long after its session did.
RECHECK_S = 1.0
MAX_QUESTION = 1000  # characters of a page's question that a login keeps
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class Gate:
    """ASGI middleware that lets through who has a session, by cookie or ``Authorization: Bearer``."""

    def __init__(self, app: ASGIApp, *, sessions: SessionStore, metrics_token: str | None = None) -> None:
        self._app = app
        self._sessions = sessions
        self._metrics_token = metrics_token
        # Redis being slow must not use up the threads that the routes work in.
        self._threads = functools.cache(lambda: anyio.CapacityLimiter(16))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            session = await self._admit(scope)
        except ProblemError as refusal:
            await self._refuse(scope, receive, send, refusal)
            return
        scope.setdefault("state", {})["session"] = session
        if session is None:
            await self._app(scope, receive, send)
        else:
            await self._watched(session, scope, receive, send)

    async def _admit(self, scope: Scope) -> Session | None:
        """The session to go on with, None where none is needed. Raises ProblemError otherwise."""
        headers, path = Headers(scope=scope), scope["path"]
        method = scope.get("method", "GET")
        if scope["type"] == "http":
            if path in OPEN_PATHS and method in ("GET", "HEAD"):
                return None
            if path == SESSION_PATH and method == "POST":
                check_body_kind(headers, by_cookie=False)
                check_same_origin(headers, demand=False)
                return None
            if path == METRICS_PATH and self._is_metrics_token(bearer_token(headers)):
                return None
        bearer = bearer_token(headers)
        token = bearer or cookie_token(headers)
        session = (
            await self._asked(lambda: self._sessions.find(token, api_tokens=bearer is not None)) if token else None
        )
        if session is None:
            raise _not_logged_in()
        by_cookie = bearer is None
        if scope["type"] == "http" and path.startswith(PAGE_SOCKET_PATH):
            # Long polling: every poll would bring a login of its own to a page that belongs to one.
            raise ProblemError(
                426, "websocket-only", "This address takes websockets only.", headers={"Upgrade": "websocket"}
            )
        if scope["type"] == "websocket":
            if by_cookie:
                check_same_origin(headers, demand=True)
        elif method in UNSAFE or method not in ("GET", "HEAD", "OPTIONS"):
            if by_cookie:
                check_same_origin(headers, demand=True)
            check_body_kind(headers, by_cookie=by_cookie)
        return session

    def _is_metrics_token(self, token: str | None) -> bool:
        if not (token and self._metrics_token):
            return False
        return secrets.compare_digest(token.encode(), self._metrics_token.encode())

    async def _asked(self, question: Callable[[], T]) -> T:
        try:
            return await to_thread.run_sync(question, limiter=self._threads())
        except RedisError as error:
            _log.warning("session_store_unreachable", error=type(error).__name__)
            raise ProblemError(
                503,
                "store-unavailable",
                "The gallery's store does not answer, so logins cannot be checked. Try again shortly.",
                headers={"Retry-After": "5"},
            ) from None

    async def _watched(self, session: Session, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, and hang up within `RECHECK_S` when the session ends or its rights change.

        A request whose body comes slowly is carried out only if the session still lives when the last of it is there.
        """
        ended, answering = asyncio.Event(), False
        is_socket = scope["type"] == "websocket"
        changes = not is_socket and scope["method"] in UNSAFE

        async def watched_receive() -> Message:
            message = await arrived()
            whole = message["type"] == "http.request" and not message.get("more_body", False)
            if changes and whole and not await self._asked(lambda: self._sessions.lives(session)):
                ended.set()
                return {"type": "http.disconnect"}
            return message

        async def arrived() -> Message:
            arrival = asyncio.ensure_future(receive())
            end = asyncio.ensure_future(ended.wait())
            try:
                await asyncio.wait({arrival, end}, return_when=asyncio.FIRST_COMPLETED)
                if ended.is_set():
                    if not is_socket:
                        return {"type": "http.disconnect"}
                    return {"type": "websocket.disconnect", "code": 4401, "reason": "session ended"}
                return arrival.result()
            finally:
                arrival.cancel()
                end.cancel()

        async def watched_send(message: Message) -> None:
            nonlocal answering
            if ended.is_set():
                raise OSError("session ended")
            answering = True
            await send(message)

        watch = asyncio.create_task(self._watch(session, ended), name="session-watch")
        try:
            await self._app(scope, watched_receive, watched_send)
        except (OSError, ClientDisconnect):
            if not ended.is_set():
                raise
        finally:
            watch.cancel()
        if ended.is_set() and not is_socket and not answering:
            await self._refuse(scope, receive, send, _not_logged_in())
        if ended.is_set() and is_socket:
            with contextlib.suppress(OSError, RuntimeError):  # it may have hung up itself
                await send({"type": "websocket.close", "code": 4401, "reason": "session ended"})

    async def _watch(self, session: Session, ended: asyncio.Event) -> None:
        """Set `ended` when the session does not live any more."""
        while True:
            await asyncio.sleep(RECHECK_S)
            # While Redis is away, what was let in goes on; new requests are refused.
            with contextlib.suppress(ProblemError):
                if not await self._asked(lambda: self._sessions.lives(session)):
                    ended.set()
                    return

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: ProblemError) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4401 if refusal.status_code == 401 else 4403, "reason": ""})
            return
        wants_page = "text/html" in Headers(scope=scope).get("accept", "")
        is_page = scope.get("method") == "GET" and wants_page and not scope["path"].startswith("/api/")
        if refusal.status_code == 401 and is_page:
            start: dict[str, Any] = {
                "type": "http.response.start",
                "status": 303,
                "headers": [(b"location", _login_for(scope).encode()), (b"content-length", b"0")],
            }
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        response = problem_response(
            refusal.status_code,
            refusal.code,
            refusal.detail,
            request_id=scope.get("state", {}).get("request_id"),
            headers=refusal.headers,
        )
        await response(scope, receive, send)


def _login_for(scope: Scope) -> str:
    """The address of the login that leads back to a page with its question, and says why, if somebody was logged in."""
    question = scope.get("query_string", b"").decode("latin-1")
    where = quote(scope["path"]) + (f"?{question}" if question and len(question) <= MAX_QUESTION else "")
    because = "because=ended&" if cookie_token(Headers(scope=scope)) else ""
    return f"/login?{because}next={quote(where, safe='')}"


def _not_logged_in() -> ProblemError:
    return ProblemError(401, "not-logged-in", "Log in first.", headers={"WWW-Authenticate": 'Bearer realm="tapetum"'})


def bearer_token(headers: Headers) -> str | None:
    """The token of ``Authorization: Bearer``, or None."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def cookie_token(headers: Headers) -> str | None:
    """The token of the session cookie, or None."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None
