"""Pairs of sightings, which calibration learns from.

Only pairs from different cameras count: two pictures of one camera show the same minutes and are no search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.evaluation.metrics import BoolArray, FloatArray, IntArray
from models.evaluation.protocols import unit_rows
from models.types import Modality

__all__ = ["Pairs", "pairs_of"]

_MOST_SAMPLES = 2000  # of one modality: four million pairs at the most, some 300 MB while a curve is fitted


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
