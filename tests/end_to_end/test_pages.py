"""The dashboard's pages: how one comes to them, who may see which, and that everybody can read them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import APIRequestContext, Browser, Page, expect
from support.api_world import PASSWORD
from support.browsing import EIGHT_S, EVERY_SIZE, log_in, make, misplaced, serious, serious_in_dialog, shoot

# A page, and what is there when it is whole.
PAGES = {
    "/": ".tp-card",
    "/search": ".tp-card",
    "/subjects": "h1",
    "/alerts": "h1",
    "/cases": "h1",
    "/cameras": ".tp-table .tp-state",
    "/cameras/plan": ".tp-empty",
    "/cameras/gate-night/history": ".tp-chart svg",
    "/system": ".tp-chart svg",
    "/users": ".tp-table",
    "/audit": ".tp-audit tbody tr",
    "/account": "h1",
}


def test_pages_are_reached_by_links_keys_and_addresses(page: Page, address: str) -> None:
    page.locator(".tp-nav").get_by_role("link", name="System").click()
    expect(page.get_by_role("heading", name="Engines in use")).to_be_visible(timeout=EIGHT_S)
    expect(page).to_have_url(f"{address}/system")
    expect(page).to_have_title("System · Tapetum")
    expect(page.locator(".tp-nav [aria-current=page]")).to_have_text("System")
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Audit")).to_be_visible(timeout=EIGHT_S)
    expect(page.get_by_text(re.compile(r"Intact: \d+ entries checked"))).to_be_visible(timeout=EIGHT_S)
    page.reload()
    expect(page.locator(".tp-audit tbody tr").first).to_be_visible(timeout=EIGHT_S)
    page.go_back()
    expect(page.get_by_role("heading", name="Engines in use")).to_be_visible(timeout=EIGHT_S)
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keyboard")
    expect(keys).to_contain_text("this map")
    page.get_by_label("Single keys").uncheck()
    page.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    page.keyboard.press("?")
    expect(keys).to_have_count(0)


def test_the_audit_log_is_browsed(page: Page, address: str) -> None:
    page.goto(f"{address}/audit")
    entries = page.locator(".tp-audit tbody tr")
    expect(entries.first).to_be_visible(timeout=EIGHT_S)
    page.get_by_label("What").click()
    page.get_by_role("option", name="Logins").click()
    expect(entries.filter(has_text="service.start")).to_have_count(0, timeout=EIGHT_S)
    expect(entries.first).to_contain_text("login")
    page.get_by_label("Account").fill("nobody-of-this-name")
    page.get_by_label("Account").press("Enter")
    expect(page.get_by_text("No entry fits")).to_be_visible(timeout=EIGHT_S)


def test_a_viewer_is_shown_no_page_that_is_not_for_viewers(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    log_in(context, address, "watcher")
    page = context.new_page()
    page.goto(f"{address}/audit")
    expect(page.get_by_text("There is nothing here for your account")).to_be_visible(timeout=20_000)
    expect(page.locator(".tp-nav").get_by_role("link", name="Audit")).to_have_count(0)
    expect(page.locator(".tp-nav").get_by_role("link", name="System")).to_have_count(0)
    # Nor by telling the page that one is there already, which is how its own links work.
    page.evaluate("emitEvent('sub_pages_navigate', '/system')")
    expect(page.get_by_text("There is nothing here for your account")).to_be_visible()
    page.locator(".tp-brand").click()
    expect(page.locator(".tp-tile")).to_have_count(1, timeout=EIGHT_S)
    context.close()


def test_the_form_logs_in_and_leads_to_where_one_wanted_to_go(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto(f"{address}/system")
    shoot(page, "login")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Engines in use")).to_be_visible(timeout=20_000)
    context.close()


def test_whoever_is_watched_for_raises_an_alert_that_says_why(page: Page, address: str, folder: Path) -> None:
    items = page.request.get(f"{address}/api/v1/tracklets?limit=500").json()["items"]
    red = next(item for item in items if item["track_id"] == 1)
    subject = make(page.request, address, "subjects", {"name": "Watched", "tracklet_ids": [red["id"]]})
    page.goto(f"{address}/subjects/{subject}")
    page.get_by_role("button", name="Watch for").click(timeout=20_000)
    page.get_by_label("Reason").fill("Missing since noon")
    page.get_by_role("dialog").get_by_role("button", name="Watch for").click()
    expect(page.get_by_text("watching", exact=True)).to_be_visible(timeout=EIGHT_S)
    expect(page.get_by_text("No open alerts")).to_be_visible()
    (folder / "arrive").touch()
    alert = page.locator(".tp-alert")
    expect(alert).to_contain_text("likely, told from 90% on; compared day and night", timeout=30_000)
    expect(alert).to_contain_text("Watched for because: Missing since noon (admin)")
    expect(alert.get_by_alt_text("The example that it resembles")).to_be_visible()
    shoot(page, "alerts")
    assert serious(page, "dark") == []
    alert.get_by_role("button", name="Acknowledge").click()
    page.get_by_label("What was done").fill("Sent somebody to the bay")
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(alert).to_have_count(0, timeout=EIGHT_S)
    page.get_by_role("button", name="Acknowledged").click()
    expect(alert).to_contain_text("Sent somebody to the bay", timeout=EIGHT_S)
    _change_and_pause(page)
    page.get_by_role("button", name="End Watched").click()
    page.get_by_role("dialog").get_by_role("button", name="End").click()
    expect(page.get_by_text("Nobody. Open a subject")).to_be_visible(timeout=EIGHT_S)
    page.request.delete(
        f"{address}/api/v1/subjects/{subject}?revision=1", headers={"X-Tapetum-Request": "1", "Origin": address}
    )


def _change_and_pause(page: Page) -> None:
    """An entry is made otherwise, paused and resumed where it stands."""
    entry = page.locator("[data-entry]")
    expect(entry).to_contain_text("on all cameras of its owner")
    page.get_by_role("button", name="Change Watched").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("")
    dialog.get_by_role("button", name="Keep").click()
    expect(page.get_by_text("reason: a letter is needed")).to_be_visible(timeout=EIGHT_S)
    page.get_by_role("button", name="Change Watched").click()
    dialog.get_by_label("Reason").fill("Missing since morning")
    until = datetime.now() + timedelta(days=40)  # noqa: DTZ005  the day is all that counts
    dialog.get_by_label("Until").fill(f"{until:%Y-%m-%d}T03:04")
    dialog.get_by_label("Likely").click()
    page.get_by_role("option", name="95 % or more").click()
    dialog.get_by_role("checkbox", name="All cameras that it was made for").click()
    dialog.get_by_label("Cameras").click()
    page.get_by_role("option", name="Car park north").click()
    page.keyboard.press("Escape")
    assert serious_in_dialog(page) == []
    shoot(page, "watch-change")
    dialog.get_by_role("button", name="Keep").click()
    expect(entry).to_contain_text(f"from 95% on, until {until.day} {until:%b} 03:04:00", timeout=EIGHT_S)
    for told in ("Car park north", "Missing since morning (admin)"):
        expect(entry).to_contain_text(told)
    page.get_by_role("button", name="Pause Watched").click()
    expect(entry).to_contain_text("paused", timeout=EIGHT_S)
    shoot(page, "watched")
    page.get_by_role("button", name="Resume Watched").click()
    expect(page.get_by_text("watching", exact=True)).to_be_visible(timeout=EIGHT_S)


def test_from_a_person_on_a_day_camera_to_a_timeline(page: Page, address: str) -> None:
    """The story of the house: click somebody, confirm who it is, keep the person, see where and when; and what of it
    cannot be."""
    headers = {"X-Tapetum-Request": "1", "Origin": address}
    for other in ("gate-night", "loading", "car-park"):
        way = f"{address}/api/v1/walking-times/gate/{other}"
        assert page.request.put(way, data={"seconds": 3600}, headers=headers).ok
    page.locator(".tp-tile[data-camera=gate] .tp-box-ready").first.click(timeout=20_000)
    expect(page.locator(".tp-rank").first).to_be_visible(timeout=EIGHT_S)
    page.locator(".tp-card").first.focus()
    for count in (1, 2, 3):
        judged = page.locator(".tp-card:focus").get_attribute("data-tracklet")
        page.keyboard.press("c")
        expect(page.get_by_role("heading", name=f"Confirmed {count}")).to_be_visible(timeout=EIGHT_S)
        expect(page.locator(f"[data-tracklet='{judged}']")).to_have_count(0, timeout=EIGHT_S)
        expect(page.locator(".tp-card:focus .tp-rank")).to_have_text("1")
    page.get_by_role("button", name="Keep as a subject").click()
    page.get_by_label("Name, if there is one").fill("Red <i>jacket</i>")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("heading", name="Red <i>jacket</i>")).to_be_visible(timeout=EIGHT_S)
    spans = page.locator(".tp-span")
    expect(spans).to_have_count(4)
    expect(
        page.get_by_text(re.compile("Impossible for one person: .* apart, the way takes at least 1 h")).first
    ).to_be_visible()
    spans.first.click()
    expect(page.locator(".tp-here img")).to_be_visible()
    shoot(page, "subject")
    page.get_by_role("button", name="Take out: ").first.click()
    expect(spans).to_have_count(3, timeout=EIGHT_S)
    page.locator(".tp-order a").first.click()
    expect(page.get_by_role("link", name="Confirmed: Red <i>jacket</i>")).to_be_visible(timeout=EIGHT_S)
    shoot(page, "sighting-page")
    page.locator(".tp-nav").get_by_role("link", name="Subjects").click()
    expect(page.locator(".tp-person")).to_contain_text("3 sightings")


def test_a_case_is_opened_filled_noted_and_exported(page: Page, address: str) -> None:
    page.goto(f"{address}/cases")
    page.get_by_role("button", name="New case").click()
    page.get_by_label("Title").fill("Bicycles <b>stolen</b>")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("heading", name="Bicycles <b>stolen</b>")).to_be_visible(timeout=EIGHT_S)
    case = page.url
    page.get_by_label("A note").fill("Two witnesses.")
    page.get_by_role("button", name="Add the note").click()
    expect(page.locator(".tp-notes li")).to_contain_text("Two witnesses.", timeout=EIGHT_S)
    sighting = page.request.get(f"{address}/api/v1/tracklets?limit=1").json()["items"][0]["id"]
    page.goto(f"{address}/sightings/{sighting}")
    page.get_by_role("button", name="Pin to a case").evaluate("button => { button.click(); button.click(); }")
    page.get_by_role("dialog").get_by_role("button", name="Pin to a case").click()  # of the one that there is
    expect(page).to_have_url(case, timeout=EIGHT_S)
    expect(page.locator(f".tp-card[data-tracklet='{sighting}']")).to_be_visible(timeout=EIGHT_S)
    page.get_by_role("button", name="Export", exact=True).click()
    page.get_by_label("Reason for the export").fill("Request of the police")
    page.get_by_role("dialog").get_by_role("button", name="Export").click()
    with page.expect_download(timeout=60_000) as download:
        page.get_by_role("link", name="Download").click(timeout=60_000)
    assert download.value.path().read_bytes()[:2] == b"PK"
    _let_somebody_read(page)
    shoot(page, "case")
    page.get_by_role("button", name="Close the case").click()
    expect(page.get_by_role("button", name="Open again")).to_be_visible(timeout=EIGHT_S)
    expect(page.get_by_label("A note")).to_have_count(0)


def _let_somebody_read(page: Page) -> None:
    """An account comes into the case, may do more in it, and goes."""
    people = page.locator(".tp-case-people")
    dialog = page.get_by_role("dialog")
    for name, told in (("nobody-of-this-name", None), ("watcher", "reads it"), ("watcher", "may change it")):
        page.get_by_role("button", name="Add somebody").click()
        dialog.get_by_label("Account").fill(name)
        if told == "reads it":
            dialog.get_by_label("Role").click()
            page.get_by_role("option", name="Reads it").click()
        if told is None:
            assert serious_in_dialog(page) == []
        dialog.get_by_role("button", name="Add somebody").click()
        if told is None:
            expect(page.get_by_text("One of the accounts is not there.")).to_be_visible(timeout=EIGHT_S)
        else:
            expect(people.get_by_role("listitem").filter(has_text="watcher")).to_contain_text(told, timeout=EIGHT_S)
    page.get_by_role("button", name="Remove watcher").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(people).not_to_contain_text("watcher", timeout=EIGHT_S)


def test_a_search_is_named_among_ones_searches(page: Page, address: str) -> None:
    one = page.request.get(f"{address}/api/v1/tracklets?limit=1").json()["items"][0]["id"]
    search = make(page.request, address, "searches", {"examples": [{"tracklet_id": one}]})
    page.goto(f"{address}/search")
    row = page.locator(".tp-saved-row").filter(has=page.locator(f"a[href='/search/{search}']"))
    row.get_by_role("button", name="Name the search of").click(timeout=20_000)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It lapses")
    expect(dialog.get_by_label("Name; empty for none")).to_be_focused(timeout=EIGHT_S)
    page.keyboard.type("Red <b>jacket</b>")
    assert serious_in_dialog(page) == []
    dialog.get_by_role("button", name="Keep").click()
    expect(row).to_contain_text("Red <b>jacket</b>", timeout=EIGHT_S)
    shoot(page, "search-named")
    page.request.delete(f"{address}/api/v1/searches/{search}", headers={"X-Tapetum-Request": "1", "Origin": address})


def test_an_account_is_made_changed_and_removed(page: Page, address: str) -> None:
    page.goto(f"{address}/users")
    page.get_by_role("button", name="Add an account").click()
    page.get_by_role("dialog").get_by_label("Account").fill("night-desk")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_label("Password of night-desk")).not_to_be_empty(timeout=20_000)
    page.get_by_role("button", name="Close").click()
    row = page.get_by_role("row", name="night-desk")
    expect(row).to_contain_text("operator")
    page.get_by_role("button", name="Change night-desk").click()
    page.get_by_role("checkbox", name="Active").click()
    page.get_by_role("button", name="Keep").click()
    expect(row).to_contain_text("Locked", timeout=EIGHT_S)
    page.get_by_role("button", name="Remove night-desk").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0, timeout=EIGHT_S)
    page.get_by_role("link", name="admin, administrator").click()
    page.get_by_role("button", name="Make a token").click()
    page.get_by_label("Name").fill("door\u202eopener")  # reads "doorrenepo"
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_text("control characters and direction marks")).to_be_visible(timeout=EIGHT_S)
    expect(page.get_by_text("No tokens.")).to_be_visible()
    page.get_by_role("button", name="Make a token").click()
    page.get_by_label("Name").fill("door-opener")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_label("Token door-opener")).not_to_be_empty(timeout=EIGHT_S)
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Revoke door-opener").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("No tokens.")).to_be_visible(timeout=EIGHT_S)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_on_any_page(browser: Browser, address: str, theme: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    context.add_init_script(f"localStorage.setItem('tapetum-theme', '{theme}')")
    page = context.new_page()
    page.goto(f"{address}/login")
    found = {"/login": serious(page, theme)}
    log_in(context, address)
    for path, whole in {**PAGES, **_deeper(context.request, address)}.items():
        page.goto(address + path)
        expect(page.locator(whole).first).to_be_visible(timeout=20_000)
        shoot(page, f"axe{path.replace('/', '-')}-{theme}")
        found[path] = serious(page, theme)
    context.close()
    assert found == {path: [] for path in found}


def test_every_page_fits_every_screen(browser: Browser, address: str) -> None:
    """From a tablet held upright to a large screen: nothing beyond the edge, cut off, too small to read or to touch."""
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{address}/login")
    found = [f"/login at {size}: {one}" for size in EVERY_SIZE for one in misplaced(page, *size)]
    log_in(context, address)
    for path, whole in {**PAGES, **_deeper(context.request, address)}.items():
        page.set_viewport_size({"width": 1280, "height": 720})
        page.goto(address + path)
        expect(page.locator(whole).first).to_be_visible(timeout=20_000)
        for size in EVERY_SIZE:
            found += [f"{path} at {size}: {one}" for one in misplaced(page, *size)]
            shoot(page, f"size{path.replace('/', '-')}")
    context.close()
    assert found == []


def _deeper(request: APIRequestContext, address: str) -> dict[str, str]:
    """A sighting, a search, a subject and a case, and what is on their pages when they are whole."""
    one = request.get(f"{address}/api/v1/tracklets?limit=1").json()["items"][0]["id"]
    search = make(request, address, "searches", {"examples": [{"tracklet_id": one}]})
    there = request.get(f"{address}/api/v1/subjects").json()["items"]
    subject = there[0]["id"] if there else make(request, address, "subjects", {"tracklet_ids": [one]})
    case = make(request, address, "cases", {"title": "Bicycles"})
    make(request, address, f"cases/{case}/pins", {"tracklet_ids": [one], "subject_ids": [subject]})
    return {
        f"/sightings/{one}": ".tp-strip",
        f"/search/{search}": ".tp-rank",
        f"/subjects/{subject}": ".tp-span",
        f"/cases/{case}": ".tp-card",
    }
