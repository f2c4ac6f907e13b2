"""How routes get at the services: by naming what permission they need.

A route has no other way, and `check_permissions` refuses an application with a route that names none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, cast

from fastapi import Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.requests import HTTPConnection

from service.api.scoped import Scoped
from service.api.services import Services
from service.audit import Trail
from service.problems import ProblemError
from service.security.access import Permission
from service.security.gate import OPEN_PATHS, SESSION_PATH
from service.security.sessions import Session

__all__ = [
    "AddingCameras",
    "Auditing",
    "Exporting",
    "LoggedIn",
    "Maintaining",
    "ManagingCameras",
    "ManagingCases",
    "ManagingPlans",
    "ManagingSubjects",
    "ManagingUsers",
    "ManagingWatchlist",
    "ManagingWebhooks",
    "OpenToAll",
    "OwnAccount",
    "ReadingFigures",
    "Searching",
    "SeeingAlerts",
    "SendingPhotos",
    "StreamingAlerts",
    "SystemReading",
    "TestingCameras",
    "Viewing",
    "check_permissions",
    "current_session",
    "permissions_of",
    "scoped_of",
    "trail_of",
]

Dependency = Callable[[HTTPConnection], Awaitable[Scoped]]
_PERMISSIONS: dict[Callable[..., Any], Permission] = {}


def _services_of(connection: HTTPConnection) -> Services:
    return cast(Services, connection.app.state.services)


def current_session(connection: HTTPConnection) -> Session:
    """The session that the gate let in."""
    session = connection.scope["state"].get("session")
    if not isinstance(session, Session):
        raise ProblemError(401, "not-logged-in", "Log in first.")
    return session


def trail_of(connection: HTTPConnection) -> Trail:
    """Who asks and from where, for the audit log."""
    state = connection.scope["state"]
    session = state.get("session")
    access = session.access if isinstance(session, Session) else None
    return Trail(
        account=access.account if access else None,
        token=access.token if access else None,
        address=connection.client.host if connection.client else None,
        request_id=state.get("request_id"),
    )


def scoped_of(connection: HTTPConnection, *, lasting: bool = False) -> Scoped:
    """The services as the session's account may use them.

    Args:
        lasting: the answer goes on for long, so what it gives is judged by whether the session still lives.
    """
    session = current_session(connection)
    return Scoped(_services_of(connection), session.access, trail_of(connection), session if lasting else None)


def _needs(permission: Permission, *, lasting: bool = False) -> Dependency:
    async def admitted(connection: HTTPConnection) -> Scoped:
        scoped = scoped_of(connection, lasting=lasting)
        scoped.access.require(permission)
        return scoped

    _PERMISSIONS[admitted] = permission
    return admitted


LoggedIn = Annotated[Scoped, Depends(_needs(Permission.LOGGED_IN))]
OwnAccount = Annotated[Scoped, Depends(_needs(Permission.OWN_ACCOUNT))]
Viewing = Annotated[Scoped, Depends(_needs(Permission.VIEW))]
Searching = Annotated[Scoped, Depends(_needs(Permission.SEARCH))]
SeeingAlerts = Annotated[Scoped, Depends(_needs(Permission.ALERTS))]
StreamingAlerts = Annotated[Scoped, Depends(_needs(Permission.ALERTS, lasting=True))]
ManagingWatchlist = Annotated[Scoped, Depends(_needs(Permission.WATCHLISTS))]
ManagingWebhooks = Annotated[Scoped, Depends(_needs(Permission.WEBHOOKS))]
SendingPhotos = Annotated[Scoped, Depends(_needs(Permission.PHOTOS))]
ManagingSubjects = Annotated[Scoped, Depends(_needs(Permission.SUBJECTS))]
ManagingCases = Annotated[Scoped, Depends(_needs(Permission.CASES))]
Exporting = Annotated[Scoped, Depends(_needs(Permission.EXPORT))]
TestingCameras = Annotated[Scoped, Depends(_needs(Permission.TEST_CAMERAS))]
ManagingCameras = Annotated[Scoped, Depends(_needs(Permission.MANAGE_CAMERAS))]
Erasing = Annotated[Scoped, Depends(_needs(Permission.ERASE))]
AddingCameras = Annotated[Scoped, Depends(_needs(Permission.ADD_CAMERAS))]
ManagingPlans = Annotated[Scoped, Depends(_needs(Permission.PLANS))]
ManagingUsers = Annotated[Scoped, Depends(_needs(Permission.USERS))]
Auditing = Annotated[Scoped, Depends(_needs(Permission.AUDIT))]
Maintaining = Annotated[Scoped, Depends(_needs(Permission.MAINTAIN))]
SystemReading = Annotated[Scoped, Depends(_needs(Permission.SYSTEM))]


async def _figures(connection: HTTPConnection) -> Services:
    # Without a session the gate has checked the metrics token.
    if connection.scope["state"].get("session") is not None:
        scoped_of(connection).access.require(Permission.SYSTEM)
    return _services_of(connection)


_PERMISSIONS[_figures] = Permission.SYSTEM
ReadingFigures = Annotated[Services, Depends(_figures)]


async def _open_services(connection: HTTPConnection) -> Services:
    # Not a plain function: those run in the threads, and readiness must answer while all of them wait for Redis.
    return _services_of(connection)


# For the few routes that the gate lets through without a login.
OpenToAll = Annotated[Services, Depends(_open_services)]


def permissions_of(app: FastAPI) -> Iterator[tuple[str, str, Permission | None]]:
    """Method (or ``WEBSOCKET``), path and permission of every route that is written as one."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute | APIWebSocketRoute):
            permission = _permission(route.dependant)
            methods = route.methods or () if isinstance(route, APIRoute) else ("WEBSOCKET",)
            yield from ((method, str(context.path), permission) for method in sorted(methods))


def check_permissions(app: FastAPI) -> None:
    """Raises RuntimeError that names the routes that need a login and no permission."""
    forgotten = [
        f"{method} {path}"
        for method, path, permission in permissions_of(app)
        if permission is None and path not in OPEN_PATHS and (method, path) != ("POST", SESSION_PATH)
    ]
    if forgotten:
        raise RuntimeError(f"routes without a declared permission: {', '.join(forgotten)}")


def _permission(dependant: Dependant) -> Permission | None:
    for dependency in dependant.dependencies:
        call = dependency.call
        found = _PERMISSIONS.get(call) if call is not None else None
        found = found or _permission(dependency)
        if found is not None:
            return found
    return None
