"""Hangs the dashboard's pages and the login page into the application."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from nicegui import Client, core, run, ui
from redis.exceptions import RedisError

from service.api.access import current_session, trail_of
from service.api.scoped import Scoped
from service.api.services import Services
from service.dashboard import strings
from service.dashboard.login import router as login_router
from service.dashboard.page import PATHS, build_page
from service.dashboard.plain import no_such_page
from service.security.access import Permission
from service.security.sessions import Session

__all__ = ["mount_dashboard"]

RELOAD_S = 0.5
TAB_KEPT_S = 3600.0


def mount_dashboard(app: FastAPI, services: Services) -> None:
    """Mount the pages; the gate in front of the application protects them, their assets and their socket.

    NiceGUI's own browser storage is not switched on: no second cookie, nothing kept about an operator.
    """
    app.include_router(login_router)

    async def index(request: Request) -> None:
        session = current_session(request)
        scoped = Scoped(services, session.access, trail_of(request), session)
        scoped.access.require(Permission.VIEW)
        _bind(ui.context.client, scoped, session)
        await build_page(scoped)

    services.metrics.dashboard_pages.set_function(lambda: len(Client.instances))
    for path in PATHS:
        ui.page(path, title=strings.TITLE, language="en-GB")(index)
    core.app.add_exception_handler(404, no_such_page)
    ui.run_with(
        app,
        title=strings.TITLE,
        favicon="👁",
        dark=True,
        tailwind=False,
        reconnect_timeout=20.0,
        show_welcome_message=False,
    )
    # Nothing is kept of a tab, but a place to keep it in would be, for a month.
    core.app.storage.max_tab_storage_age = TAB_KEPT_S
    # A page's socket belongs to the session that opened it; with long polling every poll could be somebody else's.
    # So neither the page asks for it nor the server takes it (nor does the gate let it through).
    core.app.config.socket_io_js_transports = ["websocket"]
    core.sio.eio.transports = ["websocket"]


def _bind(client: Client, scoped: Scoped, session: Session) -> None:
    """A page belongs to the session that opened it: no other may take its socket, and it ends with its session."""

    async def connected() -> None:
        scope = (client.environ or {}).get("asgi.scope", {})
        found = scope.get("state", {}).get("session")
        if not isinstance(found, Session) or (found.key, found.access) != (session.key, session.access):
            scoped.close()
            client.run_javascript("location.reload()")
            await asyncio.sleep(RELOAD_S)
            end()

    async def disconnected() -> None:
        try:
            alive = await run.io_bound(scoped.still_there, session)
        except (RedisError, OSError):
            return  # nobody can connect either; the page ends by its own time-out
        if not alive:
            scoped.close()
            end()

    def end() -> None:
        if not client.is_deleted:
            client.delete()

    client.on_connect(connected)
    client.on_disconnect(disconnected)
