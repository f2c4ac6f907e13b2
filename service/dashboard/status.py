"""The head line and the banners: how large the gallery is, and what an operator must know before trusting it."""

from __future__ import annotations

from nicegui import ui

from service.api.services import Services
from service.dashboard import strings

__all__ = ["StatusLine"]


class StatusLine:
    """Built inside the header; `banner` is placed below it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._text = ui.label().classes("tp-quiet").props('role="status"')
        self._shown: tuple[str, ...] | None = None

    def banner(self) -> None:
        """Place the banners here."""
        self._banners = ui.element("div")
        self.refresh()

    def refresh(self) -> None:
        """Update what has changed."""
        services = self._services
        if services.index is not None:
            self._text.text = strings.SIGHTINGS.format(count=f"{len(services.index):,}")
        banners = self._current()
        if banners == self._shown:
            return
        self._shown = banners
        self._banners.clear()
        with self._banners:
            for kind in banners:
                self._draw(kind)

    def _current(self) -> tuple[str, ...]:
        services = self._services
        found = []
        if services.engines.model is not None and services.engines.model.interim:
            found.append("interim")
        if (
            services.follower is not None
            and services.follower.stats().ready
            and not services.follower.stats().connected
        ):
            found.append("store")
        if services.engines.state != "ready":
            found.append(services.engines.state)
        return tuple(found)

    def _draw(self, kind: str) -> None:
        loud = kind in ("interim", "store")
        with ui.element("div").classes("tp-banner" if loud else "tp-banner tp-banner-quiet").props('role="status"'):
            if kind == "interim":
                ui.icon("warning", size="20px")
                ui.html(f"<span><b>{strings.INTERIM_TITLE}</b> {strings.INTERIM_TEXT}</span>", sanitize=False)
            elif kind == "store":
                ui.icon("cloud_off", size="20px")
                ui.label(strings.STORE_AWAY)
            elif kind == "loading":
                ui.spinner(size="18px")
                ui.label(strings.MODEL_LOADING)
            else:
                ui.icon("error_outline", size="20px")
                ui.label(strings.MODEL_FAILED.format(reason=self._services.engines.error or ""))
