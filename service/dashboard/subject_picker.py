"""Asks for a subject by its name or number, with its picture."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from nicegui import ui

from service.api.scoped_subject_views import MOST_LOOKED_AT, KnownSubject
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, heading, picture_of, quiet
from service.dashboard.wording import subject_name
from service.subjects import Subject

__all__ = ["choose_subject", "named"]

AT_ONCE = 12


def named(typed: str) -> Callable[[Subject], bool]:
    """Whether a subject's name or number has every word that was typed."""
    words = typed.casefold().split()

    def wanted(subject: Subject) -> bool:
        told = f"{subject_name(subject)} {subject.number}".casefold()
        return all(word in told for word in words)

    return wanted


async def choose_subject(desk: Desk, title: str, *, without: Collection[str]) -> Subject | None:
    """A subject that somebody chose, or None. Those in `without` are not among them."""
    with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
        dialog.props["aria-label"] = title
        heading(title, level=2)
        typed = ui.input(strings.FIND_SUBJECT).props("filled dense stack-label maxlength=120 autofocus debounce=200")
        found = ui.element("ul").classes("tp-choices")
        told = ui.label().classes("tp-note").props('role="status"')
        with ui.element("div").classes("tp-line"):
            quiet(strings.CANCEL, lambda: dialog.submit(None))

    shown: list[KnownSubject] = []

    async def look() -> None:
        nonlocal shown
        asked = typed.value
        wanted = named(str(asked or ""))
        try:
            known = await desk.ask(
                lambda: desk.scoped.subject_views.find(lambda s: s.id not in without and wanted(s), AT_ONCE)
            )
        except Unanswered as error:
            known, problem = [], str(error)
        else:
            problem = "" if known else strings.NO_SUCH_SUBJECT.format(count=MOST_LOOKED_AT)
        if dialog.is_deleted or typed.value != asked:  # more was typed: that answer is on its way
            return
        if known != shown:  # a button that stays can be clicked while an answer comes
            shown = known
            found.clear()
            with found:
                for one in known:
                    _choice(one, partial(dialog.submit, one.subject))
        told.text = strings.FIRST_SUBJECTS.format(count=AT_ONCE) if len(known) == AT_ONCE else problem

    typed.on_value_change(look)
    await look()
    chosen = await answer_of(dialog)
    return chosen if isinstance(chosen, Subject) else None


def _choice(known: KnownSubject, choose: Callable[[], None]) -> None:
    with ui.element("li"), ui.element("button").props("type=button").classes("tp-choice") as button:
        picture_of(known.picture)
        with ui.element("span").classes("tp-saved-text"):
            ui.label(subject_name(known.subject)).classes("tp-strong-text")
            ui.label(strings.sightings(len(known.subject.confirmed))).classes("tp-quiet")
    button.on("click", choose)
