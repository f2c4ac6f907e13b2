"""From a cosine to the probability that two sightings show the same person, for each pair of modalities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from models.types import Modality

__all__ = ["Calibration", "LogisticCalibration"]


@dataclass(frozen=True, slots=True)
class LogisticCalibration:
    """``p = 1 / (1 + exp(-(slope * cosine + intercept)))`` (Platt scaling)."""

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise ValueError(f"expected a positive slope and finite values, got {self.slope}, {self.intercept}")

    def probability(self, cosine: float) -> float:
        """0 to 1; rises with the cosine."""
        return 0.5 * (1.0 + math.tanh(0.5 * self.log_odds(cosine)))

    def log_odds(self, cosine: float) -> float:
        """The same unbounded, to order by: probabilities near 1 are equal long before cosines are."""
        return self.slope * cosine + self.intercept


@dataclass(frozen=True, slots=True)
class Calibration:
    """One fitted curve for each pair of modalities; None where nothing was fitted."""

    visible_visible: LogisticCalibration | None = None
    infrared_infrared: LogisticCalibration | None = None
    visible_infrared: LogisticCalibration | None = None

    def of(self, one: Modality, other: Modality) -> LogisticCalibration | None:
        if one is not other:
            return self.visible_infrared
        return self.visible_visible if one is Modality.VISIBLE else self.infrared_infrared

    def to_dict(self) -> dict[str, dict[str, float] | None]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, float] | None]) -> Calibration:
        return cls(**{pair: None if curve is None else LogisticCalibration(**curve) for pair, curve in values.items()})
