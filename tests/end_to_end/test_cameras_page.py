"""The page of cameras: what an administrator does there, and what a viewer sees."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, Position, expect
from support.browsing import EIGHT_S, log_in, make, serious, settled, shoot

# Of the buttons in it axe takes the dimmed page for the ground; they look as on every page, where it sees them right.
DRAWING = {"include": [[".tp-regions"]], "exclude": [[".tp-regions .q-btn"]]}


def test_an_administrator_tries_adds_changes_and_removes_a_camera(page: Page, address: str, clip: Path) -> None:
    page.goto(f"{address}/cameras")
    gate = page.get_by_role("row", name="Main gate rtsp://***@192.168.1.20:554/gate", exact=False).first
    expect(gate).to_contain_text("Live", timeout=20_000)
    expect(gate).to_contain_text("6.0")
    expect(gate).to_contain_text("a newer one came 12")
    away = page.get_by_role("row", name="Car park north")
    expect(away).to_contain_text("The camera stopped answering.")
    expect(away).to_contain_text(re.compile(r"1 min 3\d s ago"))
    shoot(page, "cameras")
    page.get_by_role("button", name="Add a camera").click()
    page.get_by_role("button", name="Add camera").click()
    expect(page.get_by_role("alert").filter(has_text="Name: ")).to_be_visible(timeout=EIGHT_S)
    page.get_by_label("Name").fill("Side <b>door</b>")
    page.get_by_label("Stream address").fill("rtsp://u:geheim@127.0.0.1:9/x")
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_text("The camera cannot be used")).to_be_visible(timeout=20_000)
    expect(page.locator(".tp-test .tp-error").last).to_contain_text("127.0.0.1:9")
    expect(page.locator(".tp-test")).not_to_contain_text("geheim")
    shoot(page, "camera-fails")
    page.get_by_label("Stream address").fill(str(clip))
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_text("The camera answers")).to_be_visible(timeout=20_000)
    expect(page.locator(".tp-test")).to_contain_text("320 × 240 h264")
    first = page.get_by_alt_text("Its first picture")
    assert first.evaluate("i => i.decode().then(() => i.naturalWidth)") == 320
    shoot(page, "camera-works")
    page.get_by_role("button", name="Add camera").click()
    row = page.get_by_role("row", name="Side <b>door</b>")
    expect(row).to_contain_text("Waiting for a worker", timeout=EIGHT_S)
    page.get_by_role("button", name="Change Side").click()
    page.get_by_label("Ignore people smaller than (px)").fill("0")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="Ignore people smaller")).to_be_visible(timeout=EIGHT_S)
    page.get_by_label("Ignore people smaller than (px)").fill("40")
    page.get_by_label("Plan, such as a floor").fill("Yard")
    page.get_by_label("x (m)").fill("3.5")
    page.get_by_label("y (m)").fill("8")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(row).to_contain_text("Yard: 3.5, 8 m", timeout=EIGHT_S)
    saved = {c["name"]: c for c in page.request.get(f"{address}/api/v1/cameras").json()["items"]}["Side <b>door</b>"]
    assert (saved["min_height_px"], saved["url"]) == (40, str(clip))
    assert saved["position"] == {"x_m": 3.5, "y_m": 8.0, "plan": "Yard", "latitude": None, "longitude": None}
    page.get_by_role("button", name="Remove Side").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(row).to_have_count(0, timeout=EIGHT_S)


def test_regions_are_drawn_on_the_picture_and_written_as_numbers(page: Page, address: str, clip: Path) -> None:
    made = make(page.request, address, "cameras", {"name": "Lobby", "url": str(clip)})
    page.goto(f"{address}/cameras")
    page.get_by_role("button", name="Regions of Lobby").click(timeout=20_000)
    picture = page.get_by_alt_text("What the camera shows")
    expect(picture).to_be_visible(timeout=20_000)
    assert picture.evaluate("i => i.decode().then(() => i.naturalWidth)") == 320
    frame = page.locator(".tp-region-frame")
    box = settled(picture)
    assert abs(box["width"] / box["height"] - 320 / 240) < 0.01
    width, height = box["width"], box["height"]

    def at(x: float, y: float) -> Position:
        return {"x": x * width, "y": y * height}

    def click(x: float, y: float) -> None:
        frame.click(position=at(x, y))

    for x, y in ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.3, 0.6)):
        click(x, y)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".tp-corner")).to_have_count(3)
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="still open")).to_be_visible()
    page.locator(".tp-corner").first.click()
    first = page.get_by_label("Corners of region 1")
    expect(first).to_have_value(re.compile(r"^(9|10)(\.\d+)? (9|10)(\.\d+)?; (89|90)(\.\d+)? "))
    page.locator(".tp-corner").nth(2).drag_to(frame, target_position=at(0.5, 0.8))
    expect(first).to_have_value(re.compile(r"; (49|50)(\.\d+)? (79|80)(\.\d+)?$"))
    page.get_by_role("button", name="Does not count").click()
    page.get_by_role("button", name="By numbers").click()
    second = page.get_by_label("Corners of region 2")
    expect(second).to_be_focused()
    second.fill("0 0; 20 0")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="Region 2: expected three or more corners")).to_be_visible()
    expect(second).to_have_value("0 0; 20 0")
    second.fill("0 0; 20 0; 12.5 33.3")
    shoot(page, "regions")
    assert serious(page, "dark", DRAWING) == []
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    shoot(page, "regions-dark")
    assert serious(page, "light", DRAWING) == []
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_text("Lobby was changed.")).to_be_visible(timeout=EIGHT_S)
    saved = page.request.get(f"{address}/api/v1/cameras").json()["items"]
    lobby = next(camera for camera in saved if camera["name"] == "Lobby")
    assert [len(polygon) for polygon in lobby["include"]] == [3]
    assert lobby["exclude"] == [[[0, 0], [0.2, 0], [0.125, 0.333]]]
    page.request.delete(f"{address}/api/v1/cameras/{made}", headers={"X-Tapetum-Request": "1", "Origin": address})


def test_a_viewer_sees_how_the_cameras_are_and_nothing_to_do(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    received: list[str] = []
    page = context.new_page()
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(str(frame))))
    log_in(context, address, "watcher")
    page.goto(f"{address}/cameras")
    rows = page.locator(".tp-table tbody tr:not(.tp-strip-row)")
    expect(rows).to_have_count(1, timeout=20_000)
    expect(rows).to_contain_text("Main gate")
    expect(rows).to_contain_text("Live")
    expect(page.locator(".tp-main button")).to_have_count(0)
    assert "192.168.1.20" not in page.content() + "".join(received)
    context.close()
