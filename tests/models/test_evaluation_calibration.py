"""Probabilities: curves that come true on other people, and errors that are found when they do not."""

import numpy as np
import pytest

from models.calibration import LogisticCalibration
from models.evaluation.calibration import check_calibration, fit_calibration, fit_curve
from models.evaluation.pairs import Pairs, pairs_of
from models.evaluation.reliability import expected_calibration_error, reliability
from models.types import Modality

V, I = Modality.VISIBLE, Modality.INFRARED  # noqa: E741 - the field's letters


def sightings(seed: int, people: int = 60, each: int = 3, noise: float = 0.35) -> tuple[np.ndarray, ...]:
    """Everyone in four cameras, two of each light; infrared vectors are noisier."""
    rng = np.random.default_rng(seed)
    identities = np.repeat(np.arange(people), 4 * each)
    cameras = np.tile(np.repeat(np.arange(1, 5), each), people)
    lights = [V if camera <= 2 else I for camera in cameras]
    spread = np.where(cameras <= 2, noise, 2 * noise)[:, None]
    features = rng.normal(size=(people, 16))[identities] + spread * rng.normal(size=(len(identities), 16))
    return features, identities, cameras, lights


def drawn_pairs(slope: float, intercept: float, prior: float, count: int = 200_000) -> Pairs:
    """Pairs whose matches are drawn from a known curve, at their natural share `prior`."""
    rng = np.random.default_rng(1)
    cosines = rng.uniform(-1, 1, count)
    same = rng.random(count) < LogisticCalibrationArray(slope, intercept)(cosines)
    assert same.mean() == pytest.approx(prior, abs=0.01)
    return Pairs(cosines, same)


class LogisticCalibrationArray:
    def __init__(self, slope: float, intercept: float) -> None:
        self.curve = LogisticCalibration(slope, intercept)

    def __call__(self, cosines: np.ndarray) -> np.ndarray:
        return np.array([self.curve.probability(float(cosine)) for cosine in cosines])


def test_fit_finds_the_curve_that_made_the_pairs() -> None:
    curve = fit_curve(drawn_pairs(6.0, 0.0, prior=0.5), prior=0.5)
    assert curve.slope == pytest.approx(6.0, rel=0.03)
    assert curve.intercept == pytest.approx(0.0, abs=0.05)


def test_fit_equals_a_general_minimiser() -> None:
    from scipy.optimize import minimize

    features, identities, cameras, lights = sightings(0)
    pairs = pairs_of(V, I, features, identities, cameras, lights, generator=np.random.default_rng(0))
    matches, strangers = pairs.same.sum(), (~pairs.same).sum()
    targets = np.where(pairs.same, (matches + 1) / (matches + 2), 1 / (strangers + 2))
    weights = np.where(pairs.same, 0.2 / matches, 0.8 / strangers)

    def loss(ab: np.ndarray) -> float:
        z = ab[0] * pairs.cosines + ab[1]
        return float(np.sum(weights * (np.logaddexp(0, z) - targets * z)))

    expected = minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-9}).x
    curve = fit_curve(pairs, prior=0.2)
    assert (curve.slope, curve.intercept) == pytest.approx(tuple(expected), rel=1e-3)


def test_prior_moves_the_odds_and_not_the_slope() -> None:
    rare = fit_curve(drawn_pairs(6.0, -6.0, prior=0.058), prior=0.058)
    even = fit_curve(drawn_pairs(6.0, -6.0, prior=0.058), prior=0.5)
    assert even.slope == pytest.approx(rare.slope, rel=0.05)
    assert even.intercept - rare.intercept == pytest.approx(np.log(0.942 / 0.058), abs=0.15)


def test_curves_come_true_on_people_they_were_not_fitted_on() -> None:
    calibration = fit_calibration(*sightings(1), generator=np.random.default_rng(0))
    others = sightings(2)
    checks = check_calibration(calibration, *others, generator=np.random.default_rng(0))
    assert set(checks) == {"visible-visible", "infrared-infrared", "visible-infrared"}
    for check in checks.values():
        assert check.error < 0.05
        assert sum(one.mass for one in check.bins) == pytest.approx(1)
    # A raw cosine taken for a probability is far off.
    pairs = pairs_of(V, I, *others, generator=np.random.default_rng(0))
    raw = np.clip(pairs.cosines, 0, 1)
    assert expected_calibration_error(raw, pairs.same, weights=pairs.weights(0.5)) > 0.1
    assert calibration.visible_visible.slope > calibration.infrared_infrared.slope > 0  # type: ignore[union-attr]


