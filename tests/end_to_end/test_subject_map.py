"""Where somebody went, over a plan with its picture and over a map: what cannot be is marked, and it plays."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import EIGHT_S, ask, log_in, serious, shoot
from support.pictures import room, saved
from support.tiles import TileServer

PLAN = "Yard & <hall>"
STOOD = {"gate": (8, 30), "car-park": (50, 12), "loading": (40, 36)}
ON_GLOBE = {"gate": (48.5210, 9.0570), "car-park": (48.5232, 9.0610), "loading": (48.5199, 9.0620)}


def somebody(page: Page, address: str) -> str:
    """A subject with a sighting of each camera in turn, of which the second way cannot be."""
    found = ask(page, address, "GET", "tracklets?limit=500")["items"]
    seen = []
    for camera in ("gate", "loading", "car-park", "gate"):
        # Oldest first, each after the one before.
        later = [t for t in reversed(found) if not seen or t["started_at"] > seen[-1]["started_at"]]
        seen.append(next(t for t in later if t["camera_id"] == camera))
    for way in ask(page, address, "GET", "walking-times")["items"]:  # that other tests left
        ask(page, address, "DELETE", "walking-times/" + "/".join(way["camera_ids"]))
    ask(page, address, "PUT", "walking-times/loading/car-park", {"seconds": 80000})
    ids = [t["id"] for t in seen]
    return str(ask(page, address, "POST", "subjects", {"name": "Walker", "tracklet_ids": ids})["id"])


@pytest.fixture
def walker(page: Page, address: str, empty_plans: None) -> Iterator[str]:
    subject = somebody(page, address)
    yield subject
    ask(page, address, "DELETE", f"subjects/{subject}?revision=1")
    ask(page, address, "DELETE", "walking-times/loading/car-park")


def test_the_ways_of_a_person_are_drawn_over_the_plan_and_play(page: Page, address: str, walker: str) -> None:
    path = "plans/Yard%20%26%20%3Chall%3E"
    ask(page, address, "PUT", path, {"width_m": 60})
    picture = {"image": {"name": "plan.png", "mimeType": "image/png", "buffer": saved(room(), "PNG")}}
    headers = {"X-Tapetum-Request": "1", "Origin": address}
    assert page.request.put(f"{address}/api/v1/{path}/image", multipart=picture, headers=headers).ok
    for camera, (x, y) in STOOD.items():
        ask(page, address, "PATCH", f"cameras/{camera}", {"position": {"x_m": x, "y_m": y, "plan": PLAN}})
    page.goto(f"{address}/subjects/{walker}")
    stage = page.get_by_role("group", name=f"Cameras on the plan {PLAN}")
    expect(stage.locator(".tp-pin-seen")).to_have_count(3, timeout=20_000)
    assert stage.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 800
    expect(stage.locator(".tp-floor-way")).to_have_count(2)
    expect(stage.locator(".tp-floor-bad")).to_have_count(1)
    mark = stage.locator(".tp-floor-mark")
    expect(mark).to_have_attribute("title", re.compile("Impossible for one person: .* takes at least 22 h"))
    expect(page.locator(".tp-floor-key")).to_have_text(re.compile("from one camera to the next.*impossible"))
    assert stage.locator("button").count() == 0
    page.get_by_role("button", name="Play the sightings").click()
    for name in ("Main gate", "Loading bay 2", "Car park north", "Main gate"):
        expect(stage.locator(".tp-pin-here")).to_contain_text(name)
    expect(stage.locator(".tp-floor-walker")).to_have_attribute("style", re.compile(r"left: 13\.3"))
    stage.scroll_into_view_if_needed()
    for theme in ("dark", "light"):
        page.evaluate(f"localStorage.setItem('tapetum-theme', '{theme}')")
        page.reload()
        expect(mark).to_be_visible(timeout=20_000)
        page.locator(".tp-span").nth(1).click()
        stage.scroll_into_view_if_needed()
        shoot(page, f"subject-plan-{theme}")
        assert serious(page, theme) == []


def test_cameras_with_coordinates_are_on_a_map_and_nobody_is_asked(page: Page, address: str, walker: str) -> None:
    """That no request goes elsewhere is checked for every page, after its test."""
    for camera, (latitude, longitude) in ON_GLOBE.items():
        place = {"latitude": latitude, "longitude": longitude}
        ask(page, address, "PATCH", f"cameras/{camera}", {"position": place})
    page.goto(f"{address}/subjects/{walker}")
    globe = page.get_by_role("group", name="Cameras on the map")
    expect(globe.locator(".tp-pin-seen")).to_have_count(3, timeout=20_000)
    expect(globe.locator("path.tp-globe-way")).to_have_count(2)
    expect(globe.locator("path.tp-globe-bad")).to_have_count(1)
    expect(globe.locator(".tp-floor-mark")).to_have_attribute("title", re.compile("Impossible"))
    expect(globe.locator(".leaflet-control-scale-line")).to_have_text(re.compile(r"^\d+ m$"))
    expect(globe.locator("img")).to_have_count(0)
    for name in ("Main gate", "Loading bay 2"):
        page.get_by_role("button", name=name).first.click()
        expect(globe.locator(".tp-pin-here")).to_contain_text(name)
    expect(globe.locator(".tp-floor-walker")).to_be_visible()
    page.get_by_role("button", name="Closer").click()
    page.locator(".tp-floor-key").scroll_into_view_if_needed()
    shoot(page, "subject-map")
    assert serious(page, "light") == []


def test_tiles_come_from_where_the_administrator_said_and_from_nowhere_else(
    browser: Browser, tiled_address: str, tiles: TileServer
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    log_in(context, tiled_address)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    for camera, (latitude, longitude) in ON_GLOBE.items():
        place = {"latitude": latitude, "longitude": longitude}
        ask(page, tiled_address, "PATCH", f"cameras/{camera}", {"position": place})
    page.goto(f"{tiled_address}/subjects/{somebody(page, tiled_address)}")
    globe = page.get_by_role("group", name="Cameras on the map")
    expect(globe.locator("img.leaflet-tile-loaded").first).to_be_visible(timeout=20_000)
    expect(globe).to_contain_text("© <b>Somebody</b>", timeout=EIGHT_S)
    globe.scroll_into_view_if_needed()
    shoot(page, "subject-tiles")
    assert {bool(re.fullmatch(r"/\d+/\d+/\d+\.png", path)) for path, _ in tiles.asked} == {True}
    assert {referrer for _, referrer in tiles.asked} == {None}
    assert complaints == []
    context.close()
