"""The login: light and dark, back to where one wanted to go and nowhere else, and one's own password."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect
from support.api_world import PASSWORD
from support.browsing import EIGHT_S, log_in, make, serious, shoot

NEW_PASSWORD = "another long one, 2"
ELSEWHERE = (
    "https://elsewhere.test/",
    "//elsewhere.test",
    "/\\elsewhere.test",
    "/.//elsewhere.test",
    "\\\\elsewhere.test",
    "/\t/elsewhere.test",
    "javascript:alert(1)",
    "data:text/html,x",
    "http://",
)


def _fill(page: Page, password: str, account: str = "admin") -> None:
    page.get_by_label("Account").fill(account)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.parametrize(
    ("system", "chosen", "light"), [("light", "", True), ("dark", "", False), ("dark", "light", True)]
)
def test_it_is_light_or_dark_as_the_pages_are(
    browser: Browser, address: str, system: str, chosen: str, light: bool
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme=system)
    context.add_init_script(f"localStorage.setItem('tapetum-theme', '{chosen}')")
    page = context.new_page()
    page.goto(f"{address}/login?because=ended&next=/audit")
    expect(page.get_by_role("status")).to_contain_text("You are logged out")
    expect(page.locator("body")).to_have_css("background-color", "rgb(243, 245, 247)" if light else "rgb(14, 19, 23)")
    shoot(page, f"login-{'light' if light else 'dark'}")
    assert serious(page, "dark") == []
    context.close()


def test_nobody_is_led_to_another_site(browser: Browser, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    page.route("**/api/v1/session", lambda route: route.fulfill(status=201, json={}))  # nobody is logged in for it
    for where in ELSEWHERE:
        page.goto(f"{address}/login?next={quote(where, safe='')}")
        with page.expect_event("framenavigated"):  # to the gate, before whatever page it was
            _fill(page, "x")
    assert [url for url in asked if not url.startswith((f"{address}/", "data:,"))] == []
    context.close()


def test_a_session_that_ends_says_so_and_leads_back(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    log_in(context, address)
    one = context.request.get(f"{address}/api/v1/tracklets?limit=1").json()["items"][0]["id"]
    search = make(context.request, address, "searches", {"examples": [{"tracklet_id": one}]})
    page = context.new_page()
    page.goto(f"{address}/search/{search}?by=camera")
    expect(page.locator(".tp-rank").first).to_be_visible(timeout=20_000)
    headers = {"X-Tapetum-Request": "1", "Origin": address}
    assert context.request.delete(f"{address}/api/v1/session", headers=headers).ok  # as another tab does
    expect(page.locator(".because")).to_contain_text("Log in to go on where you were", timeout=20_000)
    _fill(page, PASSWORD)
    expect(page).to_have_url(f"{address}/search/{search}?by=camera", timeout=20_000)
    expect(page.locator(".tp-rank").first).to_be_visible(timeout=20_000)
    # The same address, from somebody who was not logged in at all.
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{address}/login", timeout=20_000)
    expect(page.locator(".because")).to_have_count(0)
    page.goto(f"{address}/search/{search}?by=camera")
    _fill(page, PASSWORD)
    expect(page).to_have_url(f"{address}/search/{search}?by=camera", timeout=20_000)
    context.close()


def test_ones_own_password_is_changed(browser: Browser, address: str) -> None:
    admin = browser.new_context()
    log_in(admin, address)
    make(admin.request, address, "users", {"account": "changer", "role": "viewer", "password": PASSWORD})
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    log_in(context, address, "changer")
    page = context.new_page()
    page.goto(f"{address}/account")
    change = page.get_by_role("button", name="Change the password")
    expect(change).to_be_visible(timeout=20_000)
    told = page.get_by_role("alert")
    for current, wanted, again, why in (
        (PASSWORD, "", "", "Give the present password and the new one."),
        (PASSWORD, NEW_PASSWORD, "something else", "typed differently the second time"),
        (PASSWORD, "short", "short", "expected at least 12 characters"),
        ("not the present one", NEW_PASSWORD, NEW_PASSWORD, "The current password is wrong."),
        (PASSWORD, NEW_PASSWORD, NEW_PASSWORD, ""),
    ):
        page.get_by_label("Present password").fill(current)
        page.get_by_label("New password", exact=True).fill(wanted)
        page.get_by_label("New password again").fill(again)
        page.get_by_label("New password again").press("Enter")
        if why:
            expect(told).to_contain_text(why, timeout=EIGHT_S)
    expect(page.locator(".because")).to_contain_text("Your password was changed", timeout=20_000)
    _fill(page, PASSWORD, "changer")
    expect(told).to_contain_text("The account or the password is wrong.", timeout=EIGHT_S)
    _fill(page, NEW_PASSWORD, "changer")
    expect(page.get_by_role("heading", name="changer")).to_be_visible(timeout=20_000)
    expect(page).to_have_url(f"{address}/account")
    shoot(page, "account")
    assert serious(page, "dark") == []
    events = admin.request.get(f"{address}/api/v1/audit?limit=50").json()["items"]
    mine = [e["event"] for e in events if e["account"] == "changer"]
    assert mine.count("password.change") == 2, "one was refused by the rules, and undone"
    assert {"password.change.undone", "password.refused"} <= set(mine)
    context.close()
    admin.close()


def test_an_address_that_leads_nowhere_leads_back(page: Page, address: str) -> None:
    answer = page.goto(f"{address}/nowhere/at-all")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("There is no page at this address.")).to_be_visible()
    page.get_by_role("link", name="Go to Live").click()
    expect(page.locator(".tp-card").first).to_be_visible(timeout=60_000)


test_an_address_that_leads_nowhere_leads_back.refused = 404  # type: ignore[attr-defined]
