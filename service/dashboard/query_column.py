"""Who is looked for: the examples, what was thought of the matches so far, and where another example comes from."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from nicegui import ui

from service.dashboard import strings
from service.dashboard.asking import Asking
from service.dashboard.components import PhotoPicker
from service.dashboard.desk import Desk
from service.dashboard.elements import heading, plain
from service.dashboard.subject_dialog import SubjectDialog
from service.dashboard.wording import thumbnail
from service.gallery import TrackletRecord
from service.search import Example
from service.search_store import VerdictKind
from service.searches import SearchState
from service.security.access import Permission

__all__ = ["QueryColumn"]

# What the browser says it shows; it is only ever shown back to the same browser.
_THUMBNAIL = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/=]{1,200000}")
_SHELVES = (VerdictKind.CONFIRM, VerdictKind.REJECT)

Act = Callable[..., Awaitable[None]]


class QueryColumn:
    """Built in place, beside the results and as wide as one of them.

    Args:
        on_photo: gets the example that somebody has chosen in a photo.
        on_remove: gets the example that goes.
        on_undo: gets the id of a sighting whose verdict is taken back.
    """

    def __init__(
        self, desk: Desk, asking: Asking, *, on_photo: Act, on_remove: Act | None = None, on_undo: Act | None = None
    ) -> None:
        self._desk = desk
        self._asking = asking
        self._on_photo = on_photo
        self._on_remove = on_remove
        self._on_undo = on_undo
        self._subject = SubjectDialog(desk)
        with ui.element("aside").classes("tp-query").props(f'aria-label="{strings.LOOKING_FOR}"'):
            heading(strings.LOOKING_FOR, level=2)
            self._examples = ui.element("div").classes("tp-examples")
            if desk.may(Permission.PHOTOS):
                PhotoPicker(
                    upload_path="/api/v1/photos",
                    max_bytes=desk.scoped.settings.max_upload_bytes,
                    on_choose=self._chosen,
                )
            self._judged = ui.element("div").classes("tp-shelves").props('aria-live="polite"')

    def draw(self, state: SearchState, names: dict[str, str]) -> None:
        """Show the query of a search as it is now."""
        there = {record.id: record for record in state.examples}
        examples = [e for e in state.search.question.examples if e.tracklet_id is None or e.tracklet_id in there]
        self._examples.clear()
        self._examples.classes(
            add="tp-examples-many" if len(examples) > 1 else "", remove="" if len(examples) > 1 else "tp-examples-many"
        )
        with self._examples:
            for example in examples:
                self._example(example, there.get(example.tracklet_id or ""), names, removable=len(examples) > 1)
            if state.examples_gone:
                ui.label(strings.EXAMPLES_GONE.format(count=state.examples_gone)).classes("tp-note")
        self._judged.clear()
        with self._judged:
            for kind in _SHELVES:
                records = [record for record, verdict in state.judged if verdict.kind is kind]
                if records:
                    self._shelf(kind, records, names)
            confirmed = [record.id for record, verdict in state.judged if verdict.kind is VerdictKind.CONFIRM]
            if confirmed and self._desk.may(Permission.SUBJECTS):
                ids = [*there, *confirmed]
                plain(strings.KEEP_SUBJECT, lambda: self._subject.open(ids), icon="person_add")

    def _example(
        self, example: Example, record: TrackletRecord | None, names: dict[str, str], *, removable: bool
    ) -> None:
        picture = thumbnail(record) if record is not None else self._asking.photos.get(example)
        caption = self._caption(record, names) if record is not None else strings.PHOTO["title"]
        with ui.element("figure").classes("tp-example"):
            if picture is not None:
                image = ui.element("img")
                image.props["src"], image.props["alt"] = picture, caption
            else:
                with ui.element("div").classes("tp-no-picture"):
                    ui.icon("photo_camera", size="28px")
                    ui.label(strings.PHOTO_NOT_KEPT)
            ui.label(caption).classes("tp-caption")
            remove = self._on_remove
            if removable and remove is not None:
                ui.button(icon="close", color=None, on_click=lambda: remove(example)).props(
                    f'dense flat round size=sm aria-label="{strings.REMOVE_EXAMPLE}"'
                )

    def _shelf(self, kind: VerdictKind, records: list[TrackletRecord], names: dict[str, str]) -> None:
        with ui.element("section").classes(f"tp-shelf tp-shelf-{kind.value}"):
            heading(strings.SHELVES[kind.value].format(count=len(records)), level=3)
            with ui.element("div").classes("tp-shelf-row"):
                for record in reversed(records):
                    told = strings.UNDO.format(what=self._caption(record, names))
                    with ui.element("button").props("type=button").classes("tp-undo") as button:
                        image = ui.element("img")
                        image.props["src"], image.props["alt"] = thumbnail(record), ""
                        ui.icon("undo")
                    button.props["aria-label"] = button.props["title"] = told
                    if self._on_undo is not None:
                        button.on("click", partial(self._on_undo, record.id))

    def _caption(self, record: TrackletRecord, names: dict[str, str]) -> str:
        return f"{names.get(record.camera_id, record.camera_id)}, {self._desk.clock.short(record.started_at)}"

    async def _chosen(self, chosen: dict[str, Any]) -> None:
        photo_id, person, picture = chosen.get("photo_id"), chosen.get("person"), chosen.get("thumbnail")
        if not isinstance(photo_id, str) or not isinstance(person, int) or not isinstance(picture, str):
            return
        if len(photo_id) > 64 or not _THUMBNAIL.fullmatch(picture):
            return
        example = Example(photo_id=photo_id, person=person)
        self._asking.photos[example] = picture
        await self._on_photo(example)
