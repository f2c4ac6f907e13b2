"""The parts of the page that draw themselves in the browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

from nicegui.element import Element
from nicegui.elements import leaflet
from nicegui.events import GenericEventArguments

from service.dashboard import strings

__all__ = [
    "CardGroup",
    "FloorMap",
    "FootageView",
    "GlobeMap",
    "LiveWall",
    "PhotoPicker",
    "PlanUpload",
    "RegionEditor",
    "SightingGrid",
    "TimelineChart",
    "ToolBar",
]


class CardGroup(TypedDict):
    """Some cards under one title, '' for none."""

    key: str
    title: str
    note: str
    items: list[dict[str, Any]]


Handler = Callable[[dict[str, Any]], Any]
Polygons = Sequence[Sequence[tuple[float, float]]]


def _argument(handler: Handler) -> Callable[[GenericEventArguments], Any]:
    """What came from the browser is checked by the handler; anything but a mapping is dropped here."""

    async def handle(event: GenericEventArguments) -> None:
        if isinstance(event.args, dict):
            result = handler(event.args)
            if result is not None:
                await result

    return handle


class FloorMap(Element, component="floor_map.js"):
    """A floor with its cameras, to scale; `on_place` and `on_take` get the id of a camera that was moved or taken off.

    Args:
        editable: cameras can be moved.
        listed: who is on it, and who might be, stands beside it.
        room: how high it may be, as CSS.
    """

    def __init__(
        self,
        *,
        editable: bool = False,
        listed: bool = False,
        room: str = "56vh",
        on_place: Handler | None = None,
        on_take: Handler | None = None,
    ) -> None:
        super().__init__()
        self._props["editable"] = editable
        self._props["listed"] = listed
        self._props["room"] = room
        self._props["strings"] = strings.FLOOR
        for name, handler in (("place", on_place), ("take", on_take)):
            if handler is not None:
                self.on(name, _argument(handler))

    def show(
        self,
        floor: Mapping[str, Any],
        cameras: Sequence[Mapping[str, Any]],
        *,
        ways: Sequence[Mapping[str, Any]] = (),
        unplaced: Sequence[Mapping[str, Any]] = (),
        answered: int = 0,
        error: str = "",
    ) -> None:
        """Replace what is seen; does nothing when nothing has changed.

        Args:
            floor: what `floor_of` makes.
            answered: number of the last move that is known to have been made, or not.
            error: why it was not.
        """
        shown = {
            "floor": dict(floor),
            "cameras": list(cameras),
            "ways": list(ways),
            "unplaced": list(unplaced),
            "answered": answered,
            "error": error,
        }
        if any(self._props.get(name) != value for name, value in shown.items()):
            for name, value in shown.items():
                self._props[name] = value
            self.update()


class GlobeMap(Element, component="globe_map.js"):
    """Cameras by their coordinates; pictures of the ground only where there is the address of a tile server.

    Args:
        cameras: id, name, seen, and latitude and longitude ``at``.
        ways: what `ways_between` makes.
        tiles: address with {z}, {x} and {y}.
        attribution: whose the tiles are.
    """

    def __init__(
        self,
        cameras: Sequence[Mapping[str, Any]],
        ways: Sequence[Mapping[str, Any]],
        *,
        tiles: str | None,
        attribution: str,
    ) -> None:
        super().__init__()
        self.add_resource(Path(leaflet.__file__).parent / "dist" / "leaflet")
        self._props["cameras"] = list(cameras)
        self._props["ways"] = list(ways)
        self._props["tiles"] = tiles or ""
        self._props["attribution"] = attribution
        self._props["strings"] = strings.GLOBE


class FootageView(Element, component="footage_view.js"):
    """A sighting's scene and clip; `footage` is what `footage_of` makes."""

    def __init__(self, footage: Mapping[str, Any]) -> None:
        super().__init__()
        for name, value in footage.items():
            self._props[name] = value
        self._props["strings"] = strings.FOOTAGE


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
            "full_screen": strings.FULL_SCREEN_OF,
            "first_picture": strings.FIRST_PICTURE,
        }
        self._props["every_s"] = 0
        self.on("person", _argument(on_person))

    def slow_down(self, every_s: float) -> None:
        """Take a picture of each camera at most so often; 0 for as often as there is one."""
        self._props["every_s"] = every_s
        self.update()

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


class PlanUpload(Element, component="plan_upload.js"):
    """Sends a picture for a floor plan; `on_sent` gets an error, '' where it worked."""

    def __init__(self, plan: str, max_bytes: int, *, on_sent: Handler) -> None:
        super().__init__()
        self._props["path"] = f"/api/v1/plans/{quote(plan, safe='')}/image"
        self._props["max_bytes"] = max_bytes
        self._props["strings"] = strings.PLAN_UPLOAD
        self.on("sent", _argument(on_sent))


class PasswordForm(Element, component="password_form.js"):
    """Changes one's own password by itself, and then leads to the login."""

    def __init__(self, account: str) -> None:
        super().__init__()
        self._props["account"] = account
        self._props["strings"] = strings.PASSWORD


class RegionEditor(Element, component="region_editor.js"):
    """Draws polygons, in fractions of a picture; `on_save` gets those to include and those to exclude."""

    def __init__(self, include: Polygons, exclude: Polygons, *, on_save: Handler) -> None:
        super().__init__()
        self._props["include"] = include
        self._props["exclude"] = exclude
        self._props["picture"] = ""
        self._props["error"] = ""
        self._props["strings"] = strings.REGIONS
        self.on("save", _argument(on_save))

    def show(self, jpeg: str) -> None:
        """Lay a picture, base64, under the regions."""
        self._props["picture"] = f"data:image/jpeg;base64,{jpeg}"
        self.update()

    def complain(self, text: str) -> None:
        """Say why it was not saved; '' for nothing."""
        self._props["error"] = text
        self.update()


class SightingGrid(Element, component="sighting_grid.js"):
    """Sightings as cards; `on_open` gets the id, `on_act` the name of an act and the id.

    Args:
        acts: of `strings.ACTS`, what one may do with a sighting here.
    """

    def __init__(self, *, label: str, acts: Sequence[str], on_open: Handler, on_act: Handler) -> None:
        super().__init__()
        self._props["groups"] = ()
        self._props["marked"] = []
        self._props["label"] = label
        self._props["acts"] = [{"name": name, **strings.ACTS[name]} for name in acts]
        self._props["strings"] = strings.CARDS
        self.on("open", _argument(on_open))
        self.on("act", _argument(on_act))

    def show(self, groups: list[CardGroup], marked: Sequence[str] = ()) -> None:
        """Replace the cards; does nothing when nothing has changed."""
        # NiceGUI watches every list and dict in a prop, a tuple it takes as it is.
        if self._props["groups"] != tuple(groups) or self._props["marked"] != list(marked):
            self._props["groups"] = tuple(groups)
            self._props["marked"] = list(marked)
            self.update()


class ToolBar(Element, component="tool_bar.js"):
    """Light or dark, and the keyboard's map. `places`: path and title of where ``g`` and a key lead to."""

    def __init__(self, places: Mapping[str, tuple[str, str]]) -> None:
        super().__init__()
        self._props["places"] = {key: path for key, (path, _) in places.items()}
        self._props["strings"] = strings.tools({key: title for key, (_, title) in places.items()})


class TimelineChart(Element, component="timeline_chart.js"):
    """A timeline that can be played; `chart` is what `chart_of` makes."""

    def __init__(self, chart: Mapping[str, Any]) -> None:
        super().__init__()
        for name, value in chart.items():
            self._props[name] = value
        self._props["strings"] = strings.CHART
