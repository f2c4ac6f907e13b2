"""A tablet and a finger: what is done elsewhere with a mouse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.browsing import EIGHT_S, ask, log_in, make, settled

PLAN = "Tablet floor"


@pytest.fixture
def tablet(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 820, "height": 1180}, has_touch=True, timezone_id="Europe/Berlin")
    context.set_default_navigation_timeout(120_000)
    log_in(context, address)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def draw(page: Page, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """A finger from one place of the window to another."""
    session = page.context.new_cdp_session(page)
    steps = [(begin[0] + (end[0] - begin[0]) * n / 8, begin[1] + (end[1] - begin[1]) * n / 8) for n in range(9)]
    for kind, (x, y) in (("touchStart", begin), *(("touchMove", step) for step in steps)):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    page.wait_for_timeout(200)  # a finger that rests before it is lifted leaves no swing, which the next tap would stop
    session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": end[0], "y": end[1]}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()
    page.wait_for_timeout(700)  # a tap right after a movement would only stop its swing


def within(what: Locator, x: float, y: float) -> tuple[float, float]:
    """A place of something, given as fractions, in the window."""
    box = what.bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def test_a_region_is_drawn_by_taps_and_its_corners_dragged(tablet: Page, address: str, clip: Path) -> None:
    made = make(tablet.request, address, "cameras", {"name": "Hall", "url": str(clip)})
    tablet.goto(f"{address}/cameras")
    tablet.get_by_role("button", name="Regions of Hall").tap(timeout=20_000)
    frame = tablet.locator(".tp-region-frame")
    expect(tablet.get_by_alt_text("What the camera shows")).to_be_visible(timeout=20_000)
    settled(frame)
    corners = tablet.locator(".tp-corner")
    for number, place in enumerate(((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)), start=1):
        tablet.touchscreen.tap(*within(frame, *place))
        expect(corners).to_have_count(number)
    corners.first.tap()
    region = tablet.get_by_label("Corners of region 1")
    expect(region).to_have_value(re.compile(r"; (89|90)(\.\d+)? (89|90|91)(\.\d+)?$"))
    draw(tablet, within(frame, 0.9, 0.9), within(frame, 0.5, 0.8))
    expect(region).to_have_value(re.compile(r"; (49|50)(\.\d+)? (79|80)(\.\d+)?$"))
    tablet.touchscreen.tap(*within(frame, 0.2, 0.7))
    expect(corners, "a tap after a drag counts").to_have_count(4)
    ask(tablet, address, "DELETE", f"cameras/{made}")


@pytest.mark.usefixtures("empty_plans")
def test_cameras_are_dragged_on_to_a_plan(tablet: Page, address: str) -> None:
    ask(tablet, address, "PUT", f"plans/{PLAN}", {"width_m": 60, "height_m": 40})
    tablet.goto(f"{address}/cameras/plan?plan={PLAN}")
    stage = tablet.get_by_role("group", name=f"Cameras on the plan {PLAN}")
    spare = tablet.get_by_role("button", name="Put Main gate on the plan", exact=True)
    expect(spare).to_be_visible(timeout=20_000)
    settled(stage)
    draw(tablet, within(spare, 0.2, 0.5), within(stage, 0.25, 0.5))
    gate = stage.get_by_role("button", name=re.compile("^Main gate, Live, 15(\\.\\d+)?, (19|20)(\\.\\d+)? m"))
    expect(gate).to_be_visible(timeout=EIGHT_S)
    draw(tablet, within(stage, 0.25, 0.5), within(stage, 0.75, 0.25))
    expect(stage.locator("[data-camera=gate]")).to_have_attribute(
        "aria-label", re.compile(r"^Main gate, Live, 4[45](\.\d+)?, (9|10)(\.\d+)? m"), timeout=EIGHT_S
    )
    expect(tablet.get_by_role("status").filter(has_text="Kept")).to_be_visible(timeout=EIGHT_S)
    tablet.get_by_role("button", name="Put Loading bay 2").tap()
    expect(stage.locator("[data-camera=loading]")).to_be_visible(timeout=EIGHT_S)


def test_a_tap_on_somebody_finds_them_and_the_answer_is_judged(tablet: Page, address: str) -> None:
    tablet.goto(address)
    tablet.locator(".tp-act-search").first.tap(timeout=60_000)
    expect(tablet).to_have_url(re.compile("/search"), timeout=20_000)
    card = tablet.locator(".tp-grid li").nth(1)
    expect(card).to_be_visible(timeout=20_000)
    confirm = card.get_by_role("button", name=re.compile("Confirm|Same person", re.IGNORECASE))
    confirm.first.tap(timeout=EIGHT_S)
    expect(tablet.get_by_text(re.compile("1 confirmed|Confirmed"))).not_to_have_count(0, timeout=EIGHT_S)