def test_pairs_are_of_different_cameras_and_counted_once() -> None:
    features, identities, cameras, lights = sightings(0, people=3, each=2)
    within = pairs_of(V, V, features, identities, cameras, lights, generator=np.random.default_rng(0))
    across = pairs_of(V, I, features, identities, cameras, lights, generator=np.random.default_rng(0))
    assert len(within.same) == 6 * 6  # camera 1 against camera 2
    assert within.same.sum() == 3 * 2 * 2
    assert len(across.same) == 12 * 12
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = [
        (unit[i] @ unit[j], identities[i] == identities[j])
        for i in range(len(unit))
        for j in range(i + 1, len(unit))
        if lights[i] is V is lights[j] and cameras[i] != cameras[j]
    ]
    assert sorted(zip(within.cosines.round(9), within.same, strict=True)) == sorted(
        (round(float(cosine), 9), same) for cosine, same in expected
    )


def test_large_sets_are_thinned_by_whole_people() -> None:
    features, identities, cameras, lights = sightings(0, people=40, each=5)
    pairs = pairs_of(V, I, features, identities, cameras, lights, generator=np.random.default_rng(3), most_samples=105)
    assert len(pairs.same) == 100 * 100  # ten people, ten sightings each light
    assert pairs.same.sum() == 10 * 10 * 10


def test_what_cannot_be_fitted_is_none() -> None:
    features, identities, cameras, lights = sightings(0, people=5)
    one_camera_a_light = np.where(cameras <= 2, 1, 2)
    regdb = fit_calibration(features, identities, one_camera_a_light, lights, generator=np.random.default_rng(0))
    assert (regdb.visible_visible, regdb.infrared_infrared) == (None, None)
    assert regdb.visible_infrared is not None
    nobody_twice = fit_calibration(
        features, np.arange(len(features)), cameras, lights, generator=np.random.default_rng(0)
    )
    assert set(nobody_twice.to_dict().values()) == {None}
    alike = fit_calibration(np.ones_like(features), identities, cameras, lights, generator=np.random.default_rng(0))
    assert set(alike.to_dict().values()) == {None}


def test_separated_cosines_give_a_finite_curve() -> None:
    same = np.arange(100) < 5
    curve = fit_curve(Pairs(np.where(same, 0.9, 0.1), same))
    assert np.isfinite([curve.slope, curve.intercept]).all()
    assert curve.probability(0.9) > 0.8
    assert curve.probability(0.1) < 0.05


def test_mistakes_name_what_was_expected() -> None:
    cosines = np.array([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="pairs of one person and of two, got 3 and 0"):
        fit_curve(Pairs(cosines, np.ones(3, bool)))
    with pytest.raises(ValueError, match="higher cosines between pictures of one person"):
        fit_curve(Pairs(cosines, np.array([True, False, False])))
    with pytest.raises(ValueError, match="cosines that differ"):
        fit_curve(Pairs(np.ones(3), np.array([True, False, False])))
    with pytest.raises(ValueError, match="prior: expected between 0 and 1, got 1"):
        fit_curve(Pairs(cosines, np.array([True, False, False])), prior=1)
    features, identities, cameras, lights = sightings(0, people=2)
    with pytest.raises(ValueError, match="as many identities, cameras and modalities as the 24 features"):
        fit_calibration(features, identities[:3], cameras, lights, generator=np.random.default_rng(0))


def test_bins_hold_equal_mass_and_the_error_is_their_mean_distance() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(3000)
    came = rng.random(3000) < p**2
    weights = rng.random(3000)
    table = reliability(p, came, weights=weights, bins=10)
    assert len(table) == 10
    assert [one.mass for one in table] == pytest.approx([0.1] * 10, abs=2e-3)
    assert sum(one.pairs for one in table) == 3000
    order = np.argsort(p)
    expected = 0.0
    for number in range(10):
        share = np.cumsum(weights[order]) / weights.sum()
        inside = order[((share - weights[order] / weights.sum() / 2) * 10).astype(int) == number]
        gap = np.average(p[inside], weights=weights[inside]) - np.average(came[inside], weights=weights[inside])
        expected += weights[inside].sum() / weights.sum() * abs(gap)
    assert expected_calibration_error(p, came, weights=weights, bins=10) == pytest.approx(expected, abs=1e-9)


def test_error_of_known_promises() -> None:
    assert expected_calibration_error([0.5] * 10, [True] * 5 + [False] * 5) == pytest.approx(0)
    assert expected_calibration_error([1.0] * 4, [False] * 4) == pytest.approx(1)
    assert len(reliability([0.2, 0.2, 0.2, 0.7], [0, 0, 1, 1])) == 2
    with pytest.raises(ValueError, match="at least one probability"):
        reliability([], [])
    with pytest.raises(ValueError, match="probabilities from 0 to 1"):
        reliability([1.5], [True])
