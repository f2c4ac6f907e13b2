"""Filters as chips: what is set stands out, and a click opens what it may be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui

from models.types import Modality
from service.dashboard import strings
from service.dashboard.elements import primary, quiet
from service.dashboard.search_scope import SearchScope
from service.dashboard.wording import Clock
from service.search import POSSIBLE, STRONG

__all__ = ["FilterChips"]

_LEAST = {None: strings.ANY, POSSIBLE: strings.LEAST_POSSIBLE, STRONG: strings.LEAST_STRONG}


class FilterChips:
    """Built in place; `on_change` gets the scope that somebody has set."""

    def __init__(
        self,
        scope: SearchScope,
        names: Mapping[str, str],
        clock: Clock,
        on_change: Callable[[SearchScope], Awaitable[None]],
        *,
        searching: bool,
    ) -> None:
        self._scope = scope
        self._names = names
        self._clock = clock
        self._on_change = on_change
        with ui.element("div").classes("tp-chips").props(f'role="group" aria-label="{strings.FILTERS}"'):
            self._cameras()
            self._light()
            self._time()
            if searching:
                self._likely()
                self._switch(strings.FILTER_ELSEWHERE, "elsewhere", strings.FILTER_ELSEWHERE_TITLE)
                self._switch(strings.FILTER_RERANK, "rerank", strings.FILTER_RERANK_TITLE)
            if scope != SearchScope():
                quiet(strings.NO_FILTERS, lambda: self._set(SearchScope()), icon="filter_alt_off")

    async def _set(self, scope: SearchScope) -> None:
        if scope != self._scope:
            await self._on_change(scope)

    def _chip(self, name: str, text: str, fill: Callable[[ui.menu], None], *, on: bool) -> None:
        """A chip that opens a menu; `fill` puts in what it holds, when it is first opened: few ever are."""
        with ui.button(text, color=None).props("no-caps unelevated dense icon-right=expand_more") as chip:
            chip.classes("tp-chip tp-chip-on" if on else "tp-chip").props["aria-label"] = f"{name}: {text}"
            menu = ui.menu().classes("tp-menu")

        def opens() -> None:
            if not menu.default_slot.children:
                with menu:
                    fill(menu)

        menu.on("before-show", opens)

    def _switch(self, text: str, field: str, title: str) -> None:
        on = bool(getattr(self._scope, field))
        changes: dict[str, Any] = {field: not on}
        chip = ui.button(text, color=None, on_click=lambda: self._set(replace(self._scope, **changes)))
        chip.props("no-caps unelevated dense").classes("tp-chip tp-chip-on" if on else "tp-chip")
        chip.props["aria-pressed"] = "true" if on else "false"
        chip.props["title"] = title

    def _options(self, options: Mapping[Any, str], value: Any, field: str) -> Callable[[ui.menu], None]:
        def fill(_: ui.menu) -> None:
            for option, text in options.items():
                changes: dict[str, Any] = {field: option}
                item = ui.menu_item(text, on_click=lambda c=changes: self._set(replace(self._scope, **c)))
                item.classes("tp-chosen" if option == value else "")

        return fill

    def _cameras(self) -> None:
        chosen = self._scope.cameras or frozenset()
        told = ", ".join(sorted(self._names.get(one, one) for one in chosen)) or strings.ALL_CAMERAS
        if len(chosen) > 2:
            told = strings.SOME_CAMERAS.format(count=len(chosen))

        def fill(menu: ui.menu) -> None:
            with ui.element("div").classes("tp-form"):
                boxes = {
                    one: ui.checkbox(name, value=one in chosen).props("dense")
                    for one, name in sorted(self._names.items(), key=lambda pair: pair[1])
                }

                async def apply() -> None:
                    menu.close()
                    some = frozenset(one for one, box in boxes.items() if box.value)
                    await self._set(replace(self._scope, cameras=some or None))

                primary(strings.APPLY, apply)

        self._chip(strings.FILTER_CAMERAS, told, fill, on=bool(chosen))

    def _light(self) -> None:
        options = {Modality(one) if one else None: text for one, text in strings.LIGHTS.items()}
        value = self._scope.modality
        fill = self._options(options, value, "modality")
        self._chip(strings.FILTER_LIGHT, options[value], fill, on=value is not None)

    def _likely(self) -> None:
        value = self._scope.least
        told = _LEAST.get(value) or strings.LEAST_OTHER.format(percent=f"{value:.0%}")
        self._chip(strings.FILTER_LEAST, told, self._options(_LEAST, value, "least"), on=value is not None)

    def _time(self) -> None:
        since, until = self._scope.since, self._scope.until
        told = strings.TIMES[0]
        if since and until:
            told = f"{self._clock.minute(since)} – {self._clock.minute(until)}"
        elif since or until:
            told = strings.SINCE.format(time=self._clock.minute(since)) if since else ""
            told = told or strings.UNTIL.format(time=self._clock.minute(until))  # type: ignore[arg-type]
        self._chip(strings.FILTER_TIME, told, self._times, on=bool(since or until))

    def _times(self, menu: ui.menu) -> None:
        for minutes, text in strings.TIMES.items():
            ui.menu_item(text, on_click=lambda m=minutes: self._last(m))
        ui.separator()
        with ui.element("div").classes("tp-form"):
            begin, end = (
                ui.input(text, value=self._clock.field(value)).props("type=datetime-local dense filled stack-label")
                for text, value in ((strings.FROM, self._scope.since), (strings.TO, self._scope.until))
            )

            async def apply() -> None:
                first, last = self._clock.moment(begin.value), self._clock.moment(end.value)
                if first and last and last < first:
                    ui.notify(strings.BACKWARDS, type="warning", position="top")
                    return
                menu.close()
                await self._set(replace(self._scope, since=first, until=last))

            primary(strings.APPLY, apply)

    async def _last(self, minutes: int) -> None:
        since = datetime.now(UTC) - timedelta(minutes=minutes) if minutes else None
        await self._set(replace(self._scope, since=since, until=None))
