"""What is done to subjects on their pages: two are one, and one is two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.browsing import EIGHT_S, make, serious, serious_in_dialog, shoot


@pytest.fixture
def ids(page: Page, address: str) -> Iterator[list[str]]:
    """Sightings that no subject has, the oldest first. What a test has made of them is gone after it."""
    yield [item["id"] for item in reversed(_get(page, address, "tracklets?limit=200")["items"])]
    for one in _get(page, address, "subjects?limit=200")["items"]:
        path = f"{address}/api/v1/subjects/{one['id']}?revision={one['revision']}"
        assert page.request.delete(path, headers={"X-Tapetum-Request": "1", "Origin": address}).ok


def _get(page: Page, address: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = page.request.get(f"{address}/api/v1/{path}").json()
    return found


def _told(page: Page, address: str, subject: str) -> dict[str, str]:
    sightings = _get(page, address, f"subjects/{subject}")["sightings"]
    return {one["tracklet_id"]: one["decision"] for one in sightings}


def test_two_subjects_are_looked_at_side_by_side_and_merged(page: Page, address: str, ids: list[str]) -> None:
    kept = make(page.request, address, "subjects", {"name": "Blue coat", "tracklet_ids": ids[:2]})
    other = make(page.request, address, "subjects", {"name": "Coat of blue", "tracklet_ids": ids[2:3]})
    seen = [_get(page, address, f"tracklets/{one}")["camera_id"] for one in ids[:3]]
    apart = next(camera for camera in seen[:2] if camera != seen[2])
    way, headers = f"{address}/api/v1/walking-times/{apart}/{seen[2]}", {"X-Tapetum-Request": "1", "Origin": address}
    assert page.request.put(way, data={"seconds": 7200}, headers=headers).ok
    page.goto(f"{address}/subjects/{kept}")
    page.get_by_role("button", name="Merge").click(timeout=20_000)
    expect(page.get_by_label("Name or number")).to_be_focused(timeout=EIGHT_S)
    page.keyboard.type("of BLUE")
    expect(page.locator(".tp-choice")).to_have_count(1, timeout=EIGHT_S)
    assert serious_in_dialog(page) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("cannot be of one person", timeout=EIGHT_S)
    expect(dialog).to_contain_text("apart, the way takes at least 2 h")
    expect(dialog.locator(".tp-both img")).to_have_count(3)
    assert serious_in_dialog(page) == []
    shoot(page, "merge")
    dialog.get_by_role("button", name="Choose another").click()
    page.locator(".tp-choice", has_text="Coat of blue").click(timeout=EIGHT_S)
    dialog.get_by_role("button", name="Merge all the same").click(timeout=EIGHT_S)
    expect(page.locator(".tp-order-row")).to_have_count(3, timeout=EIGHT_S)
    expect(page.get_by_text("Another subject was merged into it")).to_be_visible()
    page.locator(".tp-nav").get_by_role("link", name="Subjects").click()
    page.get_by_role("button", name="Find by name").click(timeout=EIGHT_S)
    page.locator(".tp-choice", has_text="Blue coat").click(timeout=EIGHT_S)
    expect(page).to_have_url(f"{address}/subjects/{kept}", timeout=EIGHT_S)
    page.goto(f"{address}/subjects/{other}")
    expect(page.get_by_role("heading", name="Blue coat")).to_be_visible(timeout=20_000)
    assert page.request.delete(way, headers=headers).ok


def test_what_was_rejected_for_the_other_is_not_merged(page: Page, address: str, ids: list[str]) -> None:
    one, two = ids[:2]
    kept = make(page.request, address, "subjects", {"name": "Kept", "tracklet_ids": [one]})
    other = make(page.request, address, "subjects", {"name": "Denied", "tracklet_ids": [two]})
    path, headers = f"subjects/{kept}/tracklets/{two}", {"X-Tapetum-Request": "1", "Origin": address}
    assert page.request.put(f"{address}/api/v1/{path}", data={"decision": "rejected"}, headers=headers).ok
    page.goto(f"{address}/subjects/{kept}")
    page.get_by_role("button", name="Merge").click(timeout=20_000)
    page.get_by_label("Name or number").fill("denied")
    expect(page.locator(".tp-choice")).to_have_count(1, timeout=EIGHT_S)
    choice = page.locator(".tp-choice", has_text="Denied").element_handle()
    page.get_by_label("Name or number").fill("Denie")
    page.wait_for_timeout(1000)
    assert choice.evaluate("button => button.isConnected"), "it is the same answer"
    choice.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("A sighting of one was rejected for the other", timeout=EIGHT_S)
    expect(dialog.get_by_role("button", name="Merge")).to_have_count(0)
    dialog.get_by_role("button", name="Cancel").click()
    assert _told(page, address, other) == {two: "confirmed"}


def test_chosen_sightings_are_split_off_or_moved(page: Page, address: str, ids: list[str]) -> None:
    subject = make(page.request, address, "subjects", {"name": "Both of them", "tracklet_ids": ids[:4]})
    other = make(page.request, address, "subjects", {"name": "Another", "tracklet_ids": ids[4:5]})
    page.goto(f"{address}/subjects/{subject}")
    boxes = page.locator(".tp-order-row").get_by_role("checkbox")
    expect(boxes).to_have_count(4, timeout=20_000)
    boxes.first.focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("1 chosen")).to_be_visible(timeout=EIGHT_S)
    for place in (1, 2, 3):
        boxes.nth(place).click()
    expect(page.get_by_text("All of them: one sighting has to stay.")).to_be_visible(timeout=EIGHT_S)
    expect(page.get_by_role("button", name="Split off")).to_have_count(0)
    page.get_by_role("button", name="Choose none").click()
    expect(page.get_by_text("Somebody else among them?")).to_be_visible(timeout=EIGHT_S)
    for place in (0, 1):
        boxes.nth(place).click()
    shoot(page, "split")
    assert serious(page, "dark") == []
    page.get_by_role("button", name="Split off").click()
    page.get_by_label("Name, if there is one").fill("The first two")
    page.get_by_role("button", name="Make a subject").click()
    expect(page.get_by_role("heading", name="The first two")).to_be_visible(timeout=EIGHT_S)
    expect(page.locator(".tp-order-row")).to_have_count(2)
    page.get_by_role("link", name="Split off from another subject").click()
    expect(page.get_by_role("heading", name="Both of them")).to_be_visible(timeout=EIGHT_S)
    expect(boxes).to_have_count(2)
    boxes.first.click()
    page.get_by_role("button", name="Move", exact=True).click()
    page.get_by_label("Name or number").fill("another")
    expect(page.locator(".tp-choice")).to_have_count(1, timeout=EIGHT_S)
    page.locator(".tp-choice", has_text="Another").click()
    expect(page.get_by_role("dialog")).to_contain_text("Are the chosen ones Another?", timeout=EIGHT_S)
    shoot(page, "move")
    page.get_by_role("dialog").get_by_role("button", name="Move").click()
    expect(page.get_by_role("heading", name="Another", level=1)).to_be_visible(timeout=EIGHT_S)
    assert _told(page, address, other) == {ids[2]: "confirmed", ids[4]: "confirmed"}
    assert _told(page, address, subject) == {ids[3]: "confirmed"}
