"""How routes reach the services and the session of the one who asks."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from service.api.services import Services
from service.problems import ProblemError
from service.security.sessions import Session

__all__ = ["Serving", "current_session", "services_of"]


def services_of(connection: HTTPConnection) -> Services:
    return cast(Services, connection.app.state.services)


def current_session(connection: HTTPConnection) -> Session:
    """The session that the gate let in."""
    session = connection.scope["state"].get("session")
    if not isinstance(session, Session):
        raise ProblemError(401, "not-logged-in", "Log in first.")
    return session


Serving = Annotated[Services, Depends(services_of)]
