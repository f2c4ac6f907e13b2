"""How far probabilities can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Bin", "expected_calibration_error", "mean_gap", "reliability"]


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs of like probability.

    Attributes:
        predicted: their mean probability.
        observed: the share that are matches.
        mass: their share of the whole weight.
        pairs: how many.
    """

    predicted: float
    observed: float
    mass: float
    pairs: int


def reliability(
    probabilities: npt.ArrayLike, outcomes: npt.ArrayLike, *, weights: npt.ArrayLike | None = None, bins: int = 15
) -> tuple[Bin, ...]:
    """What was promised against what came true, in bins of equal mass; equal probabilities share a bin.

    Args:
        probabilities: ``[N]``, 0 to 1.
        outcomes: ``bool[N]``.
        weights: ``[N]``, not negative; None for equal ones.
        bins: at most so many; fewer where probabilities repeat.

    Raises:
        ValueError: nothing given, shapes that do not fit, or values outside their range.
    """
    p, came = np.asarray(probabilities, np.float64), np.asarray(outcomes, bool)
    mass = np.ones(len(p)) if weights is None else np.asarray(weights, np.float64)
    if p.ndim != 1 or not (p.shape == came.shape == mass.shape) or not len(p):
        raise ValueError(
            f"expected one outcome and weight for each of at least one probability, got {list(p.shape)}, "
            f"{list(came.shape)}, {list(mass.shape)}"
        )
    if not (p.min() >= 0 and p.max() <= 1) or not (mass.min() >= 0 and 0 < mass.sum() < np.inf) or bins < 1:
        raise ValueError("expected probabilities from 0 to 1, weights that are not negative, and at least one bin")
    order = np.argsort(p, kind="stable")
    p, came, mass = p[order], came[order], mass[order] / mass.sum()
    begins = np.flatnonzero(np.diff(p, prepend=-1.0))  # of the runs of equal probabilities
    run_mass = np.add.reduceat(mass, begins)
    middle = np.cumsum(run_mass) - run_mass / 2
    number = np.minimum((middle * bins).astype(np.int64), bins - 1)
    edges = begins[np.flatnonzero(np.diff(number, prepend=-1))]
    found = []
    for begin, end in zip(edges, [*edges[1:], len(p)], strict=True):
        inside = slice(begin, end)
        weight = float(mass[inside].sum())
        if weight > 0:
            found.append(
                Bin(
                    predicted=float(mass[inside] @ p[inside]) / weight,
                    observed=float(mass[inside] @ came[inside]) / weight,
                    mass=weight,
                    pairs=int(end - begin),
                )
            )
    return tuple(found)


def expected_calibration_error(
    probabilities: npt.ArrayLike, outcomes: npt.ArrayLike, *, weights: npt.ArrayLike | None = None, bins: int = 15
) -> float:
    """Mean distance between promise and truth over the bins of `reliability`, weighted by mass; 0 is perfect."""
    return mean_gap(reliability(probabilities, outcomes, weights=weights, bins=bins))


def mean_gap(table: Sequence[Bin]) -> float:
    """The expected calibration error of a table that is at hand."""
    return sum(one.mass * abs(one.predicted - one.observed) for one in table)
