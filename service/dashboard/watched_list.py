"""Whom is watched for: where, how surely and until when; changed, paused and ended here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from nicegui import ui

from service.alerts import WatchState
from service.api.scoped_watchlist import SeenEntry
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import ask_first, quiet
from service.dashboard.watch_dialog import change_watch, send_change

__all__ = ["WatchedList"]

ENTRIES = 100


class WatchedList:
    """Of one tab; built where it is made."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._entries = ui.element("ul").classes("tp-watched")

    async def draw(self) -> None:
        """Read it anew."""
        try:
            found, more = await self._desk.ask(lambda: self._desk.scoped.watchlist.page(ENTRIES, None))
            names = await self._desk.camera_names()
        except Unanswered as error:
            ui.notify(str(error), type="negative", position="top")
            return
        self._entries.clear()
        with self._entries:
            for seen in found:
                self._entry(seen, names)
            if not found:
                with ui.element("li"):
                    ui.label(strings.NOBODY_WATCHED).classes("tp-note")
            if more is not None:
                with ui.element("li"):
                    ui.label(strings.MORE_WATCHED.format(count=ENTRIES)).classes("tp-note")

    def _entry(self, seen: SeenEntry, names: Mapping[str, str]) -> None:
        entry, clock = seen.entry, self._desk.clock
        matches = seen.state is WatchState.WATCHING
        with ui.element("li").props(f'data-entry="{entry.id}"'):
            with ui.element("div").classes("tp-watched-head"):
                self._picture(seen)
                with ui.element("div").classes("tp-saved-text"):
                    ui.label(entry.name).classes("tp-strong-text")
                    state = ui.label(strings.WATCH_STATES[seen.state.value])
                    state.classes("tp-good" if matches else "tp-quiet tp-watched-off")
                    percent = f"{entry.threshold:.0%}"
                    ui.label(strings.WATCH_RULE.format(percent=percent, time=clock.short(entry.expires_at)))
                    ui.label(_where(seen, names))
                    if entry.hours is not None:
                        times = f"{entry.hours.start:%H:%M}", f"{entry.hours.end:%H:%M}"
                        ui.label(strings.WATCH_HOURS.format(start=times[0], end=times[1], zone=entry.hours.zone))
                    if seen.examples_until is not None and seen.examples_until < entry.expires_at:
                        ui.label(strings.WATCH_GOES.format(time=clock.short(seen.examples_until)))
                    ui.label(f"{entry.reason} ({entry.owner})").classes("tp-quiet")
            if seen.changeable:
                with ui.element("div").classes("tp-line tp-watched-acts"):
                    self._acts(seen)

    def _picture(self, seen: SeenEntry) -> None:
        """Of the first example that one sees."""
        sees = self._desk.scoped.access.sees
        shown = (e for e in seen.entry.examples if e.tracklet_id and e.camera_id and sees(e.camera_id))
        example = next(shown, None)
        if example is not None:
            image = ui.element("img")
            image.props["src"], image.props["alt"] = f"/api/v1/tracklets/{example.tracklet_id}/thumbnail", ""

    def _acts(self, seen: SeenEntry) -> None:
        entry = seen.entry
        verb = strings.PAUSE_WATCH if entry.enabled else strings.RESUME_WATCH
        acts = (
            (verb, partial(self._turn, seen), "pause" if entry.enabled else "play_arrow", ""),
            (strings.CHANGE, partial(self._change, seen), "edit", ""),
            (strings.END_WATCH, partial(self._ask_end, seen), None, "tp-bad"),
        )
        for text, act, icon, classes in acts:
            button = quiet(text, act, icon=icon).classes(classes)
            button.props["aria-label"] = f"{text} {entry.name}"

    async def _turn(self, seen: SeenEntry) -> None:
        if await send_change(self._desk, seen, {"enabled": not seen.entry.enabled}):
            await self.draw()

    async def _change(self, seen: SeenEntry) -> None:
        if await change_watch(self._desk, seen):
            await self.draw()

    async def _ask_end(self, seen: SeenEntry) -> None:
        question = strings.END_WATCH_SURE.format(name=seen.entry.name)
        await ask_first(question, partial(self._end, seen.entry.id), verb=strings.END_WATCH)

    async def _end(self, entry_id: str) -> None:
        def end() -> bool:
            self._desk.scoped.watchlist.end(entry_id)
            return True

        if await self._desk.try_to(end):
            await self.draw()


def _where(seen: SeenEntry, names: Mapping[str, str]) -> str:
    """The cameras that are looked at."""
    if seen.cameras is None:
        return strings.WATCH_ALL
    return ", ".join(sorted(names.get(one, one) for one in seen.cameras)) or strings.NO_CAMERA
