"""Where a search begins: a photo, one of the latest sightings, or a search that was made before."""

from __future__ import annotations

from nicegui import ui

from service.api.schema_searches import SearchChange
from service.api.scoped_searches import OwnSearch
from service.dashboard import strings
from service.dashboard.asking import Asking
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, heading, primary, quiet
from service.dashboard.filter_chips import FilterChips
from service.dashboard.latest import LatestSightings
from service.dashboard.query_column import QueryColumn
from service.dashboard.search_scope import SearchScope
from service.dashboard.wording import thumbnail
from service.search import Example
from service.search_store import StoredSearch

__all__ = ["SearchStartPage"]

LATEST = 48
SEARCHES = 30


class SearchStartPage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk, asking: Asking) -> None:
        self._desk = desk
        self._asking = asking
        self._scope = SearchScope()

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line"):
                heading(strings.SEARCH)
                ui.label(strings.START_HINT).classes("tp-note")
            self._chips = ui.element("div")
            with ui.element("div").classes("tp-search tp-search-start"):
                QueryColumn(self._desk, self._asking, on_photo=self._photo)
                with ui.element("div").classes("tp-results"):
                    heading(strings.LATEST, level=2)
                    self._latest = LatestSightings(self._desk, LATEST, on_search=self._sighting)
                with ui.element("section").classes("tp-saved").props(f'aria-label="{strings.OWN_SEARCHES}"'):
                    heading(strings.OWN_SEARCHES, level=2)
                    self._saved = ui.element("div").classes("tp-saved-list")
        await self._desk.ready()
        await self._rescope(self._scope)
        await self._draw_saved()
        ui.timer(3.0, self._latest.refresh)

    async def _rescope(self, scope: SearchScope) -> None:
        self._scope = scope
        self._chips.clear()
        try:
            names = await self._desk.camera_names()
        except Unanswered:
            names = {}
        with self._chips:
            FilterChips(scope, names, self._desk.clock, self._rescope, searching=False)
        await self._latest.show(scope.filters)

    async def _photo(self, example: Example) -> None:
        await self._asking.search([example], self._scope)

    async def _sighting(self, tracklet_id: str) -> None:
        await self._asking.search([Example(tracklet_id=tracklet_id)], self._scope)

    # -- searches made before --------------------------------------------------------------------

    async def _draw_saved(self) -> None:
        try:
            found = await self._desk.ask(lambda: self._desk.scoped.searches.overview(SEARCHES))
        except Unanswered as error:
            with self._saved:
                ui.label(str(error)).classes("tp-error")
            return
        self._saved.clear()
        with self._saved:
            for own in found:
                self._draw_one(own)
            if not found:
                ui.label(strings.NO_SEARCHES).classes("tp-note")

    def _draw_one(self, own: OwnSearch) -> None:
        search, clock = own.search, self._desk.clock
        count = len(search.question.examples)
        with ui.element("div").classes("tp-saved-row"):
            with ui.element("a").props(f'href="/search/{search.id}"').classes("tp-saved-link"):
                if own.picture is not None:
                    image = ui.element("img")
                    image.props["src"], image.props["alt"] = thumbnail(own.picture), ""
                else:
                    with ui.element("span").classes("tp-no-picture"):
                        ui.icon("photo_camera")
                with ui.element("span").classes("tp-saved-text"):
                    told = strings.EXAMPLES[min(count, 2)].format(count=count)
                    ui.label(search.name or search.question.reason or told).classes("tp-strong-text")
                    ui.label(clock.short(search.created_at)).classes("tp-quiet")
                    ui.label(_judged(own)).classes("tp-quiet")
            name = ui.button(icon="edit", color=None, on_click=lambda: self._rename(search))
            name.props("flat round dense size=sm").classes("tp-flat")
            name.props["aria-label"] = strings.NAME_SEARCH.format(time=clock.short(search.created_at))
            button = ui.button(icon="delete_outline", color=None, on_click=lambda: self._forget(search.id))
            button.props("flat round dense size=sm").classes("tp-flat")
            button.props["aria-label"] = strings.FORGET.format(time=clock.short(search.created_at))

    async def _rename(self, search: StoredSearch) -> None:
        clock = self._desk.clock
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            title = strings.NAME_SEARCH.format(time=clock.short(search.created_at))
            dialog.props["aria-label"] = title
            heading(title, level=2)
            name = ui.input(strings.SEARCH_NAME, value=search.name or "")
            name.props("filled dense stack-label maxlength=120 autofocus")
            ui.label(strings.SEARCH_LAPSES.format(time=clock.short(search.expires_at))).classes("tp-note")
            with ui.element("div").classes("tp-line"):
                primary(strings.KEEP, lambda: dialog.submit(True))
                quiet(strings.CANCEL, lambda: dialog.submit(False))
        if not await answer_of(dialog):
            return

        def rename() -> StoredSearch:
            change = SearchChange(name=str(name.value or "").strip() or None)
            return self._desk.scoped.searches.rename(search.id, change.name)

        if await self._desk.try_to(rename) is not None:
            await self._draw_saved()

    async def _forget(self, search_id: str) -> None:
        def forget() -> bool:
            self._desk.scoped.searches.delete(search_id)
            return True

        if await self._desk.try_to(forget):
            await self._draw_saved()


def _judged(own: OwnSearch) -> str:
    kinds = [verdict.kind.value for verdict in own.search.verdicts.values()]
    told = [strings.SHELVES[kind].format(count=kinds.count(kind)) for kind in ("confirm", "reject") if kind in kinds]
    return ", ".join(told) or strings.NOT_JUDGED
