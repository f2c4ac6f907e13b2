"""One sighting: its pictures, where and when, and what to do with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import run, ui
from redis.exceptions import RedisError

from service.api.scoped import Scoped
from service.dashboard import strings
from service.dashboard.wording import Clock
from service.gallery import GalleryUnavailable, TrackletRecord
from service.problems import ProblemError

__all__ = ["SightingDialog"]

Act = Callable[[str], Awaitable[None]]


class SightingDialog:
    """Opened over the page for any sighting."""

    def __init__(self, scoped: Scoped, *, on_search: Act, on_add: Act) -> None:
        self._scoped = scoped
        self._on_search = on_search
        self._on_add = on_add
        with ui.dialog().props(f'aria-label="{strings.SIGHTING}"') as self._dialog:
            self._body = ui.element("div").classes("tp-dialog")

    async def open(self, tracklet_id: str, clock: Clock) -> None:
        """Show a sighting, or say that it is gone."""
        try:
            record = await run.io_bound(self._scoped.tracklet, tracklet_id)
            names = await run.io_bound(self._scoped.camera_names)
        except ProblemError:
            ui.notify(strings.GONE, type="warning", position="top")
            return
        except (GalleryUnavailable, RedisError):
            ui.notify(strings.STORE_AWAY, type="negative", position="top")
            return
        if record is None:  # the process is ending
            return
        self._body.clear()
        with self._body:
            self._draw(record, (names or {}).get(record.camera_id, record.camera_id), clock)
        self._dialog.open()

    def _draw(self, record: TrackletRecord, camera: str, clock: Clock) -> None:
        with ui.element("div").classes("tp-line"):
            ui.label(camera).classes("tp-strong")
            day = record.modality.value == "visible"
            with ui.element("span").classes(f"tp-badge tp-{record.modality.value}"):
                ui.icon("light_mode" if day else "dark_mode")
                ui.label(strings.DAY if day else strings.NIGHT)
            ui.element("span").classes("tp-grow")
            ui.button(icon="close", on_click=self._dialog.close).props(f'flat round dense aria-label="{strings.CLOSE}"')
        with ui.element("div").classes("tp-strip").props('tabindex="0"'):
            for i, crop in enumerate(record.crops):
                picture = ui.element("img")
                picture.props["src"] = f"/api/v1/tracklets/{record.id}/crops/{i}"
                picture.props["alt"] = f"{camera}, {clock.short(crop.captured_at)}"
                picture.props["title"] = clock.short(crop.captured_at)
        facts = [
            (strings.SEEN, f"{clock.long(record.started_at)}, {_length(record)}"),
            (strings.FRAMES, str(record.frame_count)),
            (strings.QUALITY, f"{record.quality:.0%}"),
            (strings.TRACK, f"{record.track_id} · {record.id}"),
        ]
        with ui.element("div").classes("tp-facts"):
            for name, value in facts:
                ui.label(name).classes("tp-quiet")
                ui.label(value)
        with ui.element("div").classes("tp-line"):
            ui.button(
                strings.SEARCH_THIS, icon="person_search", on_click=lambda: self._act(self._on_search, record.id)
            ).props("no-caps unelevated text-color=black")
            ui.button(strings.ADD_EXAMPLE, icon="add", on_click=lambda: self._act(self._on_add, record.id)).props(
                "no-caps outline"
            )

    async def _act(self, act: Act, tracklet_id: str) -> None:
        self._dialog.close()
        await act(tracklet_id)


def _length(record: TrackletRecord) -> str:
    seconds = (record.ended_at - record.started_at).total_seconds()
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
