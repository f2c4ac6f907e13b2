"""All examples of the watchlist as one matrix, against which tracklets are held as they arrive."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.calibration import Calibration
from models.types import Modality
from pipeline.types import FloatArray
from service.alerts.entries import LEAST_LENGTH, WatchEntry

__all__ = ["Hit", "WatchMatrix"]

_LIGHTS = (Modality.VISIBLE, Modality.INFRARED)


@dataclass(frozen=True, slots=True)
class Hit:
    """One example of an entry that a tracklet is likely enough to show."""

    entry_id: str
    example: int
    cosine: float
    probability: float


class WatchMatrix:
    """The entries of one calibrated model.

    The least cosine that reaches an entry's probability is computed once for each example and light, so that
    matching is one product and one comparison.
    """

    def __init__(self, entries: Iterable[WatchEntry], calibration: Calibration) -> None:
        places: list[tuple[str, int]] = []
        rows: list[FloatArray] = []
        least: list[tuple[float, float]] = []
        self._lights: list[Modality] = []
        for entry in entries:
            wanted = math.log(entry.threshold / (1.0 - entry.threshold))
            rows.append(entry.vectors.astype(np.float32))
            for i, example in enumerate(entry.examples):
                places.append((entry.id, i))
                self._lights.append(example.modality)
                least.append(_least_cosines(example.modality, wanted, calibration))
        self._calibration = calibration
        self._places = places
        self._rows = _unit(np.concatenate(rows)) if rows else np.zeros((0, 0), np.float32)
        self._least = np.array(least, np.float32).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self._places)

    def hits(self, vectors: FloatArray, lights: Sequence[Modality]) -> list[list[Hit]]:
        """For each tracklet the examples it reaches, the most probable first.

        Args:
            vectors: ``float32[N, D]``, of any length but zero.

        Raises:
            ValueError: another dimension, or a vector that is no direction.
        """
        if not self._places or not len(vectors):
            return [[] for _ in lights]
        if vectors.shape != (len(lights), self._rows.shape[1]):
            raise ValueError(f"vectors: expected shape ({len(lights)}, {self._rows.shape[1]}), got {vectors.shape}")
        cosines = _unit(vectors) @ self._rows.T
        reached = cosines >= self._least[:, [_LIGHTS.index(light) for light in lights]].T
        return [
            sorted(
                (self._hit(int(place), float(cosines[row, place]), light) for place in np.flatnonzero(reached[row])),
                key=lambda hit: -hit.probability,
            )
            for row, light in enumerate(lights)
        ]

    def _hit(self, place: int, cosine: float, light: Modality) -> Hit:
        curve = self._calibration.of(self._lights[place], light)
        assert curve is not None  # noqa: S101  otherwise no cosine would have been enough
        entry_id, example = self._places[place]
        return Hit(entry_id, example, min(1.0, max(-1.0, cosine)), curve.probability(cosine))


def _least_cosines(example: Modality, wanted: float, calibration: Calibration) -> tuple[float, float]:
    """The cosine with a visible and with an infrared tracklet from which on the log-odds are at least `wanted`."""
    visible, infrared = (
        (wanted - curve.intercept) / curve.slope if (curve := calibration.of(example, light)) else math.inf
        for light in _LIGHTS
    )
    return visible, infrared


def _unit(rows: FloatArray) -> FloatArray:
    """``float32[N, D]`` with rows of length 1. Raises ValueError for a row that is no direction."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths < LEAST_LENGTH).any():
        raise ValueError("vectors: expected finite numbers that are not all zero")
    return np.asarray(rows / lengths, np.float32)
