"""Makes searches for every page of one tab, and asks why where a reason must be given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from nicegui import ui
from pydantic import TypeAdapter

from service.api.schema import SearchReason
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, heading, primary, quiet
from service.dashboard.search_scope import SearchScope
from service.gallery import GalleryFilter
from service.search import MAX_EXAMPLES, Example, Match
from service.searches import SearchState

__all__ = ["Asking"]

ARRIVAL_TRIES, ARRIVAL_PAUSE_S = 10, 0.3
_REASON: Final = TypeAdapter[str](SearchReason)


class Asking:
    """Of one tab.

    Attributes:
        photos: what the browser showed of a photo's person, as long as the tab is open; nothing else keeps it.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reason: str | None = None
        self._made: SearchState | None = None
        self.photos: dict[Example, str] = {}

    async def search(self, examples: Sequence[Example], scope: SearchScope | None = None) -> None:
        """Search, keep it, and go to its page."""
        if len(examples) > MAX_EXAMPLES:
            ui.notify(strings.TOO_MANY_EXAMPLES.format(count=MAX_EXAMPLES), type="warning", position="top")
            return
        if not await self._know_why():
            return
        question = (scope or SearchScope()).question(examples, self._reason)
        self._show(await self._desk.try_to(lambda: self._desk.scoped.searches.make(question)))

    async def similar(self, tracklet_id: str, count: int) -> Sequence[Match] | None:
        """The sightings most similar to one, by a search that is recorded but not kept; None where it was not made."""
        if not await self._know_why():
            return None
        scoped, reason = self._desk.scoped, self._reason
        examples = [Example(tracklet_id=tracklet_id)]
        outcome = await self._desk.try_to(lambda: scoped.search(examples, GalleryFilter(), count, reason=reason))
        return outcome.matches if outcome is not None else None

    async def search_tracklet(self, tracklet_id: str) -> None:
        """Look for the person of a sighting, everywhere."""
        await self.search([Example(tracklet_id=tracklet_id)])

    async def search_live(self, tracklet_id: str) -> None:
        """Look for the person of a live picture, whose sighting may still be on its way from the worker."""
        if not await self._know_why():
            return
        scoped = self._desk.scoped
        question = SearchScope().question([Example(tracklet_id=tracklet_id)], self._reason)

        def make() -> SearchState:
            scoped.tracklet(tracklet_id)  # a search for what is not there yet would be on record
            return scoped.searches.make(question)

        for _ in range(ARRIVAL_TRIES):
            try:
                self._show(await self._desk.ask(make))
                return
            except Unanswered as error:
                if not error.missing:
                    break
            await asyncio.sleep(ARRIVAL_PAUSE_S)
        self._show(await self._desk.try_to(make))  # which says why

    async def vary(self, search_id: str, examples: Sequence[Example], scope: SearchScope, reason: str | None) -> None:
        """Ask otherwise in the place of a search, and go to the new one."""
        question = scope.question(examples, reason)
        self._show(await self._desk.try_to(lambda: self._desk.scoped.searches.vary(search_id, question)))

    def _show(self, state: SearchState | None) -> None:
        self._made = state
        if state is not None:
            ui.navigate.to(f"/search/{state.search.id}")

    def just_made(self, search_id: str) -> SearchState | None:
        """The search that this tab made last and nobody has looked at yet, if it is that one."""
        made, self._made = self._made, None
        return made if made is not None and made.search.id == search_id else None

    async def _know_why(self) -> bool:
        if not self._desk.scoped.settings.search_reason_required or self._reason:
            return True
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            heading(strings.REASON, level=2)
            ui.label(strings.REASON_TEXT).classes("tp-quiet")
            reason = ui.input(strings.REASON).props("filled dense stack-label maxlength=500 autofocus")
            reason.on("keydown.enter", lambda: dialog.submit(reason.value))
            with ui.element("div").classes("tp-line"):
                primary(strings.SEARCH, lambda: dialog.submit(reason.value))
                quiet(strings.CANCEL, lambda: dialog.submit(None))
        given = (await answer_of(dialog) or "").strip()
        if given:
            self._reason = await self._desk.try_to(lambda: _REASON.validate_python(given))
        return self._reason is not None
