"""The right half: whom to look for, where and when, and what was found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import run, ui
from redis.exceptions import RedisError

from models.types import Modality
from service.api.scoped import Scoped
from service.audit import AuditUnavailable
from service.dashboard import strings
from service.dashboard.components import PhotoPicker, SightingGrid
from service.dashboard.sighting_dialog import SightingDialog
from service.dashboard.wording import Clock, sighting_card
from service.gallery import GalleryFilter, GalleryUnavailable
from service.problems import ProblemError
from service.search import MAX_EXAMPLES, POSSIBLE, STRONG, Example, SearchOutcome
from service.security.access import AccessDenied, Permission

__all__ = ["SearchPanel"]

MATCHES = 60
LATEST = 24
_LEAST = {POSSIBLE: strings.LEAST_POSSIBLE, STRONG: strings.LEAST_STRONG}
# What the browser says it shows; it is only ever shown back to the same browser.
_THUMBNAIL = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/=]{1,200000}")


@dataclass(frozen=True, slots=True)
class QueryCard:
    """One example of the query, as it is shown."""

    example: Example
    picture: str
    caption: str


class SearchPanel:
    """State and elements of the search of one browser tab."""

    def __init__(self, scoped: Scoped) -> None:
        self._scoped = scoped
        self._query: list[QueryCard] = []
        self._asked = 0
        self._latest: list[dict[str, Any]] = []
        self.clock = Clock.of("UTC", 0)

    def build(self) -> None:
        """Place the panel here."""
        self._dialog = SightingDialog(self._scoped, on_search=self.search_tracklet, on_add=self.add_tracklet)
        with ui.element("div").classes("tp-line"):
            ui.html(f"<h2>{strings.SEARCH}</h2>", sanitize=False)
            ui.element("span").classes("tp-grow")
            self._clear = ui.button(strings.CLEAR, icon="restart_alt", on_click=self.clear).props(
                "flat no-caps dense padding='2px 8px'"
            )
            self._clear.set_visibility(False)
        with ui.element("div").classes("tp-filters"):
            self._cameras = self._select(strings.FILTER_CAMERAS, {}, None).props("multiple")
            self._cameras.props["display-value"] = strings.ALL_CAMERAS
            self._light = self._select(strings.FILTER_LIGHT, strings.LIGHTS, "")
            self._time = self._select(strings.FILTER_TIME, strings.TIMES, 0)
            self._least = self._select(strings.FILTER_LEAST, {0.0: strings.ANY, **_LEAST}, 0.0)
            self._elsewhere = ui.switch(strings.FILTER_ELSEWHERE, on_change=self._filters_changed).props("dense")
        self._reason: ui.input | None = None
        if self._scoped.settings.search_reason_required:
            self._reason = ui.input(strings.REASON).props("dense filled stack-label maxlength=500")
        with ui.element("div").classes("tp-search"):
            with ui.element("div").classes("tp-query"):
                ui.label(strings.LOOKING_FOR).classes("tp-label")
                self._examples = ui.element("div").classes("tp-query")
                if self._scoped.access.may(Permission.PHOTOS):
                    PhotoPicker(
                        upload_path="/api/v1/photos",
                        max_bytes=self._scoped.settings.max_upload_bytes,
                        on_choose=self._photo_chosen,
                    )
            self._results = ui.element("div").classes("tp-results").props('aria-live="polite"')

    def _select(self, label: str, options: dict[Any, str], value: Any) -> ui.select:
        multiple = value is None
        select = ui.select(
            options, label=label, value=[] if multiple else value, multiple=multiple, on_change=self._filters_changed
        )
        return select.props("dense filled options-dense stack-label")

    def _fill_cameras(self, names: dict[str, str]) -> None:
        if self._cameras.options != names:
            kept = [v for v in self._cameras.value if v in names]
            self._cameras.set_options(names, value=kept)

    # -- what the operator does ------------------------------------------------------------------

    async def search_tracklet(self, tracklet_id: str) -> None:
        """Look for the person of a sighting, and only for that one."""
        card = await self._tracklet_card(tracklet_id)
        if card is not None:
            self._query = [card]
            await self._search()

    async def add_tracklet(self, tracklet_id: str) -> None:
        """Add a sighting to what is looked for."""
        card = await self._tracklet_card(tracklet_id)
        known = {c.example.tracklet_id for c in self._query}
        if card is not None and tracklet_id not in known and len(self._query) < MAX_EXAMPLES:
            self._query.append(card)
            await self._search()

    async def clear(self) -> None:
        """Back to the latest sightings."""
        self._query = []
        await self.show_latest()

    async def _photo_chosen(self, chosen: dict[str, Any]) -> None:
        photo_id, person, picture = chosen.get("photo_id"), chosen.get("person"), chosen.get("thumbnail")
        if not isinstance(photo_id, str) or not isinstance(person, int) or not isinstance(picture, str):
            return
        if len(photo_id) > 64 or not _THUMBNAIL.fullmatch(picture):
            return
        self._query = [QueryCard(Example(photo_id=photo_id, person=person), picture, strings.PHOTO["title"])]
        await self._search()

    async def _remove(self, card: QueryCard) -> None:
        self._query = [c for c in self._query if c is not card]
        await (self._search() if self._query else self.show_latest())

    async def _filters_changed(self) -> None:
        names = dict(self._cameras.options)
        chosen = [names.get(camera, camera) for camera in self._cameras.value]
        self._cameras.props["display-value"] = ", ".join(chosen) or strings.ALL_CAMERAS
        await (self._search() if self._query else self.show_latest())

    async def _tracklet_card(self, tracklet_id: str) -> QueryCard | None:
        try:
            record = await self._ask(lambda: self._scoped.tracklet(tracklet_id), missing_ok=True)
        except ProblemError:
            ui.notify(strings.GONE, type="warning", position="top")
            return None
        if record is None:
            return None
        names = await self._ask(self._scoped.camera_names) or {}
        caption = f"{names.get(record.camera_id, record.camera_id)}, {self.clock.short(record.started_at)}"
        return QueryCard(Example(tracklet_id=tracklet_id), f"/api/v1/tracklets/{tracklet_id}/thumbnail", caption)

    # -- asking ----------------------------------------------------------------------------------

    def _filters(self) -> GalleryFilter:
        minutes = int(self._time.value or 0)
        return GalleryFilter(
            cameras=frozenset(self._cameras.value) or None,
            modality=Modality(self._light.value) if self._light.value else None,
            since=datetime.now(UTC) - timedelta(minutes=minutes) if minutes else None,
        )

    async def _ask(self, question: Callable[[], Any], *, missing_ok: bool = False) -> Any:
        """Run a question to the store in a thread; None and a message when it cannot be answered.

        Raises:
            ProblemError: with `missing_ok`, for what is not there.
        """
        try:
            return await run.io_bound(question)
        except ProblemError as error:
            if missing_ok and error.status_code == 404:
                raise
            self._message("error_outline", strings.FAILED.format(reason=error.detail), "", bad=True)
        except (GalleryUnavailable, RedisError):
            self._message("cloud_off", strings.STORE_AWAY, "", bad=True)
        except AuditUnavailable:
            self._message("cloud_off", strings.NOT_RECORDED, "", bad=True)
        except AccessDenied:
            self._message("error_outline", strings.NOT_ALLOWED, "", bad=True)
        return None

    async def _search(self) -> None:
        self._asked += 1
        asked = self._asked
        self._draw_query()
        self._message("hourglass_empty", strings.SEARCHING, "")
        examples, filters = [c.example for c in self._query], self._filters()
        reason = self._reason.value if self._reason is not None else None
        outcome = await self._ask(
            lambda: self._scoped.search(
                examples,
                filters,
                MATCHES,
                reason=reason,
                exclude_example_cameras=bool(self._elsewhere.value),
                min_probability=float(self._least.value) or None,
            )
        )
        if outcome is not None and asked == self._asked:
            self._draw_matches(outcome)

    async def show_latest(self) -> None:
        """The newest sightings in the scope of the filters."""
        self._asked += 1
        asked = self._asked
        self._draw_query()
        cards = await self._ask(self._read_latest)
        if cards is not None and asked == self._asked:
            self._draw_latest(cards)

    async def refresh_latest(self) -> None:
        """The same, when nothing is being looked for and something has changed; and the cameras to choose from."""
        try:
            names = await run.io_bound(self._scoped.camera_names)
            self._fill_cameras(dict(names or {}))
            cards = None if self._query else await run.io_bound(self._read_latest)
        except (GalleryUnavailable, RedisError):
            return
        if cards is not None and not self._query and cards != self._latest:
            self._draw_latest(cards)

    def _read_latest(self) -> list[dict[str, Any]]:
        names = self._scoped.camera_names()
        records = self._scoped.tracklets(self._filters(), limit=LATEST).records
        return [sighting_card(record, names, self.clock) for record in records]

    # -- drawing ---------------------------------------------------------------------------------

    def _draw_query(self) -> None:
        self._clear.set_visibility(bool(self._query))
        self._examples.clear()
        self._examples.classes(
            add="tp-examples-many" if len(self._query) > 1 else "",
            remove="" if len(self._query) > 1 else "tp-examples-many",
        )
        with self._examples:
            for card in self._query:
                with ui.element("figure").classes("tp-example"):
                    ui.element("img").props(f'src="{card.picture}"').props["alt"] = card.caption
                    ui.label(card.caption).classes("tp-caption")
                    if len(self._query) > 1:
                        ui.button(icon="close", on_click=lambda c=card: self._remove(c)).props(
                            f'dense flat round size=sm aria-label="{strings.REMOVE_EXAMPLE}"'
                        )

    def _draw_matches(self, outcome: SearchOutcome) -> None:
        if not outcome.matches:
            self._message("search_off", strings.NOTHING, strings.NOTHING_TEXT)
            return
        names = self._scoped.camera_names()
        cards = [sighting_card(m.record, names, self.clock, m) for m in outcome.matches]
        calibrated = any(m.probability is not None for m in outcome.matches)
        self._results.clear()
        with self._results:
            ui.label(strings.FOUND.format(count=len(cards), searched=f"{outcome.gallery_size:,}")).classes("tp-label")
            self._grid(cards, strings.SEARCH)
            kind = strings.CALIBRATED if calibrated else strings.UNCALIBRATED
            notes = [strings.SCORE_IS.format(kind=kind), strings.EVIDENCE]
            if outcome.left_out:
                notes.append(strings.LEFT_OUT.format(count=outcome.left_out))
            ui.label(" ".join(notes)).classes("tp-note")

    def _draw_latest(self, cards: list[dict[str, Any]]) -> None:
        self._latest = cards
        if not cards:
            self._message("person_search", strings.NO_SIGHTINGS, strings.NO_SIGHTINGS_TEXT)
            return
        self._results.clear()
        with self._results:
            ui.label(strings.START_HINT).classes("tp-note")
            ui.label(strings.LATEST).classes("tp-label")
            self._grid(cards, strings.LATEST)

    def _grid(self, cards: list[dict[str, Any]], label: str) -> None:
        SightingGrid(
            cards,
            label=label,
            on_open=lambda item: self._dialog.open(str(item.get("id", "")), self.clock),
            on_search=lambda item: self.search_tracklet(str(item.get("id", ""))),
        )

    def _message(self, icon: str, title: str, text: str, *, bad: bool = False) -> None:
        self._results.clear()
        with self._results, ui.element("div").classes("tp-empty" + (" tp-error" if bad else "")):
            ui.icon(icon, size="32px")
            ui.label(title).classes("tp-strong")
            if text:
                ui.label(text)
