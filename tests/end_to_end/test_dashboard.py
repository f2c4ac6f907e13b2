"""The operator's page in real Chromium, over the whole application with a seeded gallery and live cameras."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.api_world import PASSWORD, encoded, scene
from support.browsing import EIGHT_S, SIZES, log_in, shoot
from support.cameras import wait_for


def _first_ranks(page: Page) -> list[str | None]:
    expect(page.locator(".tp-rank").first).to_be_visible(timeout=EIGHT_S)
    return [card.get_attribute("data-tracklet") for card in page.locator(".tp-card").all()]


def _tile(page: Page, camera: str) -> Locator:
    return page.locator(f".tp-tile[data-camera={camera}]")


@pytest.mark.parametrize("page", sorted(SIZES), indirect=True)
def test_a_person_in_a_live_picture_is_found_elsewhere(page: Page) -> None:
    """Click the red walker of the day camera; the other sightings of red come first, by day and by night."""
    ready = _tile(page, "gate").locator(".tp-box-ready")
    expect(ready).to_have_count(3, timeout=EIGHT_S)
    shoot(page, "start")
    clicked = ready.first.get_attribute("data-tracklet")
    ready.first.click()
    found = _first_ranks(page)
    assert clicked not in found
    expect(page.locator(".tp-example img")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"/search/[0-9A-Z]{26}$"))
    red = {i for i, colour in _colours(page).items() if colour == "red"} - {clicked}
    badges = page.locator(".tp-card .tp-badge").all_inner_texts()[: len(red)]
    assert {re.sub(r"[^A-Z]", "", badge) for badge in badges} == {"DAY", "NIGHT"}
    assert set(found[: len(red)]) == red
    expect(page.locator(".tp-card").first).to_contain_text("Strong")
    expect(page.get_by_text("Ranked by the probability that the model gives.")).to_be_visible()
    shoot(page, "search")


def _colours(page: Page) -> dict[str, str]:
    """The colour of every sighting, from its track number: the gallery was seeded in turn."""
    items = page.evaluate("fetch('/api/v1/tracklets?limit=500').then(r => r.json()).then(d => d.items)")
    return {item["id"]: ("red", "green", "blue", "white")[(item["track_id"] - 1) % 4] for item in items}


def test_tiles_say_how_the_cameras_are(page: Page) -> None:
    expect(_tile(page, "gate").locator(".tp-state")).to_have_text("Live", timeout=EIGHT_S)
    expect(_tile(page, "gate")).to_contain_text("DAY")
    expect(_tile(page, "gate-night")).to_contain_text("NIGHT")
    expect(_tile(page, "car-park")).to_contain_text("The camera stopped answering.")
    # Picture and boxes are drawn together, so a canvas with no picture has no boxes either.
    expect(_tile(page, "loading").locator(".tp-box")).to_have_count(0)
    canvas = _tile(page, "gate").locator("canvas")
    # Of a copy each time: Chromium warns when one canvas is read again and again.
    colours = """c => {
        const copy = new OffscreenCanvas(c.width, c.height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(c, 0, 0);
        return new Set(copy.getImageData(0, 0, c.width, c.height).data).size;
    }"""
    wait_for(lambda: canvas.evaluate(colours) > 20, EIGHT_S / 1000)
    # A canvas of another shape than the picture shows it squeezed, and the boxes beside the people.
    shape = canvas.evaluate("c => `0 0 ${c.width} ${c.height}`")
    expect(_tile(page, "gate").locator("svg")).to_have_attribute("viewBox", shape)


def test_somebody_who_just_came_is_explained(page: Page) -> None:
    newcomer = _tile(page, "gate").locator(".tp-box:not(.tp-box-ready)")
    expect(newcomer).to_have_count(1, timeout=EIGHT_S)
    newcomer.click()
    expect(page.get_by_text("Click again in a second or two.")).to_be_visible()


@pytest.mark.parametrize("page", sorted(SIZES), indirect=True)
def test_a_photo_with_three_persons_lets_one_choose(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}/search")
    photo = tmp_path / "photo.png"
    photo.write_bytes(encoded(scene(["red", "blue", "white"]), ".png"))
    page.locator("input[type=file]").set_input_files(photo)
    expect(page.get_by_text("3 people were found. Choose one.")).to_be_visible(timeout=EIGHT_S)
    shoot(page, "photo")
    boxes = page.locator(".tp-photo-box")
    lefts = [box.evaluate("b => b.offsetLeft") for box in boxes.all()]
    boxes.nth(lefts.index(sorted(lefts)[1])).click()  # the one in the middle is blue
    blue = {i for i, colour in _colours(page).items() if colour == "blue"}
    assert set(_first_ranks(page)[:10]) == blue
    shoot(page, "photo-search")


def test_a_dropped_file_that_is_no_photo_is_explained(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}/search")
    wrong = tmp_path / "photo.jpg"
    wrong.write_bytes(b"<svg/>")
    page.locator("input[type=file]").set_input_files(wrong)
    expect(page.get_by_role("alert").filter(has_text="not a photo")).to_be_visible(timeout=EIGHT_S)


test_a_dropped_file_that_is_no_photo_is_explained.refused = 422  # type: ignore[attr-defined]


def test_a_sighting_opens_and_becomes_an_example(page: Page) -> None:
    page.locator(".tp-card").nth(1).click()
    strip = page.locator(".tp-strip img")
    expect(strip).to_have_count(3)
    expect(page.locator(".tp-facts")).to_contain_text(re.compile(r"\d UTC\+0[12]:00, 4 s"))
    assert strip.first.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
    shoot(page, "sighting")
    page.locator(".tp-dialog").get_by_role("button", name="Search with this one").click()
    _first_ranks(page)
    # Two more join it, marked by key; and the way back leads to the search before.
    page.locator(".tp-card").first.focus()
    page.keyboard.press("m")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("m")
    expect(page.get_by_text("2 marked")).to_be_visible(timeout=EIGHT_S)
    page.get_by_role("button", name="Add to this search").click()
    expect(page.locator(".tp-example")).to_have_count(3, timeout=EIGHT_S)
    page.get_by_role("button", name="Remove this example").first.click()
    expect(page.locator(".tp-example")).to_have_count(2, timeout=EIGHT_S)
    page.go_back()
    page.go_back()
    expect(page.locator(".tp-example")).to_have_count(1, timeout=EIGHT_S)


def test_matches_are_judged_by_key_and_the_answer_is_shared_by_its_address(page: Page) -> None:
    """Confirm, reject and leave open; ranked anew at once; the address shows the same again, until it is refreshed."""
    _tile(page, "gate").locator(".tp-box-ready").first.click(timeout=EIGHT_S)
    _first_ranks(page)
    here = page.url
    page.locator(".tp-card").first.focus()
    for key, shown in (("c", "Confirmed 1"), ("r", "Rejected 1")):
        judged = page.locator(":focus").get_attribute("data-tracklet")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", name=shown)).to_be_visible(timeout=EIGHT_S)
        expect(page.locator(f"[data-tracklet='{judged}']")).to_have_count(0, timeout=EIGHT_S)
        expect(page.locator(".tp-card:focus")).to_have_count(1)
    page.keyboard.press("u")
    expect(page.locator(".tp-card:focus")).to_contain_text("unsure", timeout=EIGHT_S)
    ranks = _first_ranks(page)
    shoot(page, "judged")
    page.reload()
    assert _first_ranks(page) == ranks
    expect(page).to_have_url(here)
    page.get_by_role("button", name="By camera").click()
    expect(page.locator(".tp-group")).to_have_count(4, timeout=EIGHT_S)
    expect(page.locator(".tp-group").first).to_contain_text("best >99%")
    # Filters make another search, which takes over what was thought of the matches that are in it too.
    page.get_by_role("button", name="Day or night").click()
    page.get_by_text("Day only").click()
    expect(page.locator(".tp-card .tp-infrared")).to_have_count(0, timeout=EIGHT_S)
    expect(page.get_by_role("heading", name="Confirmed 1")).to_be_visible()
    page.get_by_role("button", name="Take back").first.click()
    expect(page.get_by_role("heading", name="Confirmed 1")).to_have_count(0, timeout=EIGHT_S)
    page.get_by_role("button", name="New search").click()
    saved = page.locator(".tp-saved-row")
    expect(saved.filter(has_text="Confirmed 1, Rejected 1").first).to_be_visible(timeout=EIGHT_S)
    count = saved.count()
    saved.first.get_by_role("button", name="Forget").click()
    expect(saved).to_have_count(count - 1, timeout=EIGHT_S)
    page.goto(here[:-1] + ("0" if here[-1] != "0" else "1"))
    expect(page.get_by_text("There is no such search; it may have expired.")).to_be_visible(timeout=EIGHT_S)


def test_cards_far_below_are_drawn_when_somebody_comes_near(page: Page) -> None:
    _tile(page, "gate").locator(".tp-box-ready").first.click(timeout=EIGHT_S)
    _first_ranks(page)
    answer = f"fetch('/api/v1/searches/{page.url.rsplit('/', 1)[1]}').then(r => r.json()).then(a => a.matches.length)"
    whole = page.evaluate(answer)
    cards = page.locator(".tp-card")
    expect(cards).to_have_count(24)
    cards.last.focus()
    expect(cards).to_have_count(min(whole, 60), timeout=EIGHT_S)
    assert whole > 24
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tp-card:focus .tp-rank")).to_have_text("25")


def test_filters_narrow_and_an_empty_answer_claims_nothing(page: Page) -> None:
    _tile(page, "gate").locator(".tp-box-ready").first.click(timeout=EIGHT_S)
    _first_ranks(page)
    page.get_by_role("button", name="Day or night").click()
    page.get_by_text("Night only").click()
    expect(page.locator(".tp-card .tp-visible")).to_have_count(0)
    expect(page.locator(".tp-card .tp-infrared").nth(3)).to_be_visible(timeout=EIGHT_S)
    page.get_by_role("button", name="Cameras: All cameras").click()
    page.get_by_role("checkbox", name="Car park north").click()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("says nothing about whether the person was there")).to_be_visible(timeout=EIGHT_S)
    shoot(page, "nothing")


def test_search_by_keyboard_alone(page: Page) -> None:
    expect(_tile(page, "gate").locator(".tp-box-ready")).to_have_count(3, timeout=EIGHT_S)
    _tile(page, "gate").locator(".tp-box-ready").nth(1).focus()
    page.keyboard.press("Enter")
    _first_ranks(page)
    page.locator(".tp-card").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".tp-strip img")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page.locator(".tp-strip img")).to_have_count(0)


def test_a_viewer_of_one_camera_sees_nothing_of_the_others(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, timezone_id="Europe/Berlin")
    page = context.new_page()
    received: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(str(frame))))
    log_in(context, address, "watcher")
    page.goto(address)
    expect(page.locator(".tp-card").first).to_be_visible(timeout=20_000)
    expect(page.get_by_text("watcher, viewer")).to_be_visible()
    expect(page.locator(".tp-tile")).to_have_count(1)
    expect(_tile(page, "gate").locator(".tp-box-ready")).to_have_count(3, timeout=EIGHT_S)
    expect(page.get_by_text("11 sightings", exact=True)).to_be_visible(timeout=EIGHT_S)
    expect(page.locator("input[type=file]")).to_have_count(0)
    shoot(page, "viewer")
    # A box can belong to a sighting elsewhere only in this seeded world; one's own camera is searched as ever.
    page.locator(".tp-card").first.click()
    page.locator(".tp-dialog").get_by_role("button", name="Search with this one").click()
    _first_ranks(page)
    assert set(page.locator(".tp-card-camera").all_inner_texts()) == {"Main gate"}
    page.get_by_role("button", name="Cameras: All cameras").click()
    expect(page.get_by_role("checkbox")).to_have_count(1)
    assert not [text for text in received if "Car park" in text or "Loading bay" in text or "infrared" in text.lower()]
    context.close()


def test_a_closed_tab_ends_its_streams(browser: Browser, address: str) -> None:
    asking = browser.new_context()
    log_in(asking, address)

    def figure(name: str) -> int:
        lines = asking.request.get(f"{address}/metrics").text().splitlines()
        return next(int(float(line.split()[1])) for line in lines if line.startswith(f"{name} "))

    wait_for(lambda: figure("tapetum_live_viewers") == 0, 20, "earlier tabs' streams to end")
    wait_for(lambda: figure("tapetum_dashboard_pages") == 0, 60, "earlier tabs to be forgotten")
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    log_in(context, address)
    context.new_page().goto(address)
    wait_for(lambda: figure("tapetum_live_viewers") == 4, 60, "a stream of each camera")
    assert figure("tapetum_dashboard_pages") == 1
    context.close()
    wait_for(lambda: figure("tapetum_live_viewers") == 0, 20, "the streams to end")
    asking.close()


def test_a_page_does_not_pass_to_another_login_of_the_same_browser(page: Page) -> None:
    expect(page.get_by_text("admin, administrator")).to_be_visible()
    login = {"account": "watcher", "password": PASSWORD}
    page.evaluate(
        """async login => fetch('/api/v1/session', {
            method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(login)})""",
        login,
    )
    page.evaluate("window.socket.io.engine.close()")  # as when the network was away for a moment
    expect(page.get_by_text("watcher, viewer")).to_be_visible(timeout=20_000)
    expect(page.locator(".tp-tile")).to_have_count(1)
    expect(page.locator(".tp-nav").get_by_role("link", name="Users")).to_have_count(0)


def test_logging_out_ends_the_page(page: Page, address: str) -> None:
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Password")).to_be_visible(timeout=EIGHT_S)
    page.goto(address)
    expect(page.get_by_label("Password")).to_be_visible()
