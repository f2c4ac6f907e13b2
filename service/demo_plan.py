"""The plan of the demo's world, drawn here, and where its cameras stand on it. No such place exists."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from pipeline.camera import CameraPosition
from service.plans import PlanMissing, PlanStore, encode_plan

__all__ = ["DEMO_PLAN", "declare_demo_plan", "demo_position"]

DEMO_PLAN: Final = "Demo site"
WIDTH_M, HEIGHT_M = 64, 44
# None is farther from another than both cameras overlook: the films begin again and again, so their people are on
# several cameras at once, and no way between two may be called impossible.
_PLACES: Final = {"day-1": (9, 32), "day-2": (22, 11), "night-1": (42, 20), "night-2": (44, 33), "dusk-1": (34, 17)}
_TREES: Final = ((2.5, 14), (2.5, 21), (2.5, 28), (8, 39), (17, 40), (27, 39), (36, 40.5))
_PX_PER_M = 40  # drawn twice as large as it is kept, which makes the edges smooth
_INK, _PALE, _GREEN, _ROAD, _WHITE = "#3c4650", "#d9dee2", "#c4d8c2", "#b4bac0", "#ffffff"

Box = tuple[float, float, float, float]  # metres: left, top, right, bottom


def demo_position(camera_id: str) -> CameraPosition | None:
    """Where a camera of the demo stands; None for one that is not of it."""
    place = _PLACES.get(camera_id)
    return CameraPosition(x_m=place[0], y_m=place[1], plan=DEMO_PLAN) if place is not None else None


def declare_demo_plan(plans: PlanStore) -> None:
    """Make the plan, where it is not there with a picture. Raises GalleryUnavailable and MediaError."""
    try:
        if plans.get(DEMO_PLAN).picture is not None:
            return
    except PlanMissing:
        plans.put(DEMO_PLAN, WIDTH_M, HEIGHT_M)
    plans.show(DEMO_PLAN, *encode_plan(_drawn(), max_pixels=WIDTH_M * HEIGHT_M * _PX_PER_M**2))


def _drawn() -> bytes:
    """A street, a plaza, a building with a corridor, a car park; as PNG."""
    picture = Pillow.new("RGB", (WIDTH_M * _PX_PER_M, HEIGHT_M * _PX_PER_M), _GREEN)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(1.5 * _PX_PER_M)

    def px(*metres: float) -> list[float]:
        return [value * _PX_PER_M for value in metres]

    def area(box: Box, colour: str, wall_m: float = 0.0) -> None:
        draw.rectangle(px(*box), fill=colour, outline=_INK if wall_m else None, width=round(wall_m * _PX_PER_M))

    def line(*metres: float, colour: str = _INK, width_m: float = 0.3) -> None:
        draw.line(px(*metres), fill=colour, width=round(width_m * _PX_PER_M))

    area((0, 1, WIDTH_M, 10), _PALE)
    area((0, 2.5, WIDTH_M, 8.5), _ROAD)
    for x in range(1, WIDTH_M, 5):
        line(x, 5.5, x + 2.5, 5.5, colour=_WHITE)
    area((5, 13, 37, 35), _PALE)
    for x in range(9, 37, 4):
        line(x, 13, x, 35, colour=_WHITE, width_m=0.12)
    for y in range(17, 35, 4):
        line(5, y, 37, y, colour=_WHITE, width_m=0.12)
    for radius, colour in ((3.2, _ROAD), (2.4, "#cfe3ee")):
        draw.ellipse(px(21 - radius, 24 - radius, 21 + radius, 24 + radius), fill=colour)
    area((40, 12, 61, 28), _WHITE, wall_m=0.5)
    for wall_y in (17.5, 22.5):
        line(40, wall_y, 61, wall_y)
    for x in (47, 54):
        line(x, 12, x, 17.5)
        line(x, 22.5, x, 28)
    line(40.25, 18.6, 40.25, 21.4, colour=_WHITE, width_m=0.6)  # the way in
    area((40, 31, 62, 43), _ROAD)
    for x in range(42, 62, 3):
        line(x, 37.5, x, 43, colour=_WHITE, width_m=0.2)
    for tree_x, tree_y in _TREES:
        draw.ellipse(px(tree_x - 1.6, tree_y - 1.6, tree_x + 1.6, tree_y + 1.6), fill="#9dbf9a")
    for at_x, at_y, text in ((50, 7, "Street"), (21, 31, "Plaza"), (51, 20, "Corridor"), (52, 34, "Car park")):
        draw.text((at_x * _PX_PER_M, at_y * _PX_PER_M), text, fill=_INK, font=font, anchor="mm")
    out = io.BytesIO()
    picture.resize((picture.width // 2, picture.height // 2), Pillow.Resampling.LANCZOS).save(out, "PNG")
    return out.getvalue()
