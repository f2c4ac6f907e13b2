"""Two-person confirmation: one proposes, another one agrees, on a subject's page and on that of all that waits."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from support.api_world import PASSWORD
from support.browsing import EIGHT_S, log_in, make, serious, shoot


@pytest.fixture(scope="module")
def address(browser: Browser, two_persons_address: str) -> str:
    context, _ = _page_of(browser, two_persons_address, "admin")
    headers, data = {"Origin": two_persons_address}, {"account": "second", "role": "operator", "password": PASSWORD}
    answer = context.request.post(f"{two_persons_address}/api/v1/users", data=data, headers=headers)
    assert answer.status == 201
    context.close()
    return two_persons_address


def _page_of(browser: Browser, address: str, account: str) -> tuple[BrowserContext, Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    log_in(context, address, account)
    return context, context.new_page()


def _sightings(context: BrowserContext, address: str, count: int) -> list[str]:
    """The newest that are in no subject yet."""
    items = context.request.get(f"{address}/api/v1/tracklets?limit=200").json()["items"]
    listed = context.request.get(f"{address}/api/v1/subjects?limit=200").json()["items"]
    whole = [context.request.get(f"{address}/api/v1/subjects/{one['id']}").json() for one in listed]
    taken = {sighting["tracklet_id"] for one in whole for sighting in one["sightings"]}
    return [item["id"] for item in items if item["id"] not in taken][:count]


def test_one_proposes_and_another_one_agrees(browser: Browser, address: str) -> None:
    api = f"{address}/api/v1"
    context, page = _page_of(browser, address, "admin")
    one, other = _sightings(context, address, 2)
    subject = make(context.request, address, "subjects", {"tracklet_ids": [one, other]})
    page.goto(f"{address}/subjects/{subject}")
    expect(page.get_by_text("Waits for a second person")).to_be_visible(timeout=EIGHT_S)
    expect(page.locator("[data-pending]")).to_have_count(2)
    expect(page.get_by_role("button", name="Confirm too")).to_have_count(0)
    expect(page.locator("[data-pending]").first).to_contain_text("You proposed it, so somebody else has to agree.")
    page.locator(f"[data-pending='{other}']").get_by_role("button", name="Take back").click()
    expect(page.locator("[data-pending]")).to_have_count(1, timeout=EIGHT_S)
    context.close()

    context, page = _page_of(browser, address, "second")
    page.goto(f"{address}/subjects/{subject}")
    expect(page.get_by_role("button", name="Confirm too")).to_have_count(1, timeout=EIGHT_S)
    shoot(page, "pending")
    page.get_by_role("button", name="Confirm too").click()
    expect(page.locator("[data-pending]")).to_have_count(0, timeout=EIGHT_S)
    expect(page.get_by_text("confirmed by second")).to_be_visible()
    (told,) = context.request.get(f"{api}/subjects/{subject}").json()["sightings"]
    assert (told["decision"], told["account"], told["proposed_by"]) == ("confirmed", "second", "admin")
    context.close()


def test_what_waits_stands_on_one_page_with_a_count_in_the_head(browser: Browser, address: str) -> None:
    context, page = _page_of(browser, address, "second")
    ways = [_sightings(context, address, 5)[n : n + 1] for n in range(5)]
    kept, other = (make(context.request, address, "subjects", {"tracklet_ids": way}) for way in ways[:2])
    third = make(context.request, address, "subjects", {"name": "Third", "tracklet_ids": ways[2] + ways[3]})
    page.goto(f"{address}/pending")
    expect(page.locator("[data-subject]")).to_have_count(3, timeout=EIGHT_S)
    expect(page.get_by_role("button", name="Confirm too")).to_have_count(0)
    expect(page.locator(".tp-count")).to_have_count(0)  # what one proposed oneself waits for others
    context.close()

    context, page = _page_of(browser, address, "admin")
    page.goto(f"{address}/pending")
    way = page.locator(".tp-nav a[href='/pending']")
    expect(way).to_have_attribute("aria-label", "To confirm, 4 for you", timeout=20_000)
    expect(way.locator(".tp-count")).to_have_text("4")
    assert serious(page, "dark") == []
    page.locator(f"[data-subject='{third}']").get_by_role("button", name="Reject: ").first.click()
    expect(way.locator(".tp-count")).to_have_text("3", timeout=EIGHT_S)
    for subject, (one,) in ((kept, ways[0]), (other, ways[1])):
        row = page.locator(f"[data-subject='{subject}'] [data-pending='{one}']")
        row.get_by_role("button", name="Confirm too").focus()
        page.keyboard.press("Enter")
        expect(row).to_have_count(0, timeout=EIGHT_S)
    # A merge is proposed by one on the subject's page, and agreed to by the other on this one.
    page.goto(f"{address}/subjects/{kept}")
    page.get_by_role("button", name="Merge").click(timeout=20_000)
    number = context.request.get(f"{address}/api/v1/subjects/{other}").json()["number"]
    page.get_by_label("Name or number").fill(f"Subject {number}")
    expect(page.locator(".tp-choice")).to_have_count(1, timeout=EIGHT_S)
    page.locator(".tp-choice").click()
    page.get_by_role("button", name="Propose to merge").click()
    expect(page.locator(f"[data-merge='{other}']")).to_contain_text("admin proposed it", timeout=EIGHT_S)
    context.close()

    context, page = _page_of(browser, address, "second")
    page.goto(f"{address}/pending")
    merge = page.locator(f"[data-subject='{kept}'] [data-merge='{other}']")
    merge.get_by_role("button", name="Look at both").click(timeout=20_000)
    expect(page.get_by_role("dialog")).to_contain_text("Are these one person?")
    shoot(page, "pending-merge")
    page.get_by_role("button", name="Agree and merge").click()
    expect(merge).to_have_count(0, timeout=EIGHT_S)
    shoot(page, "pending-page")
    assert context.request.get(f"{address}/api/v1/subjects/{other}").json()["id"] == kept
    context.close()


def test_what_comes_while_one_looks_is_told_and_shown_on_demand(browser: Browser, address: str) -> None:
    context, page = _page_of(browser, address, "second")
    page.goto(f"{address}/pending")
    expect(page.locator("[data-subject], .tp-people + div .tp-empty").first).to_be_visible(timeout=20_000)
    told = page.get_by_text("Something else waits by now.")
    shown = page.locator("[data-subject]").count()
    other, _ = _page_of(browser, address, "admin")
    new = make(other.request, address, "subjects", {"tracklet_ids": _sightings(other, address, 1)})
    expect(told).to_be_visible(timeout=20_000)
    expect(page.locator("[data-subject]")).to_have_count(shown)
    page.get_by_role("button", name="Show it").click()
    expect(page.locator(f"[data-subject='{new}']")).to_be_visible(timeout=EIGHT_S)
    expect(told).to_be_hidden()
    other.close()
    context.close()


def test_who_may_not_agree_is_shown_no_such_page(browser: Browser, address: str) -> None:
    context, page = _page_of(browser, address, "watcher")
    page.goto(f"{address}/pending")
    expect(page.get_by_text("There is nothing here for your account")).to_be_visible(timeout=20_000)
    expect(page.locator(".tp-nav a[href='/pending']")).to_have_count(0)
    context.close()
