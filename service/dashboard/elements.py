"""The small parts that pages are made of, so that each looks alike everywhere."""

from __future__ import annotations

from asyncio import iscoroutine
from collections.abc import Awaitable, Callable, Sequence
from html import escape
from typing import Any

from nicegui import ui

from models.types import Modality
from service.dashboard import strings
from service.dashboard.wording import thumbnail
from service.gallery import TrackletRecord

__all__ = [
    "answer_of",
    "ask_first",
    "badge",
    "close_button",
    "empty",
    "facts",
    "heading",
    "link",
    "picture_of",
    "plain",
    "primary",
    "quiet",
    "summary",
    "table",
    "table_head",
]

Act = Callable[[], Any]


def heading(text: str, *, level: int = 1, classes: str = "") -> ui.html:
    """A heading that is one for screen readers too."""
    return ui.html(escape(text), sanitize=False, tag=f"h{level}").classes(classes)


def primary(text: str, act: Act | None = None, *, icon: str | None = None) -> ui.button:
    """The one thing to do here."""
    return _button(text, act, icon).props("no-caps unelevated dense").classes("tp-primary")


def plain(text: str, act: Act | None = None, *, icon: str | None = None) -> ui.button:
    """Another thing to do here."""
    return _button(text, act, icon).props("no-caps outline dense").classes("tp-plain")


def quiet(text: str, act: Act | None = None, *, icon: str | None = None) -> ui.button:
    """Something that seldom needs doing."""
    return _button(text, act, icon).props("flat no-caps dense").classes("tp-flat")


def _button(text: str, act: Act | None, icon: str | None) -> ui.button:
    """A press while the one before is still at work is none: two clicks open one dialog."""
    at_work = False

    async def press() -> None:
        nonlocal at_work
        if at_work or act is None:
            return
        at_work = True
        try:
            done = act()
            if iscoroutine(done):
                await done
        finally:
            at_work = False

    return ui.button(text, icon=icon, on_click=press if act is not None else None, color=None)


def close_button(act: Act) -> ui.button:
    return ui.button(icon="close", on_click=act, color=None).props(f'flat round dense aria-label="{strings.CLOSE}"')


def link(text: str, path: str, *, classes: str = "") -> ui.element:
    """To another page of the dashboard."""
    with ui.element("a").props(f'href="{path}"').classes(classes) as made:
        ui.html(escape(text), sanitize=False, tag="span")
    return made


def badge(modality: Modality) -> None:
    """Whether a picture was made by day or at night."""
    day = modality is Modality.VISIBLE
    with ui.element("span").classes(f"tp-badge tp-{modality.value}"):
        ui.icon("light_mode" if day else "dark_mode")
        ui.label(strings.DAY if day else strings.NIGHT)


def picture_of(record: TrackletRecord | None, alt: str = "") -> None:
    """A sighting's small picture, or what stands for one that is gone."""
    if record is None:
        with ui.element("span").classes("tp-no-picture"):
            ui.icon("person")
        return
    image = ui.element("img")
    image.props["src"], image.props["alt"] = thumbnail(record), alt


def empty(icon: str, title: str, text: str = "", *, bad: bool = False) -> ui.element:
    """What stands where there is nothing to show."""
    with ui.element("div").classes("tp-empty" + (" tp-error" if bad else "")) as box:
        ui.icon(icon, size="32px")
        ui.label(title).classes("tp-strong")
        if text:
            ui.label(text)
    return box


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values below each other."""
    with ui.element("dl").classes("tp-facts"):
        for name, value in pairs:
            ui.html(escape(name), sanitize=False, tag="dt")
            ui.html(escape(value), sanitize=False, tag="dd")


def summary(text: str) -> None:
    """What stands for a ``details`` while it is closed."""
    ui.html(escape(text), sanitize=False, tag="summary")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, label: str, numbers: Sequence[int] = ()) -> None:
    """Rows of texts; the columns in `numbers` stand to the right."""
    with ui.element("div").classes("tp-scroll").props("tabindex=0 role=region") as box:
        box.props["aria-label"] = label
        with ui.element("table").classes("tp-table"):
            table_head(columns, numbers)
            with ui.element("tbody"):
                for row in rows:
                    with ui.element("tr"):
                        for place, text in enumerate(row):
                            cell = ui.html(escape(text), sanitize=False, tag="td")
                            cell.classes("tp-number" if place in numbers else "")


def table_head(columns: Sequence[str], numbers: Sequence[int] = ()) -> None:
    """The first row of a table."""
    with ui.element("thead"), ui.element("tr"):
        for place, text in enumerate(columns):
            cell = ui.html(escape(text), sanitize=False, tag="th").props("scope=col")
            cell.classes("tp-number" if place in numbers else "")


async def answer_of(dialog: ui.dialog) -> Any:
    """What a dialog is closed with, after which it is gone; None when its page has gone before."""
    given = await dialog
    if dialog.is_deleted or dialog.client.is_deleted:
        return None
    dialog.delete()
    return given


async def ask_first(question: str, act: Callable[[], Awaitable[None]], *, verb: str = strings.REMOVE) -> None:
    """Do something that cannot be taken back, if somebody says so."""
    with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
        ui.label(question)
        with ui.element("div").classes("tp-line"):
            primary(verb, lambda: dialog.submit(True)).classes("tp-bad")
            quiet(strings.CANCEL, lambda: dialog.submit(False))
    sure = await answer_of(dialog)
    if sure:
        await act()
