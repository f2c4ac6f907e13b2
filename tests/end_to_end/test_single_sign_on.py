"""Login at a provider on another site, in real Chromium, whose rules for cookies decide whether it works."""

from __future__ import annotations

from playwright.sync_api import Browser, expect
from support.browsing import EIGHT_S, shoot


def test_from_the_page_asked_for_to_the_provider_and_back(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.goto(f"{address}/audit")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    shoot(page, "login")
    page.get_by_role("link", name="Single sign-on").click()
    page.wait_for_url(f"{address}/audit", timeout=EIGHT_S)
    who = context.request.get(f"{address}/api/v1/session").json()
    assert (who["account"], who["role"], who["cameras"]) == ("mara", "admin", None)
    cookies = {cookie["name"]: cookie for cookie in context.cookies()}
    assert cookies["tapetum_session"]["sameSite"] == "Strict"
    assert "tapetum_oidc" not in cookies
    assert complaints == []
    context.close()
