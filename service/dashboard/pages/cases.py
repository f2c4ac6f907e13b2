"""The cases that one takes part in, newest first."""

from __future__ import annotations

from nicegui import ui

from service.api.schema_cases import CaseCreate
from service.cases import Case, CaseState
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, empty, heading, primary, quiet
from service.security.access import Permission

__all__ = ["CasesPage"]

AT_ONCE = 60


class CasesPage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cursor: str | None = None

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line"):
                heading(strings.CASES)
                ui.element("span").classes("tp-grow")
                if self._desk.may(Permission.CASES):
                    primary(strings.ADD_CASE, self._add, icon="create_new_folder")
            self._list = ui.element("ul").classes("tp-people")
            self._message = ui.element("div")
            with ui.element("div").classes("tp-line"):
                self._more = quiet(strings.MORE_CASES, self._load, icon="expand_more")
                self._more.set_visibility(False)
        await self._desk.ready()
        await self._load()

    async def _load(self) -> None:
        cursor, first = self._cursor, self._cursor is None
        try:
            found, self._cursor = await self._desk.ask(lambda: self._desk.scoped.cases.page(AT_ONCE, cursor))
        except Unanswered as error:
            with self._message:
                empty("cloud_off", str(error), bad=True)
            return
        with self._list:
            for case in found:
                self._draw(case)
        if first and not found:
            with self._message:
                empty("folder_off", strings.NO_CASES, strings.NO_CASES_TEXT)
        self._more.set_visibility(self._cursor is not None)

    def _draw(self, case: Case) -> None:
        people = ", ".join([case.owner.account, *(m.account for m in case.members)])
        with ui.element("li"), ui.element("a").props(f'href="/cases/{case.id}"').classes("tp-person"):
            ui.icon("folder_open" if case.state is CaseState.OPEN else "folder", size="26px").classes("tp-quiet")
            with ui.element("span").classes("tp-saved-text"):
                ui.label(case.title).classes("tp-strong-text")
                ui.label(f"{strings.CASE_STATES[case.state.value]}, {people}").classes("tp-quiet tp-ellipsis")
                ui.label(strings.CHANGED_AT.format(time=self._desk.clock.short(case.changed_at))).classes("tp-quiet")

    async def _add(self) -> None:
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            heading(strings.ADD_CASE, level=2)
            title = ui.input(strings.CASE_TITLE).props("filled dense stack-label maxlength=200 autofocus")
            with ui.element("div").classes("tp-line"):
                primary(strings.KEEP, lambda: dialog.submit(title.value))
                quiet(strings.CANCEL, lambda: dialog.submit(None))
        given = await answer_of(dialog)
        if given is None:
            return

        def add() -> Case:
            request = CaseCreate(title=given.strip())
            return self._desk.scoped.cases.add(request.title, [], None, request)[0]

        made = await self._desk.try_to(add)
        if made is not None:
            ui.navigate.to(f"/cases/{made.id}")
