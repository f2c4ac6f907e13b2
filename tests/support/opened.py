"""Dashboards that are open in a real browser, and an operator who searches in one of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect

STOPWATCH = Path(__file__).with_name("stopwatch.js")
LIGHTS = ("Night only", "Day only")
VERDICTS = ("c", "r", "c")
SIXTY_S = 60_000


def opened(browser: Browser, address: str, login: dict[str, str]) -> BrowserContext:
    """A browser of its own that is logged in."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, timezone_id="Europe/Berlin")
    context.set_default_timeout(SIXTY_S)
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

    def search_once(self) -> list[tuple[str, dict[str, Any]]]:
        """One search from the wall to the third verdict: what was done, and how long each took."""
        page = self._page
        page.get_by_role("navigation").get_by_role("link", name="Live").click()
        expect(page.locator(".tp-tile, .tp-empty").first).to_be_visible(timeout=SIXTY_S)
        page.locator(".tp-act-search").first.wait_for(state="attached")
        found = [("click", self._time("click", self._random.randrange(24)))]
        for text in LIGHTS:
            page.get_by_role("button", name="Day or night").click()
            page.locator(".q-menu .q-item").filter(has_text=text).wait_for()
            found.append(("chip", self._time("chip", text)))
        return found + [("verdict", self._time("verdict", key)) for key in VERDICTS]

    def _time(self, act: str, what: object) -> dict[str, Any]:
        told = self._page.evaluate("([act, what]) => window.stopwatch(act, what)", [act, what])
        assert isinstance(told, dict)
        return told
