"""Query and nearest gallery entries side by side, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.data.pictures import read_picture
from models.data.samples import Sample
from models.evaluation.plots import save_figure
from models.preprocessing import Image

__all__ = ["RankedQuery", "draw_sheet"]

_MATCH, _STRANGER, _QUERY = "#1a7f37", "#c62828", "#555555"
_TICK, _CROSS = "\N{CHECK MARK}", "\N{BALLOT X}"
_COLUMN_IN, _LINE_IN, _CAPTION_IN, _TITLE_IN = 1.15, 2.75, 0.6, 0.3
_THUMBNAIL_PX = (96, 192)  # width, height: sheets compare people, not cameras


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
    height_in = _LINE_IN * len(rankings) + _TITLE_IN
    figure = Figure(figsize=(_COLUMN_IN * columns, height_in))
    figure.suptitle(title, y=1 - 0.1 / height_in, va="top")
    top = 1 - (_TITLE_IN + _CAPTION_IN) / height_in
    places = {"left": 0.01, "right": 0.99, "bottom": 0.1 / height_in, "top": top, "wspace": 0.06}
    grid = figure.subplots(
        len(rankings), columns, squeeze=False, gridspec_kw={**places, "hspace": _CAPTION_IN / (_LINE_IN - _CAPTION_IN)}
    )
    for line, ranking in zip(grid, rankings, strict=True):
        asked = samples[ranking.query]
        caption = f"AP {100 * ranking.average_precision:.0f} %"
        _show(line[0], asked, f"query {asked.identity}\n{_where(asked)}\n{caption}", _QUERY, "-")
        for place, axes in enumerate(line[1:]):
            if place >= len(ranking.nearest):
                axes.set_axis_off()
                continue
            found = samples[ranking.nearest[place]]
            match = found.identity == asked.identity
            mark, colour, style = (_TICK, _MATCH, "-") if match else (_CROSS, _STRANGER, "--")
            words = f"{place + 1}. {mark} {found.identity}\n{_where(found)}\ncos {ranking.cosines[place]:.2f}"
            _show(axes, found, words, colour, style)
    save_figure(figure, path)


def _where(sample: Sample) -> str:
    return f"cam {sample.camera}, {sample.modality.value[:3]}"


def _show(axes: Axes, sample: Sample, caption: str, colour: str, style: str) -> None:
    axes.imshow(_thumbnail(sample))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(caption, fontsize=7.5, color=colour)
    for side in axes.spines.values():
        side.set(edgecolor=colour, linewidth=3.5, linestyle=style)


def _thumbnail(sample: Sample) -> Image:
    """The picture in the middle of the sample, RGB."""
    picture = read_picture(sample.pictures[len(sample.pictures) // 2])
    small: Image = cv2.resize(picture, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA)
    return small[:, :, ::-1]
