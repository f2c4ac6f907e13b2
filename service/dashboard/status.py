"""The head line and the banners: how large the gallery is, and what an operator must know before trusting it."""

from __future__ import annotations

import contextlib

from nicegui import run, ui
from redis.exceptions import RedisError

from service.api.scoped import Scoped
from service.dashboard import strings
from service.gallery import GalleryUnavailable

__all__ = ["StatusLine"]


class StatusLine:
    """Built inside the header; `banner` is placed below it."""

    def __init__(self, scoped: Scoped) -> None:
        self._scoped = scoped
        self._text = ui.label().classes("tp-quiet")  # no live region: it would be read out all the time
        self._shown: tuple[str, ...] | None = None

    def banner(self) -> None:
        """Place the banners here."""
        self._banners = ui.element("div")
        self._refresh_banners()

    async def refresh(self) -> None:
        """Update what has changed."""
        self._refresh_banners()
        with contextlib.suppress(GalleryUnavailable, RedisError):
            count = await run.io_bound(self._scoped.gallery_size)
            if count is not None:
                self._text.text = strings.sightings(count)

    def _refresh_banners(self) -> None:
        banners = self._current()
        if banners == self._shown:
            return
        self._shown = banners
        self._banners.clear()
        with self._banners:
            for kind in banners:
                self._draw(kind)

    def _current(self) -> tuple[str, ...]:
        engines = self._scoped.engines
        found = []
        if self._scoped.store_away:
            found.append("store")
        if engines.state != "ready":
            found.append(engines.state)
        return tuple(found)

    def _draw(self, kind: str) -> None:
        loud = kind == "store"
        with ui.element("div").classes("tp-banner" if loud else "tp-banner tp-banner-quiet").props('role="status"'):
            if kind == "store":
                ui.icon("cloud_off", size="20px")
                ui.label(strings.STORE_AWAY)
            elif kind == "loading":
                ui.spinner(size="18px")
                ui.label(strings.MODEL_LOADING)
            else:
                ui.icon("error_outline", size="20px")
                ui.label(strings.MODEL_FAILED)
