"""Asks to be told when a subject is seen again, and changes what was asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui

from service.api.schema_alerts import WatchEntryChange, WatchEntryCreate
from service.api.scoped_watchlist import NewEntry, SeenEntry
from service.dashboard import strings
from service.dashboard.desk import Desk
from service.dashboard.elements import answer_of, heading, primary, quiet
from service.dashboard.wording import subject_name
from service.subjects import Subject

__all__ = ["change_watch", "send_change", "watch_for"]


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


async def change_watch(desk: Desk, seen: SeenEntry) -> bool:
    """Ask what is to be otherwise; only that is sent. Returns whether it was changed."""
    entry, clock = seen.entry, desk.clock
    names = await desk.try_to(desk.scoped.camera_names)
    if names is None:
        return False
    given: dict[str, Any] = {
        "name": entry.name,
        "reason": entry.reason,
        "threshold": entry.threshold,
        "cameras": None if seen.cameras is None else sorted(seen.cameras),
        "expires_at": clock.field(entry.expires_at),
    }
    with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
        dialog.props["aria-label"] = strings.CHANGE
        heading(strings.CHANGE_WATCH.format(name=entry.name), level=2)
        name = ui.input(strings.WATCH_NAME, value=entry.name).props("filled dense stack-label maxlength=120")
        reason = ui.input(strings.WATCH_REASON, value=entry.reason).props("filled dense stack-label maxlength=500")
        options = {entry.threshold: strings.LEAST_OTHER.format(percent=f"{entry.threshold:.0%}"), **strings.WATCH_LEAST}
        least = ui.select(options, label=strings.FILTER_LEAST, value=entry.threshold)
        least.props("filled dense stack-label options-dense")
        until = ui.input(strings.WATCH_UNTIL, value=given["expires_at"])
        until.props("filled dense stack-label type=datetime-local")
        every = ui.checkbox(strings.WATCH_EVERY, value=given["cameras"] is None).props("dense")
        some = ui.select(
            {one: names.get(one, one) for one in {*names, *(given["cameras"] or ())}},
            label=strings.FILTER_CAMERAS,
            multiple=True,
            value=given["cameras"] or [],
        )
        some.props("filled dense stack-label options-dense use-chips").bind_visibility_from(
            every, "value", backward=lambda on: not on
        )
        with ui.element("div").classes("tp-line"):
            primary(strings.KEEP, lambda: dialog.submit(True))
            quiet(strings.CANCEL, lambda: dialog.submit(False))
    if not await answer_of(dialog):
        return False
    wanted: dict[str, Any] = {
        "name": str(name.value or "").strip(),
        "reason": str(reason.value or "").strip(),
        "threshold": float(least.value),
        "cameras": None if every.value else sorted(some.value),
        "expires_at": str(until.value or ""),
    }
    changed = {field: value for field, value in wanted.items() if value != given[field]}
    if "expires_at" in changed:
        changed["expires_at"] = clock.moment(changed["expires_at"])
    return bool(changed) and await send_change(desk, seen, changed)


async def send_change(desk: Desk, seen: SeenEntry, changed: dict[str, Any]) -> bool:
    """Change some fields of an entry, or say why not."""

    def change() -> SeenEntry:
        request = WatchEntryChange(revision=seen.entry.revision, **changed)
        return desk.scoped.watchlist.change(seen.entry.id, request.revision, request.of_entry())

    return await desk.try_to(change) is not None
