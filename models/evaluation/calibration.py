"""From cosines to probabilities: fitting Platt's curves for each pair of modalities, and checking them.

Of all pairs of sightings, those of one person are rare, and how rare depends on the gallery, which a checkpoint
cannot know. So pairs are weighted such that matches make up the share `prior` of the whole, one half unless told
otherwise: a probability means "same person or stranger, if nothing but these two vectors is known and both were
equally likely before". In a search among thousands the odds are those given here times the odds of a match before
looking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

from models.calibration import Calibration, LogisticCalibration
from models.evaluation.metrics import BoolArray, FloatArray
from models.evaluation.pairs import Pairs, pairs_of
from models.evaluation.reliability import Bin, expected_calibration_error, mean_gap, reliability
from models.types import Modality

__all__ = [
    "CurveCheck",
    "check_calibration",
    "expected_calibration_error",
    "fit_calibration",
    "fit_curve",
    "split_people",
]

_STEPS = 100
_TOLERANCE = 1e-10


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
    return LogisticCalibration(slope=float(slope / spread), intercept=float(intercept - slope * centre / spread))


def _sigmoid(z: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def _loss(x: FloatArray, targets: FloatArray, weights: FloatArray, slope: float, intercept: float) -> float:
    z = slope * x + intercept
    return float(weights @ (np.logaddexp(0.0, z) - targets * z))


@dataclass(frozen=True, slots=True)
class CurveCheck:
    """How one curve did on people it may not have seen.

    Attributes:
        bins: what was promised against what came true.
        error: expected calibration error, 0 to 1.
    """

    bins: tuple[Bin, ...]
    error: float


def split_people(identities: npt.ArrayLike) -> tuple[BoolArray, BoolArray]:
    """Rows ``bool[N]`` of every second person, and of the others: to fit on one half and to check on the other."""
    people, numbers = np.unique(np.asarray(identities), return_inverse=True)
    if len(people) < 4:
        raise ValueError(f"identities: expected at least four people to split, got {len(people)}")
    first: BoolArray = numbers % 2 == 0
    return first, ~first


def check_calibration(
    calibration: Calibration,
    features: npt.ArrayLike,
    identities: npt.ArrayLike,
    cameras: npt.ArrayLike,
    modalities: Sequence[Modality],
    *,
    generator: np.random.Generator,
    prior: float = 0.5,
) -> dict[str, CurveCheck]:
    """Measure every curve there is on pairs weighted as for fitting; arguments and errors as `fit_calibration`.

    Returns:
        ``"visible-infrared"`` and so on; without those that have no curve or no pairs to check it on.
    """
    found = {}
    for one, other in combinations_with_replacement(Modality, 2):
        curve = calibration.of(one, other)
        if curve is None:
            continue
        pairs = pairs_of(one, other, features, identities, cameras, modalities, generator=generator)
        if not pairs.same.any() or pairs.same.all():
            continue
        promised = _sigmoid(curve.slope * pairs.cosines + curve.intercept)
        bins = reliability(promised, pairs.same, weights=pairs.weights(prior))
        found[f"{one}-{other}"] = CurveCheck(bins, mean_gap(bins))
    return found
