"""Floor plans in the browser: cameras are dragged on to one and moved by keys; a viewer looks at it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.browsing import EIGHT_S, ask, log_in, serious, shoot
from support.pictures import room, saved

PLAN = "Ground floor"


def stands(page: Page, address: str, camera: str) -> tuple[str, float, float] | None:
    """Plan and metres of a camera, as the API tells of it."""
    place = page.request.get(f"{address}/api/v1/cameras/{camera}").json()["position"]
    return (place["plan"], place["x_m"], place["y_m"]) if place else None


def drag(page: Page, what: Locator, to: Locator, x: float, y: float) -> None:
    """With the mouse to a place in fractions of something."""
    begin, end = what.bounding_box(), to.bounding_box()
    assert begin is not None
    assert end is not None
    page.mouse.move(begin["x"] + 12, begin["y"] + begin["height"] / 2)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] * 0.5, end["y"] + end["height"] * 0.5, steps=4)
    page.mouse.move(end["x"] + end["width"] * x, end["y"] + end["height"] * y, steps=4)
    page.mouse.up()


@pytest.mark.usefixtures("empty_plans")
def test_a_plan_is_made_and_cameras_are_dragged_on_to_it(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}/cameras")
    page.get_by_role("link", name="Plan", exact=True).click()
    expect(page.get_by_text("No such plan")).to_be_visible(timeout=EIGHT_S)
    page.get_by_role("button", name="New plan").click()
    page.get_by_label("Name, such as a floor").fill(".hidden")
    page.get_by_label("Width (m)").fill("60")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="no dot at its beginning")).to_be_visible()
    page.get_by_label("Name, such as a floor").fill(PLAN)
    page.get_by_role("button", name="Keep", exact=True).click()
    stage = page.get_by_role("group", name=f"Cameras on the plan {PLAN}")
    expect(stage).to_be_visible(timeout=EIGHT_S)
    expect(page).to_have_url(re.compile(r"/cameras/plan\?plan=Ground%20floor$"))
    shoot(page, "plan-empty")
    broken = tmp_path / "plan.png"
    broken.write_bytes(saved(room(), "PNG")[:300])
    page.locator("input[type=file]").set_input_files(broken)
    expect(page.get_by_text("damaged or cut off")).to_be_visible(timeout=EIGHT_S)
    broken.write_bytes(saved(room(), "PNG"))
    page.locator("input[type=file]").set_input_files(broken)
    picture = page.get_by_alt_text(f"Plan {PLAN}")
    expect(picture).to_be_visible(timeout=EIGHT_S)
    assert picture.evaluate("i => i.decode().then(() => i.naturalWidth)") == 800
    expect(page.get_by_text("60 × 45 m")).to_be_visible()

    drag(page, page.get_by_role("button", name="Put Main gate on the plan", exact=True), stage, 0.25, 0.5)
    gate = stage.get_by_role("button", name=re.compile("^Main gate, Live"))
    expect(gate).to_be_focused(timeout=EIGHT_S)
    expect(page.get_by_role("status").filter(has_text="Kept")).to_be_visible(timeout=EIGHT_S)
    place = stands(page, address, "gate")
    assert place is not None
    assert place[0] == PLAN
    assert place[1:] == pytest.approx((15, 22.5), abs=0.4)
    drag(page, gate, stage, 0.75, 0.25)
    expect(gate).to_have_attribute("aria-label", re.compile(r"Main gate, Live, 4[4-5](\.\d+)?, 1[12]"))
    page.get_by_role("button", name="Put Loading bay 2").click()
    expect(stage.locator("[data-camera=loading]")).to_be_focused(timeout=EIGHT_S)
    expect(page.get_by_text("damaged or cut off")).to_have_count(0, timeout=EIGHT_S)
    for theme in ("dark", "light"):
        page.evaluate(f"localStorage.setItem('tapetum-theme', '{theme}')")
        page.reload()
        expect(stage.locator("[data-camera=loading]")).to_be_visible(timeout=20_000)
        shoot(page, f"plan-{theme}")
        assert serious(page, theme) == []
    # Let go of beside the plan, and given up half way, it stays where it was.
    spare = page.get_by_role("button", name="Put Car park north")
    drag(page, spare, page.locator(".tp-floor-side"), 0.5, 0.9)
    expect(spare).to_be_visible()
    assert stands(page, address, "car-park") is None


test_a_plan_is_made_and_cameras_are_dragged_on_to_it.refused = 422  # type: ignore[attr-defined]


@pytest.mark.usefixtures("empty_plans")
def test_cameras_are_moved_by_keys_and_a_move_is_undone(page: Page, address: str) -> None:
    ask(page, address, "PUT", f"plans/{PLAN}", {"width_m": 60, "height_m": 40})
    at = {"x_m": 30, "y_m": 20, "plan": PLAN, "latitude": 48.5, "longitude": 9.1}
    ask(page, address, "PATCH", "cameras/gate", {"position": at})
    page.goto(f"{address}/cameras/plan")
    gate = page.locator("[data-camera=gate]")
    expect(gate).to_be_visible(timeout=20_000)
    gate.focus()
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(gate).to_have_attribute("aria-label", "Main gate, Live, 31, 15.5 m")
    expect(page.get_by_role("status").filter(has_text="Kept")).to_be_visible(timeout=EIGHT_S)
    assert stands(page, address, "gate") == (PLAN, 31, 15.5)
    page.keyboard.press("Delete")
    spare = page.get_by_role("button", name="Put Main gate on the plan", exact=True)
    expect(spare).to_be_focused(timeout=EIGHT_S)
    expect(page.get_by_role("status").filter(has_text="Kept")).to_be_visible(timeout=EIGHT_S)
    left = page.request.get(f"{address}/api/v1/cameras/gate").json()["position"]
    assert left == {"x_m": None, "y_m": None, "plan": "", "latitude": 48.5, "longitude": 9.1}
    page.keyboard.press("Enter")
    expect(gate).to_be_focused(timeout=EIGHT_S)
    undo = page.get_by_role("button", name="Undo")
    undo.click()
    expect(gate).to_have_count(0)
    undo.click()
    expect(gate).to_have_attribute("aria-label", "Main gate, Live, 31, 15.5 m", timeout=EIGHT_S)
    undo.click()
    expect(gate).to_have_attribute("aria-label", "Main gate, Live, 30, 20 m", timeout=EIGHT_S)
    expect(undo).to_be_disabled()
    expect(page.get_by_role("status").filter(has_text="Kept")).to_be_visible(timeout=EIGHT_S)
    page.reload()
    expect(gate).to_have_attribute("aria-label", "Main gate, Live, 30, 20 m", timeout=20_000)
    page.goto(f"{address}/cameras")
    page.get_by_role("button", name="Change Loading bay 2").click()
    field = page.get_by_label("Plan, such as a floor")
    field.press_sequentially("Gro")
    expect(page.get_by_role("dialog").locator(".q-field__shadow")).to_contain_text("und floor", timeout=EIGHT_S)
    field.press("Tab")
    expect(field).to_have_value(PLAN)


@pytest.mark.usefixtures("empty_plans")
def test_a_viewer_looks_at_the_plan_and_moves_nothing(page: Page, browser: Browser, address: str) -> None:
    ask(page, address, "PUT", f"plans/{PLAN}", {"width_m": 60, "height_m": 40})
    ask(page, address, "PUT", "plans/Cellar", {"width_m": 10})
    for camera, plan in (("gate", PLAN), ("loading", PLAN), ("car-park", "Cellar")):
        ask(page, address, "PATCH", f"cameras/{camera}", {"position": {"x_m": 6, "y_m": 4, "plan": plan}})
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    log_in(context, address, "watcher")
    look = context.new_page()
    look.goto(f"{address}/cameras/plan")
    pins = look.locator(".tp-pin")
    expect(pins).to_have_count(1, timeout=20_000)
    expect(pins).to_contain_text("Main gate")
    expect(look.locator(".tp-floor-side")).to_contain_text("Live")
    assert look.locator(".tp-main button").count() == 0
    assert "Cellar" not in look.content()
    assert serious(look, "dark") == []
    drag(look, pins, look.locator(".tp-stage"), 0.8, 0.8)
    assert stands(page, address, "gate") == (PLAN, 6, 4)
    look.goto(f"{address}/cameras/plan?plan=Cellar")
    expect(look.get_by_text("None of your cameras stands on a plan yet.")).to_be_visible(timeout=20_000)
    context.close()
