"""Makes a subject of confirmed sightings, or adds them to one that is there."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from service.api.schema_subjects import SubjectCreate
from service.dashboard import strings
from service.dashboard.desk import Desk
from service.dashboard.elements import answer_of, heading, plain, primary, quiet
from service.dashboard.subject_picker import choose_subject

__all__ = ["SubjectDialog"]

_KNOWN = object()  # answered by who wants one that is there


class SubjectDialog:
    """Asked anew whenever it is opened."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def open(self, tracklet_ids: Sequence[str], text: str | None = None) -> None:
        """Ask for a name or a subject, then go to it. `text` says what is kept, where that is no search's answer."""
        subjects = self._desk.scoped.subjects
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            heading(strings.KEEP_SUBJECT, level=2)
            told = text or strings.KEEP_SUBJECT_TEXT.format(sightings=strings.sightings(len(tracklet_ids)))
            ui.label(told).classes("tp-quiet")
            name = ui.input(strings.SUBJECT_NAME).props("filled dense stack-label maxlength=120 autofocus")
            with ui.element("div").classes("tp-line"):
                primary(strings.KEEP, lambda: dialog.submit((name.value or "").strip()))
                plain(strings.KNOWN_SUBJECT, lambda: dialog.submit(_KNOWN), icon="person_search")
                quiet(strings.CANCEL, lambda: dialog.submit(None))
        given = await answer_of(dialog)
        if given is None:
            return
        known = None
        if given is _KNOWN:
            known = await choose_subject(self._desk, strings.ADD_TO_SUBJECT, without=())
            if known is None:
                return
        ids = list(dict.fromkeys(tracklet_ids))

        def keep() -> str:
            if known is None:
                request = SubjectCreate(name=given or None, tracklet_ids=ids)
                return subjects.add(request.name, request.tracklet_ids, None, request)[0].id
            for one in ids:
                subjects.decide(known.id, one, confirmed=True)
            return known.id

        kept = await self._desk.try_to(keep)
        if kept is not None:
            ui.navigate.to(f"/subjects/{kept}")
