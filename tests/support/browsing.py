"""What tests of the dashboard do in a browser: log in, take a picture to look at, list what is complained about."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import APIRequestContext, BrowserContext, FloatRect, Locator, Page
from support.api_world import PASSWORD

SIZES = {"1280x720": (1280, 720), "1920x1080": (1920, 1080)}
EVERY_SIZE = ((1280, 720), (1920, 1080), (3840, 2160), (820, 1180), (1180, 820))
EIGHT_S = 8000
_LAYOUT = Path(__file__).with_name("layout.js").read_text()


def log_in(context: BrowserContext, address: str, account: str = "admin", password: str = PASSWORD) -> None:
    """Without the form, which has a test of its own: every login by it costs seconds."""
    answer = context.request.post(f"{address}/api/v1/session", data={"account": account, "password": password})
    assert answer.status == 201, answer.text()


def make(request: APIRequestContext, address: str, path: str, data: dict[str, Any]) -> str:
    """Something by the API with a browser's login; returns its id."""
    headers = {"X-Tapetum-Request": "1", "Origin": address}
    answer = request.post(f"{address}/api/v1/{path}", data=data, headers=headers)
    assert answer.ok, answer.text()
    return str(answer.json().get("id"))


def ask(page: Page, address: str, method: str, path: str, data: object = None) -> Any:
    """Ask the API with a browser's login; returns the document, None for none."""
    headers = {"X-Tapetum-Request": "1", "Origin": address}
    answer = page.request.fetch(f"{address}/api/v1/{path}", method=method, data=data, headers=headers)
    assert answer.ok, answer.text()
    return answer.json() if answer.body() else None


def settled(what: Locator) -> FloatRect:
    """Where something is once it moves no more: a dialog grows as it opens."""
    box, before = what.bounding_box(), None
    while box is None or box != before:
        what.page.wait_for_timeout(400)
        box, before = what.bounding_box(), box
    return box


def shoot(page: Page, name: str) -> None:
    """Keep a picture where ``TAPETUM_SCREENSHOTS`` names a folder."""
    folder = os.environ.get("TAPETUM_SCREENSHOTS")
    if folder:
        size = page.viewport_size
        assert size is not None
        page.wait_for_timeout(500)
        page.screenshot(path=Path(folder) / f"{name}-{size['width']}x{size['height']}.png")


def misplaced(page: Page, width: int, height: int) -> list[str]:
    """What is wrong with a page's layout at a size of the window; see layout.js."""
    page.set_viewport_size({"width": width, "height": height})
    return [str(one) for one in page.evaluate(_LAYOUT.split("*/", 1)[1].strip())]


def serious(page: Page, theme: str, within: dict[str, list[list[str]]] | None = None) -> list[str]:
    """What axe finds serious on a page. Only the colours are others when it is light."""
    return _serious(page, {} if theme == "dark" else {"runOnly": ["color-contrast"]}, within)


def serious_in_dialog(page: Page) -> list[str]:
    """Likewise, but for the colours: axe takes what lies dimmed below a dialog for the ground of its buttons."""
    return _serious(page, {"rules": {"color-contrast": {"enabled": False}}}, {"include": [[".tp-dialog"]]})


def _serious(page: Page, options: dict[str, Any], within: dict[str, list[list[str]]] | None) -> list[str]:
    violations = Axe().run(page, within, options=options).response["violations"]
    return [
        f"{v['id']}: {node['html'][:120]} {node['failureSummary'][-160:]}"
        for v in violations
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]
