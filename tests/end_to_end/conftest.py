"""One application and one browser for all tests of the dashboard."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from support.browsing import SIZES, ask, log_in
from support.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, oidc_provider
from support.tiles import TileServer, tile_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the application; see `support.dashboard_server`."""
    return tmp_path_factory.mktemp("dashboard")


@pytest.fixture(scope="session")
def _port() -> int:
    return _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def provider(_port: int) -> Iterator[OidcProvider]:
    """A login service on another site, as browsers see it."""
    person = {"sub": "u-1", "preferred_username": "mara", "groups": ["cctv"]}
    with oidc_provider(f"http://127.0.0.1:{_port}/login/oidc/callback", person, host="localhost") as provider:
        yield provider


@pytest.fixture(scope="session")
def address(folder: Path, _port: int, provider: OidcProvider, clip: Path) -> Iterator[str]:
    service = {
        "TAPETUM_OIDC_ISSUER": provider.issuer,
        "TAPETUM_OIDC_CLIENT_ID": CLIENT_ID,
        "TAPETUM_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "TAPETUM_OIDC_REDIRECT_URL": provider.redirect_url,
        "TAPETUM_CAMERA_ALLOW_LOOPBACK": "true",
        "TAPETUM_CAMERA_FILE_ROOTS": json.dumps([str(clip.parent)]),
        "TAPETUM_OIDC_GRANTS": '{"cctv": {"role": "admin", "cameras": "*"}}',
    }
    yield from _serve(folder, _port, service)


@pytest.fixture(scope="module")
def two_persons_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another application, in which two have to confirm."""
    folder = tmp_path_factory.mktemp("two-persons")
    yield from _serve(folder, _free_port(), {"TAPETUM_TWO_PERSON_CONFIRMATION": "true"})


@pytest.fixture
def tiles() -> Iterator[TileServer]:
    """Somebody else's tile server."""
    with tile_server() as server:
        yield server


@pytest.fixture
def tiled_address(tmp_path: Path, tiles: TileServer) -> Iterator[str]:
    """Another application, whose maps show those tiles."""
    service = {"TAPETUM_MAP_TILES": tiles.address, "TAPETUM_MAP_ATTRIBUTION": "© <b>Somebody</b>"}
    yield from _serve(tmp_path, _free_port(), service)


def _serve(folder: Path, port: int, settings: dict[str, str]) -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/support/dashboard_server.py"), str(folder), str(port)],
        env={**os.environ, **settings, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_ready(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def _wait_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the server did not become ready")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Playwright keeps an event loop running in this thread, which other tests want to run theirs in."""
    expect.set_options(timeout=20_000)  # a machine may be slow; nothing here is about speed
    program = shutil.which("chromium") or "/usr/bin/chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """A logged-in page; at the end nothing may have been complained about in the console."""
    width, height = SIZES[getattr(request, "param", "1280x720")]
    context = browser.new_context(viewport={"width": width, "height": height}, timezone_id="Europe/Berlin")
    context.set_default_navigation_timeout(120_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else complaints.append(r.url))
    log_in(context, address)
    page.goto(address)
    expect(page.locator(".tp-card").first).to_be_visible(timeout=60_000)
    yield page
    context.close()
    # Chromium itself writes down every refused request; a test that causes one says so.
    refused = getattr(request.function, "refused", None)
    assert [c for c in complaints if refused is None or f"status of {refused}" not in c] == []


@pytest.fixture
def empty_plans(page: Page, address: str) -> Iterator[None]:
    """At the end no camera stands anywhere, and there are no plans."""
    yield
    for camera in ask(page, address, "GET", "cameras")["items"]:
        ask(page, address, "PATCH", f"cameras/{camera['id']}", {"position": None})
    for plan in ask(page, address, "GET", "plans")["items"]:
        ask(page, address, "DELETE", f"plans/{plan['name']}")
