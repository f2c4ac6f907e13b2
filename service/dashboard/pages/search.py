"""One search: who is looked for, beside the answer, which stays as it is until somebody judges or asks again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from nicegui import ui

from service.dashboard import strings
from service.dashboard.asking import Asking
from service.dashboard.components import CardGroup, SightingGrid
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import empty, heading, link, plain, primary, quiet
from service.dashboard.filter_chips import FilterChips
from service.dashboard.pin_dialog import pin_to_case
from service.dashboard.query_column import QueryColumn
from service.dashboard.search_scope import SearchScope
from service.dashboard.sighting_dialog import SightingDialog
from service.dashboard.wording import sighting_card
from service.likelihood import likelihood
from service.search import Example, Match
from service.search_groups import by_camera, by_time
from service.search_store import VerdictKind
from service.searches import SearchState
from service.security.access import Permission

__all__ = ["SearchPage"]

AT_ONCE = 60  # cards; more on demand
PAUSE = timedelta(minutes=10)
_VERDICTS = {kind.value: kind for kind in VerdictKind}


class SearchPage:
    """Of one kept search, while it is looked at."""

    def __init__(self, desk: Desk, asking: Asking, search_id: str, by: str | None) -> None:
        self._desk = desk
        self._asking = asking
        self._id = search_id
        self._by = by if by in strings.GROUPINGS else ""
        self._shown = AT_ONCE
        self._marked: list[str] = []
        self._state: SearchState | None = None
        self._matches: list[Match] = []

    async def build(self) -> None:
        page = ui.element("div").classes("tp-page")
        await self._desk.ready()
        try:
            made, scoped = self._asking.just_made(self._id), self._desk.scoped
            names, seen = await self._desk.ask(
                lambda: (scoped.camera_names(), self._seen(made or scoped.searches.get(self._id)))
            )
        except Unanswered as error:
            with page, empty("search_off" if error.missing else "cloud_off", str(error), bad=not error.missing):
                link(strings.TO_SEARCH, "/search", classes="tp-link")
            return
        self._names = dict(names)
        with page:
            self._build(seen[0])
            self._draw(*seen)
            ui.timer(5.0, self._look, immediate=False)

    def _build(self, state: SearchState) -> None:
        question = state.search.question
        self._dialog = SightingDialog(self._desk, on_act=self._acted)
        with ui.element("div").classes("tp-line"):
            heading(strings.SEARCH)
            if question.reason:
                ui.label(strings.BECAUSE.format(reason=question.reason)).classes("tp-quiet tp-ellipsis")
            ui.element("span").classes("tp-grow")
            quiet(strings.CLEAR, lambda: ui.navigate.to("/search"), icon="restart_alt")
        FilterChips(SearchScope.of(question), self._names, self._desk.clock, self._rescope, searching=True)
        with ui.element("div").classes("tp-search"):
            self._query = QueryColumn(
                self._desk, self._asking, on_photo=self._add, on_remove=self._remove, on_undo=self._undo
            )
            with ui.element("div").classes("tp-results"):
                self._news = ui.element("div").props('role="status"')
                with ui.element("div").classes("tp-line"):
                    self._count = ui.label().classes("tp-label").props('role="status"')
                    ui.element("span").classes("tp-grow")
                    self._groupings()
                self._marks = ui.element("div")
                self._grid = SightingGrid(
                    label=strings.SEARCH,
                    acts=("confirm", "reject", "unsure", "search", "mark"),
                    on_open=self._open,
                    on_act=self._acted,
                )
                self._none = empty("search_off", strings.NOTHING, strings.NOTHING_TEXT)
                self._more = quiet(strings.MORE_MATCHES, self._show_more, icon="expand_more")
                self._notes = ui.label().classes("tp-note")

    def _groupings(self) -> None:
        with ui.element("div").classes("tp-segments").props(f'role="group" aria-label="{strings.GROUP_BY}"'):
            for by, text in strings.GROUPINGS.items():
                button = ui.element("button").props("type=button")
                with button:
                    ui.label(text)
                button.props["aria-pressed"] = "true" if by == self._by else "false"
                button.on("click", lambda b=by: self._group(b))

    async def _group(self, by: str) -> None:
        ui.navigate.to(f"/search/{self._id}" + (f"?by={by}" if by else ""))

    # -- what the operator does ------------------------------------------------------------------

    async def _open(self, item: dict[str, Any]) -> None:
        await self._dialog.open(str(item.get("id", "")), judging=True)

    async def _acted(self, act: dict[str, Any]) -> None:
        name, one = act.get("name"), act.get("id")
        if not isinstance(name, str) or not isinstance(one, str):
            return
        if name == "search":
            await self._asking.search_tracklet(one)
        elif name == "mark":
            self._marked = [m for m in self._marked if m != one] if one in self._marked else [*self._marked, one]
            self._redraw()
        elif name in _VERDICTS and self._state is not None:
            known = {record.id: verdict.kind for record, verdict in self._state.judged}.get(one)
            kind = _VERDICTS[name]
            await self._ask_anew(
                lambda: self._desk.scoped.searches.judge(self._id, one, None if known is kind else kind)
            )

    async def _undo(self, one: str) -> None:
        await self._ask_anew(lambda: self._desk.scoped.searches.judge(self._id, one, None))

    async def _refresh(self) -> None:
        await self._ask_anew(lambda: self._desk.scoped.searches.refresh(self._id))

    async def _ask_anew(self, action: Callable[[], SearchState]) -> None:
        seen = await self._desk.try_to(lambda: self._seen(action()))
        if seen is not None:
            self._draw(*seen)

    async def _rescope(self, scope: SearchScope) -> None:
        await self._vary(self._examples, scope)

    async def _add(self, example: Example) -> None:
        await self._vary([*self._examples, example], SearchScope.of(self._question))

    async def _remove(self, example: Example) -> None:
        await self._vary([e for e in self._examples if e != example], SearchScope.of(self._question))

    async def _vary(self, examples: list[Example], scope: SearchScope) -> None:
        await self._asking.vary(self._id, examples, scope, self._question.reason)

    async def _more_like(self, *, also: bool) -> None:
        marked = [Example(tracklet_id=one) for one in self._marked]
        if also:
            await self._vary([*self._examples, *marked], SearchScope.of(self._question))
        else:
            await self._asking.search(marked, SearchScope.of(self._question))

    async def _show_more(self) -> None:
        assert self._state is not None  # noqa: S101
        state, self._shown = self._state, self._shown + AT_ONCE
        seen = await self._desk.try_to(lambda: self._seen(state))
        if seen is not None and self._state is state:  # nobody has judged meanwhile
            self._matches = seen[1]
            self._redraw()

    async def _look(self) -> None:
        """Whether the gallery has changed since; the answer stays."""
        try:
            state = await self._desk.ask(lambda: self._desk.scoped.searches.get(self._id))
        except Unanswered:
            return
        if self._state is not None and state.search.answer.revision == self._state.search.answer.revision:
            self._tell(state)

    # -- drawing ---------------------------------------------------------------------------------

    @property
    def _question(self) -> Any:
        assert self._state is not None  # noqa: S101  nothing can be clicked before there is one
        return self._state.search.question

    @property
    def _examples(self) -> list[Example]:
        assert self._state is not None  # noqa: S101
        there = {record.id for record in self._state.examples}
        return [e for e in self._question.examples if e.tracklet_id is None or e.tracklet_id in there]

    def _seen(self, state: SearchState) -> tuple[SearchState, list[Match]]:
        """A search with those of its matches that are shown: read at once, so that the page is drawn once."""
        shown = state.ranked[: None if self._by else self._shown]
        return replace(state, at_hand={}), self._desk.scoped.searches.matches(shown, 1, state.at_hand)

    def _draw(self, state: SearchState, matches: list[Match]) -> None:
        self._state, self._matches = state, matches
        self._query.draw(state, self._names)
        self._tell(state)
        self._redraw()

    def _redraw(self) -> None:
        state, matches = self._state, self._matches
        assert state is not None  # noqa: S101
        verdicts = {record.id: verdict.kind for record, verdict in state.judged}
        self._grid.show(self._grouped(matches, verdicts), self._marked)
        answered_at = self._desk.clock.time(state.search.answer.at)
        self._count.text = strings.FOUND.format(sightings=strings.sightings(len(state.ranked)), time=answered_at)
        self._count.set_visibility(bool(state.ranked))
        self._none.set_visibility(not state.ranked)
        self._more.set_visibility(not self._by and len(state.ranked) > self._shown)
        calibrated = any(match.probability is not None for match in matches)
        self._notes.text = f"{strings.EVIDENCE_BY[calibrated]} {strings.EVIDENCE}"
        self._notes.set_visibility(bool(state.ranked))
        self._draw_marks()

    def _grouped(self, matches: list[Match], verdicts: dict[str, VerdictKind]) -> list[CardGroup]:
        clock = self._desk.clock

        def cards(some: list[Match] | tuple[Match, ...]) -> list[dict[str, Any]]:
            return [sighting_card(m.record, self._names, clock, m, verdicts.get(m.record.id)) for m in some]

        if not self._by:
            return [CardGroup(key="", title="", note="", items=cards(matches))] if matches else []
        groups = by_camera(matches) if self._by == "camera" else by_time(matches, PAUSE)
        return [
            CardGroup(
                key=group.camera_id or group.since.isoformat(),
                title=self._names.get(group.camera_id, group.camera_id)
                if group.camera_id
                else f"{clock.minute(group.since)} – {clock.minute(group.until)}",
                note=_note(group.matches),
                items=cards(group.matches),
            )
            for group in groups
        ]

    def _tell(self, state: SearchState) -> None:
        """What has happened in the searched part since."""
        since, told = state.since, []
        if since.new:
            told.append(strings.NEWER.format(count=("" if since.exact else "≥ ") + str(len(since.new))))
        if since.revised:
            told.append(strings.GROWN.format(count=len(since.revised)))
        if state.vanished:
            told.append(strings.VANISHED.format(count=state.vanished))
        if state.other_model:
            told.append(strings.OTHER_MODEL)
        if state.scope_widened:
            told.append(strings.WIDER)
        text = " ".join(told or ([strings.CHANGED] if state.gallery_changed else []))
        if text == getattr(self, "_told", None):
            return
        self._told = text
        self._news.clear()
        if text:
            with self._news, ui.element("div").classes("tp-news"):
                ui.icon("update", size="18px")
                ui.label(text)
                plain(strings.REFRESH, self._refresh)

    def _draw_marks(self) -> None:
        self._marks.clear()
        if not self._marked:
            return
        with self._marks, ui.element("div").classes("tp-news"):
            ui.label(strings.MARKED.format(count=len(self._marked)))
            primary(strings.MORE_LIKE, lambda: self._more_like(also=False), icon="person_search")
            plain(strings.ADD_EXAMPLES, lambda: self._more_like(also=True), icon="add")
            if self._desk.may(Permission.CASES):
                plain(strings.PIN, lambda: pin_to_case(self._desk, tracklet_ids=self._marked), icon="push_pin")
            quiet(strings.UNMARK, self._unmark)

    def _unmark(self) -> None:
        self._marked = []
        self._redraw()


def _note(matches: tuple[Match, ...]) -> str:
    best = matches[0]
    told = f"{best.cosine:.2f}" if best.probability is None else likelihood(best.probability)
    return strings.GROUP_NOTE.format(count=len(matches), best=told)
