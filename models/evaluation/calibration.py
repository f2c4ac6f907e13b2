"""From cosines to probabilities: fitting Platt's curves, and measuring how far probabilities can be believed.

Of all pairs of sightings, those of one person are rare, and how rare depends on the gallery, which a checkpoint
cannot know. So pairs are weighted such that matches make up the share `prior` of the whole, one half unless told
otherwise: a probability means "same person or stranger, if nothing but these two vectors is known and both were
equally likely before". In a search among thousands the best strangers are chosen among thousands; the odds there
are those given here times the odds of a match before looking.

Only pairs from different cameras count: two pictures of one camera show the same minutes and are no search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

from models.calibration import Calibration, LogisticCalibration
from models.evaluation.metrics import BoolArray, FloatArray, IntArray
from models.evaluation.protocols import unit_rows
from models.types import Modality

__all__ = [
    "Bin",
    "Pairs",
    "expected_calibration_error",
    "fit_calibration",
    "fit_curve",
    "pairs_of",
    "reliability",
]

_MOST_SAMPLES = 2000  # of one modality: four million pairs at the most, some 300 MB while a curve is fitted
_STEPS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of sightings of two kinds of light.

    Attributes:
        cosines: ``float64[N]``.
        same: ``bool[N]``, both show one person.
    """

    cosines: FloatArray
    same: BoolArray

    def weights(self, prior: float) -> FloatArray:
        """``float64[N]`` with sum 1, `prior` of it on matches. ValueError without matches or without strangers."""
        if not 0 < prior < 1:
            raise ValueError(f"prior: expected between 0 and 1, got {prior}")
        matches = int(self.same.sum())
        strangers = len(self.same) - matches
        if not (matches and strangers):
            raise ValueError(f"expected pairs of one person and of two, got {matches} and {strangers}")
        return np.where(self.same, prior / matches, (1 - prior) / strangers)


def pairs_of(
    one: Modality,
    other: Modality,
    features: npt.ArrayLike,
    identities: npt.ArrayLike,
    cameras: npt.ArrayLike,
    modalities: Sequence[Modality],
    *,
    generator: np.random.Generator,
    most_samples: int = _MOST_SAMPLES,
) -> Pairs:
    """All pairs of a sighting in `one` light and a sighting in the `other` by different cameras.

    Args:
        features: ``[N, D]``.
        identities, cameras: ``int[N]``.
        generator: draws whole people, with all they have, where a light has more than `most_samples`.
    """
    vectors = unit_rows(features, "features")
    people, places = np.asarray(identities), np.asarray(cameras)
    lights = np.array([modality.value for modality in modalities])
    if not len(vectors) == len(people) == len(places) == len(lights):
        raise ValueError(
            f"expected as many identities, cameras and modalities as the {len(vectors)} features, "
            f"got {len(people)}, {len(places)}, {len(lights)}"
        )
    rows = {light: np.flatnonzero(lights == light.value) for light in {one, other}}
    chosen = _some_people([people[found] for found in rows.values()], most_samples, generator)
    kept = {light: found[np.isin(people[found], chosen)] for light, found in rows.items()}
    first, second = kept[one], kept[other]
    counted = places[first][:, None] != places[second]
    if one is other:
        counted &= first[:, None] < second
    same = people[first][:, None] == people[second]
    return Pairs((vectors[first] @ vectors[second].T)[counted], same[counted])


def _some_people(lights: Sequence[IntArray], most: int, generator: np.random.Generator) -> IntArray:
    """Identities, as many as keep each light at or below `most` samples; at least two."""
    drawn: IntArray = generator.permutation(np.unique(np.concatenate(lights)))
    counts = [np.cumsum([np.count_nonzero(light == person) for person in drawn]) for light in lights]
    fit = min(int(np.searchsorted(count, most, side="right")) for count in counts)
    return drawn[: max(fit, 2)]


def fit_calibration(
    features: npt.ArrayLike,
    identities: npt.ArrayLike,
    cameras: npt.ArrayLike,
    modalities: Sequence[Modality],
    *,
    generator: np.random.Generator,
    prior: float = 0.5,
) -> Calibration:
    """A curve for each pair of modalities. Fit on people that training never saw, or it promises too much.

    Arguments as `pairs_of`. A pair of modalities gets None where pairs of one person or of two are missing (RegDB has
    one camera a light), and where cosines of one person are not the higher ones, so that no rising curve is true.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, a prior that is not between 0 and 1.
    """
    curves: dict[str, LogisticCalibration | None] = {}
    for one, other in combinations_with_replacement(Modality, 2):
        pairs = pairs_of(one, other, features, identities, cameras, modalities, generator=generator)
        curves[f"{one}_{other}"] = (
            fit_curve(pairs, prior) if pairs.same.any() and not pairs.same.all() and _rises(pairs) else None
        )
    return Calibration(**curves)


def _rises(pairs: Pairs) -> bool:
    return bool(pairs.cosines[pairs.same].mean() > pairs.cosines[~pairs.same].mean() + _TOLERANCE)


def fit_curve(pairs: Pairs, prior: float = 0.5) -> LogisticCalibration:
    """Platt's curve by Newton's method (Lin, Lin and Weng, Machine Learning 2007), matches weighing `prior`.

    Platt's targets, (N+ + 1) / (N+ + 2) and 1 / (N- + 2) instead of 1 and 0, keep the slope finite where the
    cosines separate matches from strangers.

    Raises:
        ValueError: matches or strangers are missing, or the curve that fits best does not rise.
    """
    weights = pairs.weights(prior)
    matches = np.count_nonzero(pairs.same)
    strangers = len(pairs.same) - matches
    targets = np.where(pairs.same, (matches + 1) / (matches + 2), 1 / (strangers + 2))
    centre = float(weights @ pairs.cosines)
    spread = float(np.sqrt(weights @ (pairs.cosines - centre) ** 2))
    if spread < _TOLERANCE:
        raise ValueError("expected cosines that differ, got one value for all pairs")
    x = (pairs.cosines - centre) / spread
    slope, intercept = 0.0, float(np.log(prior / (1 - prior)))
    loss = _loss(x, targets, weights, slope, intercept)
    for _ in range(_STEPS):
        p = _sigmoid(slope * x + intercept)
        error, curvature = weights * (p - targets), weights * p * (1 - p)
        gradient = np.array([error @ x, error.sum()])
        hessian = np.array([[curvature @ x**2, curvature @ x], [curvature @ x, curvature.sum()]])
        step = np.linalg.solve(hessian + 1e-12 * np.eye(2), gradient)
        share = 1.0
        while (
            share > _TOLERANCE
            and _loss(x, targets, weights, slope - share * step[0], intercept - share * step[1]) > loss
        ):
            share /= 2
        slope, intercept = slope - share * step[0], intercept - share * step[1]
        before, loss = loss, _loss(x, targets, weights, slope, intercept)
        if before - loss < _TOLERANCE * loss:
            break
    if slope <= 0:
        raise ValueError(f"expected higher cosines between pictures of one person, got a slope of {slope / spread:.3g}")
    return LogisticCalibration(slope=slope / spread, intercept=intercept - slope * centre / spread)


def _sigmoid(z: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def _loss(x: FloatArray, targets: FloatArray, weights: FloatArray, slope: float, intercept: float) -> float:
    z = slope * x + intercept
    return float(weights @ (np.logaddexp(0.0, z) - targets * z))


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
    table = reliability(probabilities, outcomes, weights=weights, bins=bins)
    return sum(one.mass * abs(one.predicted - one.observed) for one in table)
