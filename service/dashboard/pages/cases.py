"""The cases that one takes part in, newest first."""

from __future__ import annotations

from nicegui import ui

from service.api.schema_cases import CaseCreate
from service.cases import Case, CaseState
from service.dashboard import strings
from service.dashboard.case_people import told_people
from service.dashboard.elements import answer_of, heading, primary, quiet
from service.dashboard.list_page import AT_ONCE, ListPage
from service.security.access import Permission

__all__ = ["CasesPage"]


class CasesPage(ListPage[Case]):
    """Who may opens one here."""

    more = strings.MORE_CASES
    nothing = ("folder_off", strings.NO_CASES, strings.NO_CASES_TEXT)

    def _head(self) -> None:
        heading(strings.CASES)
        ui.element("span").classes("tp-grow")
        if self._desk.may(Permission.CASES):
            primary(strings.ADD_CASE, self._add, icon="create_new_folder")

    async def _read(self, cursor: str | None) -> tuple[list[Case], str | None]:
        return await self._desk.ask(lambda: self._desk.scoped.cases.page(AT_ONCE, cursor))

    def _draw(self, case: Case) -> None:
        people = told_people(case)
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
