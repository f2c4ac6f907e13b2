"""Dashboards that are open in a real browser, and an operator who searches in one of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

STOPWATCH = Path(__file__).with_name("stopwatch.js")
LIGHTS = ("Night only", "Day only")
VERDICTS = ("c", "r", "c")
PATIENCE_MS = 180_000


def opened(browser: Browser, address: str, login: dict[str, str]) -> BrowserContext:
    """A browser of its own that is logged in."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, timezone_id="Europe/Berlin")
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(path=STOPWATCH)
    answer = context.request.post(f"{address}/api/v1/session", data=login)
    assert answer.status == 201, answer.text()
    return context


def wall(context: BrowserContext, address: str) -> Page:
    """A page that shows all cameras."""
    page = context.new_page()
    page.goto(address)
    page.locator(".tp-card").first.wait_for()
    return page


class Operator:
    """Searches in one page: clicks somebody, asks for one light only, judges, and begins anew."""

    def __init__(self, page: Page, address: str) -> None:
        self._page, self._address = page, address
        self._random = random.Random(3)

    def search_once(self, between: Callable[[], None]) -> Iterator[tuple[str, dict[str, Any]]]:
        """One search from the wall to the third verdict: what was done, and how long each took.

        Args:
            between: called before each.

        Raises:
            playwright.sync_api.Error: the page was not there to the end.
        """
        page = self._page
        page.get_by_role("navigation").get_by_role("link", name="Live").click()
        page.locator(".tp-tile, .tp-empty").first.wait_for()
        page.locator(".tp-act-search").first.wait_for(state="attached")
        between()
        yield "click", self._time("click", self._random.randrange(24))
        for text in LIGHTS:
            between()
            page.get_by_role("button", name="Day or night").click()
            page.locator(".q-menu .q-item").filter(has_text=text).wait_for()
            yield "chip", self._time("chip", text)
        for key in VERDICTS:
            between()
            yield "verdict", self._time("verdict", key)

    def begin_anew(self) -> None:
        """Load the page again."""
        self._page.goto(self._address)
        self._page.locator(".tp-card").first.wait_for()

    def _time(self, act: str, what: object) -> dict[str, Any]:
        told = self._page.evaluate("([act, what]) => window.stopwatch(act, what)", [act, what])
        assert isinstance(told, dict)
        return told
