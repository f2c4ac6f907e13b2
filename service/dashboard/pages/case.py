"""One case: what is pinned to it, what was noted, and its exports."""

from __future__ import annotations

from functools import partial
from typing import Any

from nicegui import ui

from service.api.schema_cases import ExportRequest, NoteCreate
from service.api.scoped_cases import PinSeen
from service.cases import Case, CaseState, Export, ExportState, Note
from service.dashboard import strings
from service.dashboard.case_people import CasePeople, told_people
from service.dashboard.components import CardGroup, SightingGrid
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, ask_first, empty, heading, link, plain, primary, quiet
from service.dashboard.sighting_dialog import SightingDialog
from service.dashboard.wording import sighting_card, size, subject_name
from service.security.access import Permission

__all__ = ["CasePage"]

PINS, NOTES = 500, 2000
_UNDER_WAY = (ExportState.QUEUED, ExportState.RUNNING)


class CasePage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk, case_id: str) -> None:
        self._desk = desk
        self._id = case_id
        self._exports: list[Export] = []

    async def build(self) -> None:
        self._page = ui.element("div").classes("tp-page")
        await self._desk.ready()
        await self._draw()
        with self._page:
            ui.timer(1.0, self._look)

    async def _draw(self) -> None:
        cases, scoped = self._desk.scoped.cases, self._desk.scoped
        try:
            case = await self._desk.ask(lambda: cases.get(self._id))
            pins, _ = await self._desk.ask(lambda: cases.pins(self._id, PINS, None))
            notes, _ = await self._desk.ask(lambda: cases.notes(self._id, NOTES, None))
            exporting = self._desk.may(Permission.EXPORT)
            self._exports = await self._desk.ask(lambda: scoped.exports.of_case(self._id)) if exporting else []
            names = await self._desk.camera_names()
        except Unanswered as error:
            self._page.clear()
            with self._page, empty("folder_off" if error.missing else "cloud_off", str(error), bad=not error.missing):
                link(strings.TO_CASES, "/cases", classes="tp-link")
            return
        may_change, is_open = await self._desk.ask(lambda: cases.may_change(case)), case.state is CaseState.OPEN
        self._page.clear()
        with self._page:
            self._dialog = SightingDialog(self._desk, on_act=self._acted)
            self._head(case, may_change=may_change)
            with ui.element("div").classes("tp-case"):
                with ui.element("section").classes("tp-block"):
                    heading(strings.PINNED, level=2)
                    self._pins(pins, dict(names), may_change=may_change and is_open)
                with ui.element("div").classes("tp-case-side"):
                    with ui.element("section").classes("tp-block"):
                        heading(strings.NOTES, level=2)
                        self._notes(notes, may_change=may_change and is_open)
                    if exporting:
                        with ui.element("section").classes("tp-block"):
                            with ui.element("div").classes("tp-line"):
                                heading(strings.EXPORTS, level=2)
                                ui.element("span").classes("tp-grow")
                                if may_change:
                                    plain(strings.EXPORT, self._ask_export, icon="archive")
                            self._jobs = ui.element("div").props('role="status"')
                            self._draw_exports()
                    with ui.element("section").classes("tp-block"):
                        heading(strings.TAKING_PART, level=2)
                        CasePeople(self._desk, case, self._draw)

    def _head(self, case: Case, *, may_change: bool) -> None:
        with ui.element("div").classes("tp-line"):
            heading(case.title)
            ui.label(f"{strings.CASE_STATES[case.state.value]}, {told_people(case)}").classes("tp-quiet")
            ui.element("span").classes("tp-grow")
            if not may_change:
                ui.label(strings.READS_ONLY).classes("tp-note")
            else:
                is_open = case.state is CaseState.OPEN
                quiet(
                    strings.CLOSE_CASE if is_open else strings.OPEN_CASE,
                    partial(self._turn, case),
                    icon="folder" if is_open else "folder_open",
                )

    def _pins(self, pins: list[PinSeen], names: dict[str, str], *, may_change: bool) -> None:
        if not pins:
            empty("push_pin", strings.NO_PINS, strings.NO_PINS_TEXT)
            return
        subjects = [one for one in pins if one.subject is not None]
        if subjects:
            with ui.element("ul").classes("tp-chips tp-subject-chips"):
                for one in subjects:
                    self._subject(one, may_change=may_change)
        cards = [sighting_card(one.record, names, self._desk.clock) for one in pins if one.record is not None]
        grid = SightingGrid(
            label=strings.PINNED,
            acts=("search", "unpin") if may_change else ("search",),
            on_open=self._open,
            on_act=self._acted,
        )
        grid.show([CardGroup(key="", title="", note="", items=cards)] if cards else [])

    def _subject(self, pin: PinSeen, *, may_change: bool) -> None:
        assert pin.subject is not None  # noqa: S101  the caller has looked
        name = subject_name(pin.subject)
        with ui.element("li"):
            link(name, f"/subjects/{pin.subject.id}", classes="tp-link")
            if may_change:
                button = ui.button(icon="close", color=None, on_click=partial(self._unpin, pin.pin.id))
                button.props("flat round dense size=sm").props["aria-label"] = f"{strings.UNPIN} {name}"

    def _notes(self, notes: list[Note], *, may_change: bool) -> None:
        with ui.element("ol").classes("tp-notes"):
            for note in notes:
                with ui.element("li"):
                    ui.label(f"{note.account}, {self._desk.clock.short(note.at)}").classes("tp-quiet")
                    ui.label(note.text).classes("tp-note-text")
        if not may_change:
            return
        text = ui.textarea(strings.NOTE).props("filled dense stack-label autogrow maxlength=10000")

        async def add() -> None:
            def write() -> Note:
                request = NoteCreate(text=str(text.value or "").strip())
                return self._desk.scoped.cases.add_note(self._id, request.text, None, request)[0]

            if await self._desk.try_to(write) is not None:
                await self._draw()

        with ui.element("div").classes("tp-line"):
            plain(strings.ADD_NOTE, add, icon="edit_note")

    # -- exports ---------------------------------------------------------------------------------

    def _draw_exports(self) -> None:
        self._jobs.clear()
        with self._jobs:
            if not self._exports:
                ui.label(strings.NO_EXPORTS).classes("tp-note")
            for export in self._exports:
                self._draw_export(export)

    def _draw_export(self, export: Export) -> None:
        clock = self._desk.clock
        with ui.element("div").classes("tp-export"):
            with ui.element("div").classes("tp-saved-text"):
                ui.label(export.reason).classes("tp-strong-text")
                blurred = strings.BLURRED if export.blurred else strings.NOT_BLURRED
                ui.label(f"{export.account}, {clock.short(export.created_at)}, {blurred}").classes("tp-quiet")
                if export.state in _UNDER_WAY:
                    told = strings.EXPORTING.format(done=export.done, total=export.total)
                    bar = ui.element("progress").props(f'max="{max(export.total, 1)}" value="{export.done}"')
                    bar.props["aria-label"] = told
                    ui.label(told).classes("tp-quiet")
                elif export.state is not ExportState.DONE:
                    told = export.error or strings.EXPORT_STATES[export.state.value]
                    ui.label(told).classes("tp-error" if export.state is ExportState.FAILED else "tp-quiet")
            if export.state is ExportState.DONE:
                path = f"/api/v1/cases/{self._id}/exports/{export.id}/file"
                file = link(strings.DOWNLOAD.format(size=size(export.size_bytes or 0)), path, classes="tp-link")
                file.props("download")

    async def _look(self) -> None:
        """How far the exports are, while some are under way."""
        if not any(export.state in _UNDER_WAY for export in self._exports):
            return
        try:
            found = await self._desk.ask(lambda: self._desk.scoped.exports.of_case(self._id))
        except Unanswered:
            return
        if found != self._exports:
            self._exports = found
            self._draw_exports()

    async def _ask_export(self) -> None:
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            heading(strings.EXPORT, level=2)
            ui.label(strings.EXPORT_TEXT).classes("tp-quiet")
            reason = ui.input(strings.EXPORT_REASON).props("filled dense stack-label maxlength=500 autofocus")
            blur = ui.checkbox(strings.BLUR, value=True).props("dense")
            with ui.element("div").classes("tp-line"):
                primary(strings.EXPORT, lambda: dialog.submit(True))
                quiet(strings.CANCEL, lambda: dialog.submit(False))
        wanted = await answer_of(dialog)
        if not wanted:
            return

        def start() -> Export:
            request = ExportRequest(reason=str(reason.value or "").strip(), blur=bool(blur.value))
            exports = self._desk.scoped.exports
            return exports.start(self._id, request.reason, blurred=request.blur, key=None, request=request)[0]

        made = await self._desk.try_to(start)
        if made is not None:
            self._exports = [made, *self._exports]
            self._draw_exports()

    # -- what else the operator does -------------------------------------------------------------

    async def _turn(self, case: Case) -> None:
        state = CaseState.CLOSED if case.state is CaseState.OPEN else CaseState.OPEN
        cases = self._desk.scoped.cases
        if await self._desk.try_to(lambda: cases.change(case.id, case.revision, state=state)) is not None:
            await self._draw()

    async def _open(self, item: dict[str, Any]) -> None:
        await self._dialog.open(str(item.get("id", "")))

    async def _acted(self, act: dict[str, Any]) -> None:
        one = act.get("id")
        if not isinstance(one, str):
            return
        if act.get("name") == "unpin":
            await ask_first(strings.UNPIN_SURE, partial(self._unpin, one), verb=strings.UNPIN)
        elif act.get("name") == "search":
            ui.navigate.to(f"/sightings/{one}")

    async def _unpin(self, pin_id: str) -> None:
        def unpin() -> bool:
            self._desk.scoped.cases.unpin(self._id, pin_id)
            return True

        if await self._desk.try_to(unpin):
            await self._draw()
