"""What is shown once and never again: a fresh password, an API token."""

from __future__ import annotations

from nicegui import ui

from service.dashboard import strings
from service.dashboard.elements import heading, primary

__all__ = ["show_secret"]


def show_secret(title: str, secret: str) -> None:
    """Opens a dialog; with it the secret is gone from the page."""
    with ui.dialog(value=True).props("persistent") as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
        heading(title, level=2)
        field = ui.input(value=secret).props("filled dense readonly autofocus").classes("tp-secret")
        field.props["aria-label"] = title
        ui.label(strings.SHOWN_ONCE).classes("tp-quiet")
        with ui.element("div").classes("tp-line"):
            primary(strings.CLOSE, dialog.close)
    dialog.on("hide", dialog.delete)
