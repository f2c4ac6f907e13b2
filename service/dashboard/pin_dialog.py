"""Pins sightings or a subject to a case."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from service.api.schema_cases import CaseCreate, PinRequest
from service.cases import CaseState
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, heading, primary, quiet

__all__ = ["pin_to_case"]

CHOICES = 50


async def pin_to_case(desk: Desk, *, tracklet_ids: Sequence[str] = (), subject_ids: Sequence[str] = ()) -> None:
    """Ask for a case, old or new, and pin to it."""
    cases = desk.scoped.cases
    try:
        known, _ = await desk.ask(lambda: cases.page(CHOICES, None))
    except Unanswered as error:
        ui.notify(str(error), type="negative", position="top")
        return
    options = {**{case.id: case.title for case in known if case.state is CaseState.OPEN}, "": strings.NEW_CASE}
    with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
        heading(strings.PIN, level=2)
        which = ui.select(options, label=strings.CASE, value=next(iter(options)))
        which.props("filled dense stack-label options-dense")
        title = ui.input(strings.CASE_TITLE).props("filled dense stack-label maxlength=200")
        title.bind_visibility_from(which, "value", value="")
        note = ui.input(strings.PIN_NOTE).props("filled dense stack-label maxlength=500")
        with ui.element("div").classes("tp-line"):
            primary(strings.PIN, lambda: dialog.submit(True))
            quiet(strings.CANCEL, lambda: dialog.submit(False))
    wanted = await answer_of(dialog)
    if not wanted:
        return
    request_note = str(note.value or "").strip() or None

    def pin() -> str:
        request = PinRequest(tracklet_ids=list(tracklet_ids), subject_ids=list(subject_ids), note=request_note)
        case_id = str(which.value)
        if not case_id:
            new = CaseCreate(title=str(title.value or "").strip())
            case_id = cases.add(new.title, [], None, new)[0].id
        cases.pin(case_id, request.tracklet_ids, request.subject_ids, request.note)
        return case_id

    case_id = await desk.try_to(pin)
    if case_id is not None:
        ui.navigate.to(f"/cases/{case_id}")
