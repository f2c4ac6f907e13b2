"""Asks to be told when a subject is seen again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nicegui import ui

from service.api.schema_alerts import WatchEntryCreate
from service.api.scoped_watchlist import NewEntry
from service.dashboard import strings
from service.dashboard.desk import Desk
from service.dashboard.elements import answer_of, heading, primary, quiet
from service.dashboard.wording import subject_name
from service.subjects import Subject

__all__ = ["watch_for"]


async def watch_for(desk: Desk, subject: Subject) -> None:
    """Ask why, how surely and until when; then go to the alerts."""
    with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
        heading(strings.WATCH, level=2)
        ui.label(strings.WATCH_TEXT).classes("tp-quiet")
        reason = ui.input(strings.WATCH_REASON).props("filled dense stack-label maxlength=500 autofocus")
        least = ui.select(strings.WATCH_LEAST, label=strings.FILTER_LEAST, value=0.9)
        least.props("filled dense stack-label options-dense")
        days = ui.select(strings.WATCH_DAYS, label=strings.WATCH_FOR, value=7)
        days.props("filled dense stack-label options-dense")
        with ui.element("div").classes("tp-line"):
            primary(strings.WATCH, lambda: dialog.submit(True))
            quiet(strings.CANCEL, lambda: dialog.submit(False))
    if not await answer_of(dialog):
        return

    def watch() -> str:
        request = WatchEntryCreate(
            name=subject_name(subject),
            reason=str(reason.value or "").strip(),
            subject_id=subject.id,
            threshold=float(least.value),
            expires_at=datetime.now(UTC) + timedelta(days=float(days.value)),
        )
        new = NewEntry(
            request.name, request.reason, (), request.subject_id, None, None, request.threshold, request.expires_at
        )
        return desk.scoped.watchlist.add(new, None, request)[0].entry.id

    if await desk.try_to(watch) is not None:
        ui.navigate.to("/alerts")
