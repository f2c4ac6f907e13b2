"""The curves of a report as PNG. Matplotlib's object interface only: no global state, no display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models.evaluation.calibration import CurveCheck
from models.evaluation.metrics import RetrievalResult

__all__ = ["plot_cmc", "plot_reliability", "save_figure"]

_LAST_RANK = 50
_MARKERS = ("o", "s", "^")


def save_figure(figure: Figure, path: Path) -> None:
    """Render with Agg and write a PNG."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110, format="png", pil_kwargs={"compress_level": 3})


def plot_cmc(path: Path, title: str, results: Sequence[RetrievalResult]) -> None:
    """The mean curve over the trials, with the band between the lowest and the highest of them."""
    mean = RetrievalResult.mean(results)
    length = min(len(mean.cmc), _LAST_RANK)
    ranks = np.arange(1, length + 1)
    curves = 100 * np.array([np.pad(one.cmc, (0, len(mean.cmc) - len(one.cmc)), mode="edge") for one in results])
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    if len(results) > 1:
        low, high = curves.min(axis=0)[:length], curves.max(axis=0)[:length]
        axes.fill_between(ranks, low, high, alpha=0.25, color="tab:blue", label=f"range of {len(results)} trials")
    axes.plot(ranks, 100 * mean.cmc[:length], color="tab:blue", marker="o", markersize=3, label="mean")
    axes.set(xlabel="rank k", ylabel="queries with a match among the first k, %", ylim=(0, 102))
    axes.set_title(title, fontsize=10, wrap=True)
    axes.set_xlim(0.5, length + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    summary = "\n".join([*(f"R{k} {100 * share:.2f}" for k, share in mean.rank.items()), f"mAP {100 * mean.map:.2f}"])
    axes.text(0.985, 0.42, summary, transform=axes.transAxes, ha="right", va="center", family="monospace")
    save_figure(figure, path)


def plot_reliability(path: Path, title: str, checks: Mapping[str, CurveCheck]) -> None:
    """What was promised against what came true; one line for each pair of lights."""
    figure = Figure(figsize=(5.5, 5.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot((0, 1), (0, 1), color="0.6", linestyle="--", label="promise kept")
    for marker, (name, check) in zip(_MARKERS, checks.items(), strict=False):
        axes.plot(
            [one.predicted for one in check.bins],
            [one.observed for one in check.bins],
            marker=marker,
            label=f"{name}, ECE {check.error:.3f}",
        )
    axes.set(xlabel="probability promised", ylabel="share that were matches", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(title, fontsize=10, wrap=True)
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    save_figure(figure, path)
