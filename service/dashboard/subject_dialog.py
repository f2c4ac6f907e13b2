"""Makes a subject of confirmed sightings, or adds them to one that is there."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from service.api.schema_subjects import SubjectCreate
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, heading, primary, quiet
from service.dashboard.wording import subject_name

__all__ = ["SubjectDialog"]

CHOICES = 50


class SubjectDialog:
    """Asked anew whenever it is opened."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def open(self, tracklet_ids: Sequence[str], text: str | None = None) -> None:
        """Ask for a name or a subject, then go to it. `text` says what is kept, where that is no search's answer."""
        subjects = self._desk.scoped.subjects
        try:
            known, _ = await self._desk.ask(lambda: subjects.page(CHOICES, None))
        except Unanswered as error:
            ui.notify(str(error), type="negative", position="top")
            return
        options = {"": strings.NEW_SUBJECT, **{one.id: subject_name(one) for one in known}}
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            heading(strings.KEEP_SUBJECT, level=2)
            told = text or strings.KEEP_SUBJECT_TEXT.format(sightings=strings.sightings(len(tracklet_ids)))
            ui.label(told).classes("tp-quiet")
            which = ui.select(options, label=strings.SUBJECT, value="").props("filled dense stack-label options-dense")
            name = ui.input(strings.SUBJECT_NAME).props("filled dense stack-label maxlength=120 autofocus")
            name.bind_visibility_from(which, "value", value="")
            with ui.element("div").classes("tp-line"):
                primary(strings.KEEP, lambda: dialog.submit((which.value, name.value)))
                quiet(strings.CANCEL, lambda: dialog.submit(None))
        given = await answer_of(dialog)
        if given is None:
            return
        subject_id, called = given
        ids = list(dict.fromkeys(tracklet_ids))

        def keep() -> str:
            if not subject_id:
                request = SubjectCreate(name=(called or "").strip() or None, tracklet_ids=ids)
                return subjects.add(request.name, request.tracklet_ids, None, request)[0].id
            for one in ids:
                subjects.decide(subject_id, one, confirmed=True)
            return str(subject_id)

        kept = await self._desk.try_to(keep)
        if kept is not None:
            ui.navigate.to(f"/subjects/{kept}")
