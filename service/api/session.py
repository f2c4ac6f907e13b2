"""Log in, look who is logged in, log out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, status
from starlette.concurrency import run_in_threadpool

from service.api.access import Serving, current_session
from service.api.schema import Login, SessionInfo, SessionOpened
from service.problems import PROBLEM_RESPONSES, Problem, ProblemError
from service.security.gate import COOKIE
from service.security.sessions import Session

__all__ = ["router"]

router = APIRouter(prefix="/session", tags=["session"], responses={503: PROBLEM_RESPONSES[503]})


@router.post(
    "",
    operation_id="log_in",
    summary="Log in",
    status_code=status.HTTP_201_CREATED,
    responses={
        401: {"model": Problem, "description": "Wrong account or password."},
        429: {"model": Problem, "description": "Too many attempts; Retry-After says how long to wait."},
    },
    openapi_extra={"security": []},
)
async def log_in(login: Login, request: Request, response: Response, services: Serving) -> SessionOpened:
    """Give the account and the password; get a token, and a cookie for browsers."""
    address = request.client.host if request.client else "unknown"
    wait_s = await run_in_threadpool(services.throttle.admit, address)
    if wait_s:
        services.metrics.logins.labels("throttled").inc()
        raise ProblemError(
            429,
            "too-many-attempts",
            f"Too many attempts to log in. Try again in {_spoken(wait_s)}.",
            headers={"Retry-After": str(wait_s)},
        )
    async with services.password_checks:
        credential = await run_in_threadpool(services.credentials.verify, login.account, login.password)
    if credential is None:
        services.metrics.logins.labels("refused").inc()
        raise ProblemError(401, "wrong-password", "The account or the password is wrong.")
    services.metrics.logins.labels("accepted").inc()
    await run_in_threadpool(services.throttle.clear, address)
    token, session = await run_in_threadpool(services.sessions.open, credential)
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(services.sessions.lifetime.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return SessionOpened(
        account=session.account, created_at=session.created_at, expires_at=session.expires_at, token=token
    )


@router.get("", operation_id="get_session", summary="Who is logged in", responses={401: PROBLEM_RESPONSES[401]})
async def get_session(session: Annotated[Session, Depends(current_session)]) -> SessionInfo:
    return SessionInfo(account=session.account, created_at=session.created_at, expires_at=session.expires_at)


@router.delete(
    "",
    operation_id="log_out",
    summary="Log out",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={401: PROBLEM_RESPONSES[401]},
)
async def log_out(
    response: Response,
    session: Annotated[Session, Depends(current_session)],
    services: Serving,
) -> None:
    """The token is worthless from here on, in every tab and every replica."""
    await run_in_threadpool(services.sessions.close, session)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def _spoken(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"
