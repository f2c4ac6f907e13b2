"""The dashboard's pages: how one comes to them, who may see which, and that everybody can read them."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from support.api_world import PASSWORD
from support.browsing import EIGHT_S, log_in, shoot

# A page, and what is there when it is whole.
PAGES = {"/": ".tp-card", "/system": ".tp-table", "/audit": ".tp-audit tbody tr"}


def test_pages_are_reached_by_links_keys_and_addresses(page: Page, address: str) -> None:
    page.locator(".tp-nav").get_by_role("link", name="System").click()
    expect(page.get_by_role("heading", name="Engines in use")).to_be_visible(timeout=EIGHT_S)
    expect(page).to_have_url(f"{address}/system")
    expect(page).to_have_title("System · Tapetum")
    expect(page.locator(".tp-nav [aria-current=page]")).to_have_text("System")
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Audit")).to_be_visible(timeout=EIGHT_S)
    expect(page.get_by_text(re.compile(r"Intact: \d+ entries checked"))).to_be_visible(timeout=EIGHT_S)
    page.reload()
    expect(page.locator(".tp-audit tbody tr").first).to_be_visible(timeout=EIGHT_S)
    page.go_back()
    expect(page.get_by_role("heading", name="Engines in use")).to_be_visible(timeout=EIGHT_S)
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keyboard")
    expect(keys).to_contain_text("this map")
    page.get_by_label("Single keys").uncheck()
    page.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    page.keyboard.press("?")
    expect(keys).to_have_count(0)


def test_the_audit_log_is_browsed(page: Page, address: str) -> None:
    page.goto(f"{address}/audit")
    entries = page.locator(".tp-audit tbody tr")
    expect(entries.first).to_be_visible(timeout=EIGHT_S)
    page.get_by_label("What").click()
    page.get_by_role("option", name="Logins").click()
    expect(entries.filter(has_text="service.start")).to_have_count(0, timeout=EIGHT_S)
    expect(entries.first).to_contain_text("login")
    page.get_by_label("Account").fill("nobody-of-this-name")
    page.get_by_label("Account").press("Enter")
    expect(page.get_by_text("No entry fits")).to_be_visible(timeout=EIGHT_S)


def test_a_viewer_is_shown_no_page_that_is_not_for_viewers(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    log_in(context, address, "watcher")
    page = context.new_page()
    page.goto(f"{address}/audit")
    expect(page.get_by_text("There is nothing here for your account")).to_be_visible(timeout=20_000)
    expect(page.locator(".tp-nav").get_by_role("link", name="Audit")).to_have_count(0)
    expect(page.locator(".tp-nav").get_by_role("link", name="System")).to_have_count(0)
    # Nor by telling the page that one is there already, which is how its own links work.
    page.evaluate("emitEvent('sub_pages_navigate', '/system')")
    expect(page.get_by_text("There is nothing here for your account")).to_be_visible()
    page.locator(".tp-brand").click()
    expect(page.locator(".tp-tile")).to_have_count(1, timeout=EIGHT_S)
    context.close()


def test_the_form_logs_in_and_leads_to_where_one_wanted_to_go(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto(f"{address}/system")
    shoot(page, "login")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Engines in use")).to_be_visible(timeout=20_000)
    context.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_on_any_page(browser: Browser, address: str, theme: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    context.add_init_script(f"localStorage.setItem('tapetum-theme', '{theme}')")
    page = context.new_page()
    page.goto(f"{address}/login")
    found = {"/login": _serious(page)}
    log_in(context, address)
    for path, whole in PAGES.items():
        page.goto(address + path)
        expect(page.locator(whole).first).to_be_visible(timeout=20_000)
        shoot(page, f"axe{path.replace('/', '-')}-{theme}")
        found[path] = _serious(page)
    context.close()
    assert found == {path: [] for path in found}


def _serious(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {node['html'][:120]} {node['failureSummary'][-160:]}"
        for v in violations
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]
