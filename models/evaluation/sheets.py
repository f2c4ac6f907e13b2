"""Query and nearest gallery entries side by side, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from models.data.pictures import read_picture
from models.data.samples import Sample
from models.evaluation.plots import save_figure
from models.preprocessing import Image

__all__ = ["RankedQuery", "draw_sheet"]

_MATCH, _STRANGER, _QUERY = "#1a7f37", "#c62828", "#555555"
_TICK, _CROSS = "\N{CHECK MARK}", "\N{BALLOT X}"
_DPI = 110  # of all pixels below
_THUMBNAIL_PX = (112, 224)  # width, height: sheets compare people, not cameras
_CELL_PX = (126, 300)
_TITLE_PX = 36


@dataclass(frozen=True, slots=True)
class RankedQuery:
    """A query and what came first for it.

    Attributes:
        query: row of the samples.
        nearest: rows of the samples, best first.
        cosines: of the nearest, in their order.
        average_precision: of the whole ranking, 0 to 1.
    """

    query: int
    nearest: tuple[int, ...]
    cosines: tuple[float, ...]
    average_precision: float


def draw_sheet(path: Path, title: str, samples: Sequence[Sample], rankings: Sequence[RankedQuery]) -> None:
    """Write a PNG with one line for each query, best gallery entries from left to right.

    A match has a green, solid frame and a tick, a stranger a red, dashed frame and a cross: never colour alone.

    Raises:
        DataError: a picture cannot be read.
    """
    columns = 1 + max(len(one.nearest) for one in rankings)
    width, height = columns * _CELL_PX[0], len(rankings) * _CELL_PX[1] + _TITLE_PX
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    # One pair of axes in pixels: a pair for each picture would take seconds.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.text(width / 2, _TITLE_PX / 2, title, ha="center", va="center", fontsize=11, wrap=True)
    for line, ranking in enumerate(rankings):
        asked, top = samples[ranking.query], _TITLE_PX + line * _CELL_PX[1]
        caption = f"query {asked.identity}\n{_where(asked)}\nAP {100 * ranking.average_precision:.0f} %"
        _show(axes, (0, top), asked, caption, _QUERY, "-")
        for place, (row, cosine) in enumerate(zip(ranking.nearest, ranking.cosines, strict=True), 1):
            found = samples[row]
            match = found.identity == asked.identity
            mark, colour, style = (_TICK, _MATCH, "-") if match else (_CROSS, _STRANGER, "--")
            caption = f"{place}. {mark} {found.identity}\n{_where(found)}\ncos {cosine:.2f}"
            _show(axes, (place * _CELL_PX[0], top), found, caption, colour, style)
    save_figure(figure, path)


def _where(sample: Sample) -> str:
    return f"cam {sample.camera}, {sample.modality.value[:3]}"


def _show(axes: Axes, corner: tuple[int, int], sample: Sample, caption: str, colour: str, style: str) -> None:
    """A picture in its frame, the caption above it; `corner` is the cell's upper left one."""
    width, height = _THUMBNAIL_PX
    left, bottom = corner[0] + (_CELL_PX[0] - width) / 2, corner[1] + _CELL_PX[1] - 6
    top = bottom - height
    axes.text(left + width / 2, top - 6, caption, ha="center", va="bottom", fontsize=7.5, color=colour)
    picture = axes.imshow(_thumbnail(sample), extent=(left, left + width, bottom, top), aspect="auto")
    picture.set_clip_on(False)
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=3.5, linestyle=style))


def _thumbnail(sample: Sample) -> Image:
    """The picture in the middle of the sample, RGB."""
    picture = read_picture(sample.pictures[len(sample.pictures) // 2])
    small: Image = cv2.resize(picture, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA)
    return small[:, :, ::-1]
