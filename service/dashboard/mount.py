"""Hangs the operator's page and the login page into the application."""

from __future__ import annotations

from fastapi import FastAPI
from nicegui import core, ui

from service.api.services import Services
from service.dashboard import strings
from service.dashboard.login import router as login_router
from service.dashboard.page import build_page
from service.settings import Settings

__all__ = ["mount_dashboard"]


def mount_dashboard(app: FastAPI, settings: Settings, services: Services) -> None:
    """Mount at ``/``; the gate in front of the application protects the page, its assets and its socket.

    NiceGUI's own browser storage is not switched on: no second cookie, nothing kept about an operator.
    """
    app.include_router(login_router)

    @ui.page("/", title=strings.TITLE)
    async def index() -> None:
        await build_page(services)

    ui.run_with(
        app,
        title=strings.TITLE,
        favicon="👁",
        dark=True,
        tailwind=False,
        reconnect_timeout=20.0,
        show_welcome_message=False,
    )
    # Long polling would need POSTs of text/plain, which the gate refuses.
    core.app.config.socket_io_js_transports = ["websocket"]
