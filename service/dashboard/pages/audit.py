"""Who did what, and whether the log that says so is whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from nicegui import ui

from service.api.audit import WantedEntries, audit_page, entry_moment
from service.audit import LastVerification
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import empty, heading, plain, quiet, summary, table_head
from service.security.access import Permission

__all__ = ["AuditPage"]

ENTRIES = 100
SHORT = 160  # characters of details that are shown at once
_NOTHING: tuple[object, ...] = (None, [], {}, "", False)


class AuditPage:
    """Entries, newest first, of which one may ask for some."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._before: int | None = None

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line"):
                heading(strings.AUDIT)
                ui.element("span").classes("tp-grow")
                self._state = ui.element("div").classes("tp-line-part").props('role="status"')
                plain(strings.AUDIT_CHECK, self._verify, icon="verified_user")
            with ui.element("div").classes("tp-filters"):
                self._event = self._select(strings.AUDIT_EVENT, strings.AUDIT_EVENTS, "")
                self._account = ui.input(strings.AUDIT_ACCOUNT).props("dense filled stack-label maxlength=64 clearable")
                self._account.on("change", self._again)
                self._account.on("clear", self._again)
                self._since = self._select(strings.FILTER_TIME, strings.TIMES, 0)
            self._table = (
                ui.element("div").classes("tp-scroll").props(f'tabindex="0" role="region" aria-label="{strings.AUDIT}"')
            )
            with ui.element("div").classes("tp-line"):
                self._more = quiet(strings.OLDER, self._older, icon="expand_more")
                self._more.set_visibility(False)
        await self._desk.ready()
        await self._again()
        await self._verify()

    def _select(self, label: str, options: dict[Any, str], value: Any) -> ui.select:
        return ui.select(options, label=label, value=value, on_change=self._again).props(
            "dense filled options-dense stack-label"
        )

    async def _verify(self) -> None:
        services = self._desk.scoped.of_every_camera(Permission.AUDIT)
        try:
            last = await self._desk.ask(services.verification.fresh)
        except Unanswered as error:
            ui.notify(str(error), type="negative", position="top")
            return
        self._state.clear()
        with self._state:
            self._draw_state(last)

    def _draw_state(self, last: LastVerification) -> None:
        found = last.outcome
        if found.intact:
            ui.icon("verified", size="20px").classes("tp-good")
            ui.label(
                strings.AUDIT_INTACT.format(count=f"{found.checked:,}", time=self._desk.clock.time(last.at))
            ).classes("tp-quiet")
            return
        ui.icon("gpp_bad", size="20px").classes("tp-error")
        ui.label(strings.AUDIT_BROKEN.format(number=found.broken_at, reason=found.reason)).classes("tp-error")

    async def _again(self) -> None:
        self._before = None
        await self._older()

    async def _older(self) -> None:
        first = self._before is None
        minutes = int(self._since.value or 0)
        wanted = WantedEntries(
            event=self._event.value or None,
            account=(self._account.value or "").strip() or None,
            since=datetime.now(UTC) - timedelta(minutes=minutes) if minutes else None,
        )
        services, before = self._desk.scoped.of_every_camera(Permission.AUDIT), self._before
        try:
            items, cursor = await self._desk.ask(lambda: audit_page(services.audit, wanted, ENTRIES, before))
        except Unanswered as error:
            self._table.clear()
            with self._table:
                empty("cloud_off", str(error), bad=True)
            return
        if first:
            self._table.clear()
            with self._table:
                if not items and cursor is None:
                    empty("search_off", strings.AUDIT_NOTHING, strings.AUDIT_NOTHING_TEXT)
                with ui.element("table").classes("tp-table tp-audit") as table:
                    table.set_visibility(bool(items))
                    table_head(strings.AUDIT_COLUMNS, numbers=(0,))
                    self._rows = ui.element("tbody")
        with self._rows:
            for item in items:
                self._draw(item)
        self._before = cursor
        self._more.set_visibility(cursor is not None)

    def _draw(self, entry: dict[str, Any]) -> None:
        at = entry_moment(entry)
        event = str(entry["event"])
        who = str(entry["account"] or strings.AUDIT_NOBODY)
        if entry["token"]:
            who += f" ({strings.AUDIT_BY.format(token=entry['token'])})"
        with ui.element("tr").classes("tp-bad-row" if event == "broken" else ""):
            for text, classes in (
                (str(entry["seq"]), "tp-number"),
                (self._desk.clock.short(at) if at else "", "tp-nowrap"),
                (event, "tp-strong-cell"),
                (who, ""),
                (str(entry["address"] or ""), "tp-quiet"),
            ):
                ui.html(escape(text), sanitize=False, tag="td").classes(classes)
            with ui.element("td").classes("tp-details"):
                _draw_details(entry["details"])


def _draw_details(details: dict[str, Any]) -> None:
    """What is set of an entry's details: shortly, and as it is stored for who opens it."""
    short = ", ".join(f"{name} {_shortly(value)}" for name, value in details.items() if value not in _NOTHING)
    whole = json.dumps(details, indent=1, ensure_ascii=False)
    if len(whole) < SHORT and "\n  " not in whole:
        ui.html(escape(short), sanitize=False, tag="span")
        return
    with ui.element("details"):
        summary(short[:SHORT])
        ui.html(escape(whole), sanitize=False, tag="pre")


def _shortly(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list) and len(value) > 1:
        return strings.AUDIT_MANY.format(count=len(value))
    return json.dumps(value, ensure_ascii=False)
