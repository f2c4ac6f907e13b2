"""Two-person confirmation on the page of a subject: one proposes, another one agrees."""

from __future__ import annotations

from playwright.sync_api import Browser, BrowserContext, Page, expect
from support.api_world import PASSWORD
from support.browsing import EIGHT_S, log_in, shoot


def _page_of(browser: Browser, address: str, account: str) -> tuple[BrowserContext, Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    log_in(context, address, account)
    return context, context.new_page()


def test_one_proposes_and_another_one_agrees(browser: Browser, two_persons_address: str) -> None:
    address, api = two_persons_address, f"{two_persons_address}/api/v1"
    context, page = _page_of(browser, address, "admin")
    origin = {"Origin": address}
    second = {"account": "second", "role": "operator", "password": PASSWORD}
    assert context.request.post(f"{api}/users", data=second, headers=origin).status == 201
    one, other = [s["id"] for s in context.request.get(f"{api}/tracklets?limit=2").json()["items"]]
    made = context.request.post(f"{api}/subjects", data={"tracklet_ids": [one, other]}, headers=origin).json()
    page.goto(f"{address}/subjects/{made['id']}")
    expect(page.get_by_text("Waits for a second person")).to_be_visible(timeout=EIGHT_S)
    expect(page.locator("[data-pending]")).to_have_count(2)
    expect(page.get_by_role("button", name="Confirm too")).to_have_count(0)
    page.locator(f"[data-pending='{other}']").get_by_role("button", name="Take out").click()
    expect(page.locator("[data-pending]")).to_have_count(1, timeout=EIGHT_S)
    context.close()

    context, page = _page_of(browser, address, "second")
    page.goto(f"{address}/subjects/{made['id']}")
    expect(page.get_by_role("button", name="Confirm too")).to_have_count(1, timeout=EIGHT_S)
    shoot(page, "pending")
    page.get_by_role("button", name="Confirm too").click()
    expect(page.locator("[data-pending]")).to_have_count(0, timeout=EIGHT_S)
    expect(page.get_by_text("confirmed by second")).to_be_visible()
    (told,) = context.request.get(f"{api}/subjects/{made['id']}").json()["sightings"]
    assert (told["decision"], told["account"], told["proposed_by"]) == ("confirmed", "second", "admin")
    context.close()
