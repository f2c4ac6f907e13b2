"""The page of one sighting: what it looked like, who is similar, whom it is confirmed to be; and the same up close."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import EIGHT_S, log_in, serious, shoot

# What lies behind the dialog is dimmed, and axe takes its ground for that of the buttons over it.
UP_CLOSE = {"include": [[".tp-dialog"]], "exclude": [[".tp-dialog .q-btn"]]}


@pytest.fixture
def sighting(page: Page, address: str) -> dict[str, Any]:
    """One by day that nobody else's test confirms, and that has ended."""
    items = page.request.get(f"{address}/api/v1/tracklets?limit=500").json()["items"]
    found = next(item for item in items if item["track_id"] == 36)
    return dict(page.request.get(f"{address}/api/v1/tracklets/{found['id']}").json())


def test_the_box_lies_on_the_person_in_picture_and_film(page: Page, address: str, sighting: dict[str, Any]) -> None:
    page.goto(f"{address}/sightings/{sighting['id']}")
    image = page.get_by_alt_text(re.compile("The whole picture of .*; a box shows the person"))
    expect(image).to_be_visible(timeout=20_000)
    rect = page.locator(".tp-scene:has(img) rect").last
    expect(rect).to_be_visible(timeout=EIGHT_S)
    picture, box = image.bounding_box(), rect.bounding_box()
    assert picture is not None
    assert box is not None
    x1, y1, x2, _ = sighting["scene"]["box"]
    scale = min(
        picture["width"] / 320, picture["height"] / 180
    )  # the picture lies whole and in the middle of its frame
    left = picture["x"] + (picture["width"] - 320 * scale) / 2
    top = picture["y"] + (picture["height"] - 180 * scale) / 2
    assert box["x"] == pytest.approx(left + x1 * 320 * scale, abs=3)
    assert box["y"] == pytest.approx(top + y1 * 180 * scale, abs=3)
    assert box["width"] == pytest.approx((x2 - x1) * 320 * scale, abs=6)

    video = page.locator("video")
    assert video.evaluate("v => [v.controls, v.autoplay, v.muted]") == [True, False, True]
    page.wait_for_function("document.querySelector('video').readyState >= 2", timeout=20_000)
    assert video.evaluate("v => v.paused && v.currentTime === 0")
    assert video.evaluate("v => v.duration") == pytest.approx(sighting["clip"]["duration_s"], abs=0.6)
    follows = page.locator(".tp-scene:has(video) rect").last
    places = []
    for at_s in (0.0, 1.5, 3.0):
        video.evaluate("(v, at) => new Promise(r => { v.onseeked = r; v.currentTime = at; })", at_s)
        place = follows.bounding_box()
        assert place is not None
        places.append(place["x"])
    assert places[0] < places[1] < places[2]
    video.evaluate("v => v.play()")
    page.wait_for_function("document.querySelector('video').currentTime > 3.1", timeout=20_000)
    shoot(page, "sighting")
    assert serious(page, "dark") == []


def test_quality_is_told_in_words_and_why_it_was_kept(page: Page, address: str, sighting: dict[str, Any]) -> None:
    page.goto(f"{address}/sightings/{sighting['id']}")
    facts = page.locator(".tp-facts")
    expect(facts.first).to_contain_text("Good, 80%. Weighed down by: not sharp (60%)", timeout=20_000)
    expect(facts.last).to_contain_text("can be found; its vector is of the model in use")
    expect(facts.last).to_contain_text("seen in 12 frames (at least 3), picture quality 80% (at least 6%)")


def test_similar_ones_are_asked_for_and_the_asking_is_recorded(
    page: Page, address: str, sighting: dict[str, Any]
) -> None:
    def searches() -> int:
        entries = page.request.get(f"{address}/api/v1/audit?event=search&limit=100").json()["items"]
        return sum(e["details"].get("examples") == [{"tracklet": sighting["id"]}] for e in entries)

    page.goto(f"{address}/sightings/{sighting['id']}")
    ask = page.get_by_role("button", name="Show the most similar")
    expect(ask).to_be_visible(timeout=20_000)
    before = searches()
    ask.click()
    cards = page.get_by_role("list", name="Similar sightings").locator(".tp-card")
    expect(cards).to_have_count(8, timeout=EIGHT_S)
    expect(cards.first.locator(".tp-band")).to_have_text("Strong")
    expect(cards.first.locator(".tp-pair")).to_be_visible()
    assert searches() == before + 1
    cards.first.click()
    up_close = page.get_by_role("dialog", name="Sighting")
    expect(up_close.locator("video")).to_be_visible(timeout=EIGHT_S)
    expect(up_close.locator(".tp-scene:has(img) rect").last).to_be_visible(timeout=EIGHT_S)
    shoot(page, "sighting-dialog")
    assert serious(page, "dark", UP_CLOSE) == []


def test_a_sighting_is_added_to_somebody_right_from_its_page(
    page: Page, address: str, sighting: dict[str, Any]
) -> None:
    page.goto(f"{address}/sightings/{sighting['id']}")
    page.get_by_role("button", name="Add to a subject").click(timeout=20_000)
    page.get_by_label("Name, if there is one").fill("At the gate")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("heading", name="At the gate")).to_be_visible(timeout=EIGHT_S)
    subject = page.url.rpartition("/")[2]
    page.goto(f"{address}/sightings/{sighting['id']}")
    expect(page.get_by_role("link", name="Confirmed: At the gate")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name="Add to a subject")).to_have_count(0)
    # Another one joins the same person, who is found by name however many there are.
    everybody = page.request.get(f"{address}/api/v1/tracklets").json()["items"]
    other = next(one["id"] for one in everybody if one["id"] != sighting["id"])
    page.goto(f"{address}/sightings/{other}")
    page.get_by_role("button", name="Add to a subject").click(timeout=20_000)
    page.get_by_role("button", name="Add to a known one").click()
    page.get_by_label("Name or number").fill("gate")
    page.get_by_role("dialog").get_by_role("button", name="At the gate").click()
    expect(page.get_by_role("heading", name="At the gate")).to_be_visible(timeout=EIGHT_S)
    assert page.url.endswith(subject)
    found = page.request.get(f"{address}/api/v1/subjects/{subject}").json()
    assert {one["tracklet_id"] for one in found["sightings"]} == {sighting["id"], other}
    revision = found["revision"]
    headers = {"X-Tapetum-Request": "1", "Origin": address}
    assert page.request.delete(f"{address}/api/v1/subjects/{subject}?revision={revision}", headers=headers).ok


def test_a_viewer_sees_the_film_and_confirms_nothing(browser: Browser, page: Page, address: str) -> None:
    of_gate = page.request.get(f"{address}/api/v1/tracklets?camera=gate&limit=1").json()["items"][0]["id"]
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    log_in(context, address, "watcher")
    watching = context.new_page()
    watching.goto(f"{address}/sightings/{of_gate}")
    expect(watching.locator(".tp-scene img")).to_be_visible(timeout=20_000)
    expect(watching.get_by_role("button", name="Show the most similar")).to_be_visible()
    expect(watching.get_by_role("button", name="Add to a subject")).to_have_count(0)
    context.close()
