"""Turns everything that can go wrong below a route into a problem document."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from service.audit import AuditUnavailable
from service.gallery import GalleryUnavailable, MediaError
from service.problems import ProblemError, problem_response
from service.redis_server import RedisServerError
from service.security.access import AccessDenied
from service.security.accounts import AccountError, AccountExists, AccountMissing
from service.security.tokens import TokenError

__all__ = ["install_error_handlers", "no_such_address"]

_log = structlog.get_logger(__name__)
_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    400: "The request could not be read.",
}


def install_error_handlers(app: FastAPI) -> None:
    """What nobody caught is answered by `service.security.headers.Shell`."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(RedisError, _store_away)
    app.add_exception_handler(RedisServerError, _store_away)
    app.add_exception_handler(GalleryUnavailable, _store_away)
    app.add_exception_handler(MediaError, _media_away)
    app.add_exception_handler(AccessDenied, _denied)
    app.add_exception_handler(AuditUnavailable, _not_recorded)
    app.add_exception_handler(AccountError, _account)
    app.add_exception_handler(TokenError, _account)


def _request_id(request: Request) -> str | None:
    found = request.scope.get("state", {}).get("request_id")
    return str(found) if found else None


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for it
    status = error.status_code
    headers = error.headers
    if isinstance(error, ProblemError):
        code, detail, errors = error.code, str(error.detail), error.errors
    else:
        if status in (404, 405):
            # The router tells of the first of several routes at an address only.
            allowed = _methods_at(request)
            status = 405 if allowed else 404
            headers = {"Allow": ", ".join(allowed)} if allowed else None
        code = HTTPStatus(status).phrase.lower().replace(" ", "-")
        detail, errors = _SENTENCES.get(status, f"{HTTPStatus(status).phrase}."), None
    return problem_response(status, code, detail, request_id=_request_id(request), headers=headers, errors=errors)


async def no_such_address(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers for every address of the API that has no route."""
    if scope["type"] == "websocket":
        await WebSocketClose(4404)(scope, receive, send)
        return
    raise HTTPException(404)


def _methods_at(request: Request) -> list[str]:
    """The methods that the address of a request takes, by the most literal of its templates."""
    found: dict[str, set[str]] = {}
    for context in iter_route_contexts(request.scope["app"].routes):
        if isinstance(context.original_route, APIRoute) and context.path_regex.match(request.scope["path"]):
            found.setdefault(str(context.path), set()).update(context.methods or ())
    return sorted(found[min(found, key=lambda path: path.count("{"))]) if found else []


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for it
    # The input itself is left out: it may be a password, and it may be a megabyte.
    fields = [
        {"field": ".".join(str(part) for part in e["loc"])[:200], "reason": str(e["msg"])[:300]}
        for e in error.errors()[:50]
    ]
    return problem_response(
        422,
        "invalid",
        "; ".join(f"{f['field']}: {f['reason']}" for f in fields[:3]),
        request_id=_request_id(request),
        errors=fields,
    )


async def _store_away(request: Request, error: Exception) -> Response:
    _log.warning("store_unreachable", error=type(error).__name__, path=request.url.path)
    return problem_response(
        503,
        "store-unavailable",
        "The gallery's store does not answer. Try again shortly.",
        request_id=_request_id(request),
        headers={"Retry-After": "5"},
    )


async def _media_away(request: Request, error: Exception) -> Response:
    _log.warning("media_unreachable", error=str(error), path=request.url.path)
    return problem_response(
        503,
        "media-unavailable",
        "The store of pictures does not answer. Try again shortly.",
        request_id=_request_id(request),
        headers={"Retry-After": "5"},
    )


async def _denied(request: Request, error: Exception) -> Response:
    # One sentence for all: it depends on the account and the route, never on what there is.
    return problem_response(403, "forbidden", "Your account may not do this.", request_id=_request_id(request))


async def _not_recorded(request: Request, error: Exception) -> Response:
    return problem_response(
        503,
        "audit-unavailable",
        "The audit log cannot be written, so this was not done. Try again shortly.",
        request_id=_request_id(request),
        headers={"Retry-After": "5"},
    )


async def _account(request: Request, error: Exception) -> Response:
    status, code = 422, "refused"
    if isinstance(error, AccountMissing):
        status, code = 404, "user-not-found"
    elif isinstance(error, AccountExists):
        status, code = 409, "user-exists"
    return problem_response(status, code, str(error), request_id=_request_id(request))
