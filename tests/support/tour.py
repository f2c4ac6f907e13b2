"""Goes through every page of a dashboard, as somebody on duty would, and takes a picture of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import PIL.Image as Pillow
from playwright.sync_api import Browser, Page
from support.browsing import log_in, make

SIZE = {"width": 1280, "height": 720}
COLOURS = 160
SIXTY_S = 60_000
NEAREST = """boxes => {
    const height = box => box.getBoundingClientRect().height;
    boxes.reduce((a, b) => (height(b) > height(a) ? b : a)).dispatchEvent(new Event("click"));
}"""


class Tour:
    """Pictures in `folder`, dark unless a name ends in ``-light``.

    Args:
        photo: to search with, a JPEG.
        come_again: makes somebody who was seen before be seen now.
    """

    def __init__(
        self, browser: Browser, address: str, folder: Path, photo: bytes, come_again: Callable[[str], None]
    ) -> None:
        self._address, self._folder, self._photo, self._come_again = address, folder, photo, come_again
        self._context = browser.new_context(viewport=SIZE, timezone_id="Europe/Berlin")  # type: ignore[arg-type]
        self._context.set_default_timeout(SIXTY_S)
        self._context.add_init_script(
            "localStorage.setItem('tapetum-theme', localStorage.getItem('tapetum-theme') || 'dark')"
        )
        self._page = self._context.new_page()

    def take(self) -> None:
        """All of them, in the order in which one leads to the next."""
        self._visit("/login", "form")
        self._keep("login")
        log_in(self._context, self._address)
        self._live()
        self._photo_search()
        self._search()
        subject, seen = self._subject()
        self._alerts(subject, seen)
        self._case(subject)
        self._sighting(seen)
        self._cameras()
        for name, whole in (
            ("search-start", ".tp-saved-row"),
            ("subjects", ".tp-person"),
            ("cases", ".tp-table, .tp-person, .tp-saved-row"),
            ("system", ".tp-curves"),
            ("users", "tbody tr"),
            ("audit", ".tp-audit tbody tr"),
            ("account", "h1"),
        ):
            self._visit("/search" if name == "search-start" else f"/{name}", whole)
            self._keep(name)

    # -- each page -------------------------------------------------------------------------------

    def _live(self) -> None:
        self._visit("/", ".tp-tile")
        self._page.locator(".tp-tile[data-camera=day-1] .tp-box-ready").nth(2).wait_for()
        self._keep("live", light=True)
        self._page.keyboard.press("?")
        self._page.get_by_role("dialog", name="Keyboard").wait_for()
        self._keep("keys")
        self._page.keyboard.press("Escape")

    def _photo_search(self) -> None:
        self._visit("/search", ".tp-card")
        file = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": self._photo}
        self._page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
        self._page.locator(".tp-photo-box").first.wait_for()
        self._keep("photo")

    def _search(self) -> None:
        page = self._page
        self._visit("/", ".tp-tile")
        boxes = page.locator(".tp-tile[data-camera=day-1] .tp-box-ready")
        boxes.nth(1).wait_for()
        boxes.evaluate_all(NEAREST)
        page.locator(".tp-rank").first.wait_for()
        self._keep("search", light=True)
        page.locator(".tp-card").first.focus()
        for count in (1, 2, 3):
            page.keyboard.press("c")
            page.get_by_role("heading", name=f"Confirmed {count}").wait_for()
            page.locator(".tp-card:focus").wait_for()
        page.keyboard.press("r")
        page.get_by_role("heading", name="Rejected 1").wait_for()
        self._keep("judged")

    def _subject(self) -> tuple[str, str]:
        """Ids of a new subject and of one of its sightings."""
        page = self._page
        page.get_by_role("button", name="Keep as a subject").click()
        page.get_by_label("Name, if there is one").fill("Seen at the plaza")
        page.get_by_role("button", name="Keep", exact=True).click()
        page.locator(".tp-span").first.wait_for()
        page.locator(".tp-span").nth(1).dispatch_event("click")  # two may lie upon each other
        self._keep("subject", light=True)
        subject = page.url.rsplit("/", 1)[1]
        found = page.request.get(f"{self._address}/api/v1/subjects/{subject}/timeline").json()
        return subject, found["sightings"][-1]["tracklet"]["id"]

    def _alerts(self, subject: str, seen: str) -> None:
        page = self._page
        self._visit(f"/subjects/{subject}", ".tp-span")
        page.get_by_role("button", name="Watch for").click()
        page.get_by_label("Reason").fill("Left a bag behind; wants it back")
        page.get_by_role("dialog").get_by_role("button", name="Watch for").click()
        page.get_by_text("watching", exact=True).wait_for()
        self._come_again(seen)
        page.locator(".tp-alert").first.wait_for()
        self._keep("alerts", light=True)

    def _case(self, subject: str) -> None:
        request = self._page.request
        case = make(request, self._address, "cases", {"title": "Bag at the fountain"})
        make(request, self._address, "cases", {"title": "Bicycles, car park"})
        make(request, self._address, f"cases/{case}/pins", {"subject_ids": [subject], "note": "The owner"})
        sightings = request.get(f"{self._address}/api/v1/subjects/{subject}/timeline").json()["sightings"]
        ids = [one["tracklet"]["id"] for one in sightings]
        make(request, self._address, f"cases/{case}/pins", {"tracklet_ids": ids})
        make(request, self._address, f"cases/{case}/notes", {"text": "Called the number on the label at 17:40."})
        make(request, self._address, f"cases/{case}/exports", {"reason": "Request of the lost property office"})
        self._visit(f"/cases/{case}", ".tp-card")
        self._page.get_by_role("link", name="Download").wait_for()
        self._keep("case")

    def _sighting(self, seen: str) -> None:
        self._visit(f"/sightings/{seen}", ".tp-strip")
        self._keep("sighting")

    def _cameras(self) -> None:
        self._visit("/cameras", "tbody tr")
        self._keep("cameras")
        self._page.get_by_role("button", name="Regions of Plaza by day").click()
        self._page.get_by_alt_text("What the camera shows").wait_for()
        self._keep("regions")
        self._visit("/cameras/plan", "svg")
        self._keep("plan")
        self._visit("/cameras/day-1/history", ".tp-chart svg")
        self._keep("camera")

    # -- how -------------------------------------------------------------------------------------

    def _visit(self, path: str, whole: str) -> Page:
        self._page.goto(self._address + path)
        self._page.locator(whole).first.wait_for()
        return self._page

    def _keep(self, name: str, *, light: bool = False) -> None:
        self._shoot(name)
        if light:
            self._turn("Light")
            self._shoot(f"{name}-light")
            self._turn("Dark")

    def _turn(self, to: str) -> None:
        self._page.locator(".tp-tools .tp-tool").first.click()
        self._page.locator(f"html[data-theme={to.lower()}]").wait_for()

    def _shoot(self, name: str) -> None:
        self._page.mouse.move(0, 0)
        self._page.wait_for_timeout(1200)
        file = self._folder / f"{name}.png"
        self._page.screenshot(path=file)
        with Pillow.open(file) as picture:
            picture.convert("RGB").quantize(COLOURS).save(file, optimize=True)
