"""The parts of the page that draw themselves in the browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from service.dashboard import strings

__all__ = ["LiveWall", "PhotoPicker", "SightingGrid", "ToolBar"]

Handler = Callable[[dict[str, Any]], Any]


def _argument(handler: Handler) -> Callable[[GenericEventArguments], Any]:
    """What came from the browser is checked by the handler; anything but a mapping is dropped here."""

    async def handle(event: GenericEventArguments) -> None:
        if isinstance(event.args, dict):
            result = handler(event.args)
            if result is not None:
                await result

    return handle


class LiveWall(Element, component="live_wall.js"):
    """Live pictures with clickable boxes; `on_person` gets camera_id, track_id, tracklet_id."""

    def __init__(self, *, socket_path: str, on_person: Handler) -> None:
        super().__init__()
        self._props["cameras"] = []
        self._props["socket_path"] = socket_path
        self._props["strings"] = {
            "people_in": strings.PEOPLE_IN,
            "search_person": strings.SEARCH_PERSON,
            "not_yet": strings.NOT_YET,
            "day": strings.DAY,
            "night": strings.NIGHT,
        }
        self.on("person", _argument(on_person))

    def show(self, cameras: list[dict[str, Any]]) -> None:
        """Replace the tiles; does nothing when nothing has changed."""
        if self._props["cameras"] != cameras:
            self._props["cameras"] = cameras
            self.update()


class PhotoPicker(Element, component="photo_picker.js"):
    """Takes a photo and lets the operator choose a person; `on_choose` gets photo_id, person, thumbnail."""

    def __init__(self, *, upload_path: str, max_bytes: int, on_choose: Handler) -> None:
        super().__init__()
        self._props["upload_path"] = upload_path
        self._props["max_bytes"] = max_bytes
        self._props["accept"] = "image/jpeg,image/png,image/webp,image/bmp,image/tiff"
        self._props["strings"] = strings.PHOTO
        self.on("choose", _argument(on_choose))


class SightingGrid(Element, component="sighting_grid.js"):
    """Sightings as cards; `on_open` and `on_search` get the id."""

    def __init__(self, items: list[dict[str, Any]], *, label: str, on_open: Handler, on_search: Handler) -> None:
        super().__init__()
        self._props["items"] = items
        self._props["label"] = label
        self._props["strings"] = {
            "day": strings.DAY,
            "night": strings.NIGHT,
            "in_view": strings.IN_VIEW,
            "search_this": strings.SEARCH_THIS,
            "similarity": strings.UNCALIBRATED,
            "cosine_title": strings.COSINE_TITLE,
        }
        self.on("open", _argument(on_open))
        self.on("search", _argument(on_search))


class ToolBar(Element, component="tool_bar.js"):
    """Light or dark, and the keyboard's map. `places`: where ``g`` and a key lead to."""

    def __init__(self, places: Mapping[str, str]) -> None:
        super().__init__()
        self._props["places"] = dict(places)
        self._props["strings"] = strings.tools(list(places))
