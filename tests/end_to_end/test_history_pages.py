"""What happened over time, as it is seen: a strip for each camera, a camera's own page, the installation's charts."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect
from support.browsing import EIGHT_S, log_in, shoot


def test_a_camera_tells_what_happened_to_it(page: Page, address: str) -> None:
    page.goto(f"{address}/cameras")
    strip = page.locator(".tp-strip-line").nth(2)  # by name: car park, loading bay, gate, gate in infrared
    says = strip.get_by_role("img").get_attribute("aria-label", timeout=EIGHT_S)
    assert says is not None
    assert re.match(r"(100|>?99\.\d)% live, (no|1) interruption", says)  # a slow start is one
    troubled = page.get_by_role("img", name=re.compile("live, [3-9] interruptions, the longest"))
    expect(troubled).to_have_count(1)
    expect(page.locator(".tp-strip-line").get_by_text(re.compile("live, [3-9] interruptions"))).to_be_visible()
    page.get_by_role("link", name="Main gate, infrared").click()
    expect(page.get_by_role("heading", name="Main gate, infrared")).to_be_visible(timeout=EIGHT_S)
    expect(page.locator(".tp-nav [aria-current=page]")).to_have_text("Cameras")
    lost = page.get_by_role("region", name="Interruptions").get_by_role("row")
    expect(lost.filter(has_text="Cannot connect: The camera refuses the user name or password.")).to_have_count(1)
    expect(lost.filter(has_text="No new pictures: No picture for 10 s.")).to_contain_text(re.compile(r"\d+ min"))
    pictures = page.get_by_role("img", name=re.compile(r"^Pictures a second: at the end analysed \S+; decoded \S+; b"))
    expect(pictures).to_be_visible()
    shoot(page, "camera")
    day = pictures.element_handle()
    page.get_by_role("button", name="7 days").click()
    expect(page.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true", timeout=EIGHT_S)
    page.wait_for_function("chart => !chart.isConnected", arg=day)  # the week is drawn in the day's place
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("region", name="The same as a table").get_by_role("row").nth(1)).to_be_visible()
    page.get_by_role("link", name="Cameras").first.click()
    expect(page.locator(".tp-strip-line").first).to_be_visible(timeout=EIGHT_S)


def test_the_installation_tells_how_it_did(page: Page, address: str) -> None:
    page.goto(f"{address}/system")
    for name in (
        "Pictures analysed a second: at the end",
        "Pictures not analysed, a second: at the end nothing moved",
        "Time of a search: at the end half of them",
        "Memory of processes: at the end API",
        "Sightings in the gallery: at the end",
    ):
        expect(page.get_by_role("img", name=name)).to_be_visible(timeout=EIGHT_S)
    page.get_by_text("The same as a table").click()
    table = page.get_by_role("region", name="The same as a table")
    expect(table.get_by_role("row").nth(20)).to_contain_text("worker-1")
    shoot(page, "system-over-time")


def test_of_a_camera_out_of_scope_there_is_no_history(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    log_in(context, address, "watcher")
    page = context.new_page()
    page.goto(f"{address}/cameras")
    expect(page.locator(".tp-strip-line")).to_have_count(1, timeout=20_000)
    page.goto(f"{address}/cameras/loading/history")
    expect(page.get_by_text("There is no camera “loading”.")).to_be_visible(timeout=20_000)
    page.goto(f"{address}/cameras/Not_An_Id/history")
    expect(page.get_by_text("There is nothing here for your account")).to_be_visible(timeout=20_000)
    context.close()
