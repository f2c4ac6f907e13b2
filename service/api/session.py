"""Log in, look who is logged in, log out."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from fastapi import APIRouter, Request, Response, status
from starlette.concurrency import run_in_threadpool

from service.api.access import LoggedIn, OpenToAll, OwnAccount, current_session, trail_of
from service.api.schema import Login, SessionInfo, SessionOpened
from service.api.services import Services
from service.audit import AuditUnavailable, Trail
from service.problems import Problem, ProblemError
from service.security.access import Permission
from service.security.accounts import Account, AccountError, account_name
from service.security.gate import COOKIE
from service.security.sessions import Session

__all__ = ["router", "set_session_cookie", "too_many_attempts"]

router = APIRouter(prefix="/session", tags=["session"])


@router.post(
    "",
    operation_id="log_in",
    summary="Log in",
    status_code=status.HTTP_201_CREATED,
    responses={
        401: {"model": Problem, "description": "Wrong account or password."},
        403: {"model": Problem, "description": "Passwords are switched off (`local_login`)."},
        429: {"model": Problem, "description": "Too many attempts; Retry-After says how long to wait."},
    },
    openapi_extra={"security": []},
)
async def log_in(login: Login, request: Request, response: Response, services: OpenToAll) -> SessionOpened:
    """Give the account and the password; get a token, and a cookie for browsers."""
    if not services.settings.local_login:
        raise ProblemError(403, "no-passwords", "Here people log in at the login service, not with a password.")
    trail = trail_of(request)
    address = trail.address or "unknown"
    wait_s = await run_in_threadpool(services.throttle.admit, address)
    if wait_s:
        services.metrics.logins.labels("throttled").inc()
        with contextlib.suppress(AuditUnavailable):  # a flood of these must not be able to stop anything else
            services.views.note("login.throttled", Trail(), address, "")
        raise too_many_attempts(wait_s)
    async with services.password_checks:
        account = await run_in_threadpool(services.accounts.verify, login.account, login.password)
    if account is None:
        services.metrics.logins.labels("refused").inc()
        await run_in_threadpool(_record_refusal, services, login.account, trail)
        raise ProblemError(401, "wrong-password", "The account or the password is wrong.")

    def open_session(account: Account) -> tuple[str, Session]:
        services.audit.append("login", replace(trail, account=account.name), role=account.role.value)
        services.throttle.forgive(address)
        return services.sessions.open(account)

    token, session = await run_in_threadpool(open_session, account)
    services.metrics.logins.labels("accepted").inc()
    set_session_cookie(response, token, services, secure=request.url.scheme == "https")
    return SessionOpened(**_shown(session).model_dump(), token=token)


@router.get("", operation_id="get_session", summary="Who is logged in")
async def get_session(request: Request, scoped: LoggedIn) -> SessionInfo:
    return _shown(current_session(request))


@router.delete(
    "",
    operation_id="log_out",
    summary="Log out",
    status_code=status.HTTP_204_NO_CONTENT,
)
async def log_out(request: Request, response: Response, scoped: OwnAccount) -> None:
    """The token is worthless from here on, in every tab and every replica."""
    await run_in_threadpool(scoped.log_out, current_session(request))
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def set_session_cookie(response: Response, token: str, services: Services, *, secure: bool) -> None:
    """What keeps a browser logged in. Never sent along when another site's page leads here."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(services.sessions.lifetime.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=secure,
    )


def too_many_attempts(wait_s: int) -> ProblemError:
    """The answer to guessing."""
    return ProblemError(
        429,
        "too-many-attempts",
        f"Too many attempts to log in. Try again in {_spoken(wait_s)}.",
        headers={"Retry-After": str(wait_s)},
    )


def _record_refusal(services: Services, typed: str, trail: Trail) -> None:
    """The account is named only when there is one: what was typed by mistake may be a password."""
    try:
        name = account_name(typed)
        known = services.accounts.get(name) is not None
    except AccountError:
        known = False
    services.audit.append("login.refused", replace(trail, account=name if known else None))


def _shown(session: Session) -> SessionInfo:
    access = session.access
    return SessionInfo(
        account=access.account,
        role=access.role,
        cameras=None if access.cameras is None else sorted(access.cameras),
        permissions=[permission for permission in Permission if access.may(permission)],
        created_at=session.created_at,
        expires_at=session.expires_at,
    )


def _spoken(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"
