"""Login at the provider: the way there, and the way back. For browsers; programs use API tokens."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
from dataclasses import asdict, replace
from html import escape

import structlog
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.api.access import OpenToAll, trail_of
from service.api.services import Services
from service.api.session import set_session_cookie, too_many_attempts
from service.audit import AuditUnavailable, Trail
from service.problems import ProblemError
from service.security.accounts import AccountError
from service.security.oidc import CALLBACK_PATH, Identity, NothingGranted, OidcError, PendingLogin, Provider
from service.security.people import recorded

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
log = structlog.get_logger("tapetum.oidc")

BEGIN_PATH = "/login/oidc"
_COOKIE = "tapetum_oidc"
_COOKIE_S = 600
_MAX_CODE = 4096
_OWN_PATH = re.compile(r"/(?:[A-Za-z0-9_~.-][A-Za-z0-9_~./-]{0,200})?(?:\?[A-Za-z0-9_~.,:;/?@!$&*+=%-]{0,1000})?")


@router.get(BEGIN_PATH)
async def begin(request: Request, services: OpenToAll, next: str = "/") -> Response:  # noqa: A002 - the login page's name
    """Send the browser to the provider; it keeps what it has to bring back."""
    provider = _provider(services)
    try:
        url, pending = await provider.begin()
    except OidcError as error:
        return _refusal(services, error)
    kept = {**asdict(pending), "next": next if _OWN_PATH.fullmatch(next) else "/"}
    response = RedirectResponse(url, 303, headers={"cache-control": "no-store"})
    # Lax: the way back begins at the provider's page, and a strict cookie would not come along.
    response.set_cookie(
        _COOKIE,
        base64.urlsafe_b64encode(json.dumps(kept).encode()).decode(),
        max_age=_COOKIE_S,
        path=BEGIN_PATH,
        httponly=True,
        samesite="lax",
        secure=_over_tls(services),
    )
    return response


@router.get(CALLBACK_PATH)
async def come_back(request: Request, services: OpenToAll) -> Response:
    """Take in who comes back from the provider, in the browser that went there."""
    provider, trail = _provider(services), trail_of(request)
    address = trail.address or "unknown"
    try:
        pending, where = _pending(request)
        wait_s = await run_in_threadpool(services.throttle.admit, address)
        if wait_s:
            raise OidcError(str(too_many_attempts(wait_s).detail), "throttled")
    except OidcError as error:  # whoever has no login must not be able to fill the audit log by asking often
        with contextlib.suppress(AuditUnavailable):
            services.views.note("login.throttled", Trail(), address, "")
        return _refusal(services, error)
    try:
        code = request.query_params.get("code", "")
        if not 1 <= len(code) <= _MAX_CODE:
            raise OidcError("The login service did not log you in.", "no code")
        identity = await provider.finish(pending, code, request.query_params.get("iss"))
        token = await run_in_threadpool(_open_session, services, identity, trail)
    except OidcError as error:
        await run_in_threadpool(_record_refusal, services, provider, error, trail)
        return _refusal(services, error)
    services.metrics.logins.labels("accepted").inc()
    # A page of our own goes on from here: a redirect would still be the provider's doing, and the strict cookie of the
    # session would not come along.
    response = _page("Logged in", f'<p><a href="{escape(where)}">Go on</a></p>', refresh=where)
    set_session_cookie(response, token, services, secure=_over_tls(services))
    return response


def _over_tls(services: Services) -> bool:
    """As the browser sees it, also where a proxy that is not trusted takes the TLS off."""
    return (services.settings.oidc_redirect_url or "").startswith("https:")


def _open_session(services: Services, identity: Identity, trail: Trail) -> str:
    try:
        account = services.accounts.of_provider(identity)
        if not account.active:
            raise OidcError("Your account is disabled here. Ask your administrator.", f"{account.name} is disabled")
        cameras = None if identity.cameras is None else sorted(identity.cameras)
        about = {
            "role": identity.role.value,
            "cameras": cameras,
            "issuer": identity.issuer,
            "subject": identity.subject,
        }
        with recorded(services.audit, "login", replace(trail, account=account.name), **about):
            account = services.accounts.take_in(account)
            services.throttle.forgive(trail.address or "unknown")
            return services.sessions.open(account)[0]
    except AccountError as error:
        raise OidcError(f"You cannot log in with this account: {error}", "account") from None


def _record_refusal(services: Services, provider: Provider, error: OidcError, trail: Trail) -> None:
    """What somebody opened while they were granted something ends when the provider says that they are not."""
    with recorded(services.audit, "login.refused", trail, issuer=provider.issuer, reason=error.reason):
        if isinstance(error, NothingGranted):
            services.accounts.end_logins(error.key)


def _provider(services: Services) -> Provider:
    if services.oidc is None:
        raise ProblemError(404, "not-found", "There is no login service.")
    return services.oidc


def _pending(request: Request) -> tuple[PendingLogin, str]:
    """What this browser began, and where it wanted to go. Raises OidcError when it did not."""
    try:
        kept = json.loads(base64.urlsafe_b64decode(request.cookies.get(_COOKIE, "")))
        pending = PendingLogin(str(kept["state"]), str(kept["nonce"]), str(kept["verifier"]))
        where, state = str(kept["next"]), pending.state.encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        raise OidcError("This login was not begun in this browser, or too long ago. Try again.", "no cookie") from None
    if not secrets.compare_digest(request.query_params.get("state", "").encode(), state):
        raise OidcError("This login was not begun in this browser, or too long ago. Try again.", "another state")
    return pending, where if _OWN_PATH.fullmatch(where) else "/"


def _refusal(services: Services, error: OidcError) -> Response:
    log.warning("login refused", reason=error.reason)
    services.metrics.logins.labels("refused").inc()
    return _page("Not logged in", f'<p role="alert">{escape(str(error))}</p><p><a href="/login">Log in</a></p>', 403)


def _page(title: str, body: str, status: int = 200, *, refresh: str | None = None) -> HTMLResponse:
    again = f'<meta http-equiv="refresh" content="0;url={escape(refresh)}">' if refresh is not None else ""
    response = HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{again}<title>{title} · Tapetum</title>'
        f'<link rel="icon" href="data:,"><link rel="stylesheet" href="/login/login.css"></head>'
        f"<body><main><h1>{title}</h1>{body}</main></body></html>",
        status,
        headers={"cache-control": "no-store"},
    )
    response.delete_cookie(_COOKIE, path=BEGIN_PATH, httponly=True, samesite="lax")
    return response
