"""What a run is chosen by, and what its checkpoint promises: all from people held out of training, never the test part.

Every validation sample of one light asks among all of the other light, both ways, by the data set's own rule of what
a query may not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import structlog
from torch import nn

from models.calibration import Calibration
from models.data.samples import Sample
from models.evaluation import evaluate
from models.evaluation.calibration import fit_calibration
from models.training.embed import Progress, embed_samples
from models.training.errors import TrainingError
from models.types import Modality

__all__ = ["Promises", "Validation", "check_validation_part", "fit_promises", "validate"]

log = structlog.get_logger(__name__)

_MOST_TRACKED = 4000  # samples of one light that the tracker's distance is fitted on
_USELESS = 0.8  # of two shares; 1 is what a coin reaches
_SEED = 20


@dataclass(frozen=True, eq=False)
class Validation:
    """Attributes:
    figures: ``rank1_visible_to_infrared``, ``map_visible_to_infrared`` and the same the other way, fractions.
    features: ``float32[len(samples), D]``.
    """

    figures: dict[str, float]
    features: npt.NDArray[np.float32] = field(repr=False)

    @property
    def figure(self) -> float:
        """What epochs are chosen by: the mean of both directions' mAP."""
        return (self.figures["map_visible_to_infrared"] + self.figures["map_infrared_to_visible"]) / 2


@dataclass(frozen=True)
class Promises:
    """What a checkpoint says about its cosines, see `models.checkpoint.Checkpoint`; None where it could not be told."""

    calibration: Calibration
    association_distance: float | None


def check_validation_part(samples: Sequence[Sample], protocol: str) -> None:
    """Find out before the first epoch, not after it. TrainingError if no query would have a match."""
    noise = np.random.default_rng(_SEED).normal(size=(len(samples), 2)).astype(np.float32)
    try:
        _judge(protocol, samples, noise)
    except ValueError as error:
        raise TrainingError(
            f"the validation part cannot be judged ({error}); change [data] options, or train without it "
            f'(data.options.validation = "none")'
        ) from error


def validate(
    network: nn.Module,
    samples: Sequence[Sample],
    protocol: str,
    *,
    frames: int | None = None,
    batch_size: int = 64,
    workers: int = 0,
    progress: Progress | None = None,
) -> Validation:
    """Embed the validation part and judge it both ways."""
    features = embed_samples(network, samples, batch_size=batch_size, frames=frames, workers=workers, progress=progress)
    if not np.isfinite(features).all():
        raise TrainingError(
            "the network's vectors are not finite; lower the rates, clip gradients or use training.precision=fp32"
        )
    return Validation(_judge(protocol, samples, features), features)


def _judge(protocol: str, samples: Sequence[Sample], features: npt.NDArray[np.float32]) -> dict[str, float]:
    identities = np.array([sample.identity for sample in samples], np.int64)
    cameras = np.array([sample.camera for sample in samples], np.int64)
    rows = {light: _rows(samples, light) for light in Modality}
    figures = {}
    for light in Modality:
        query, gallery = rows[light], rows[light.other]
        if not (len(query) and len(gallery)):
            raise ValueError(f"expected samples of both lights, got {len(query)} and {len(gallery)}")
        result = evaluate(
            protocol,
            features[query],
            features[gallery],
            identities[query],
            identities[gallery],
            cameras[query],
            cameras[gallery],
        )
        figures[f"rank1_{light}_to_{light.other}"] = result.rank[1]
        figures[f"map_{light}_to_{light.other}"] = result.map
    return figures


def _rows(samples: Sequence[Sample], light: Modality) -> npt.NDArray[np.int64]:
    return np.array([row for row, sample in enumerate(samples) if sample.modality is light], np.int64)


def fit_promises(
    samples: Sequence[Sample],
    features: npt.NDArray[np.float32],
    crops: Sequence[Sample],
    crop_features: npt.NDArray[np.float32],
) -> Promises:
    """Fit probabilities and the tracker's distance on the validation part.

    Args:
        features: ``[len(samples), D]``, of whole tracklets: probabilities.
        crops, crop_features: single pictures, several of each tracklet, and ``[len(crops), D]``: the tracker's
            distance. A data set of single pictures gives the same for both.
    """
    generator = np.random.default_rng(_SEED)
    identities = np.array([sample.identity for sample in samples], np.int64)
    cameras = np.array([sample.camera for sample in samples], np.int64)
    modalities = [sample.modality for sample in samples]
    try:
        calibration = fit_calibration(features, identities, cameras, modalities, generator=generator)
    except ValueError as error:
        log.warning("training.not_calibrated", reason=str(error))
        calibration = Calibration()
    same, other = [], []
    people = np.array([crop.identity for crop in crops], np.int64)
    places = np.array([crop.camera for crop in crops], np.int64)
    for light in Modality:
        rows = _rows(crops, light)
        if len(rows) > _MOST_TRACKED:
            rows = np.sort(generator.choice(rows, _MOST_TRACKED, replace=False))
        vectors = crop_features[rows].astype(np.float64)
        pairs = np.triu(places[rows][:, None] == places[rows], k=1)
        alike = people[rows][:, None] == people[rows]
        distances = 1.0 - vectors @ vectors.T
        same.append(distances[pairs & alike])
        other.append(distances[pairs & ~alike])
    return Promises(calibration, association_distance(np.concatenate(same), np.concatenate(other)))


def association_distance(same: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float | None:
    """Where a tracker that must decide by appearance alone errs least.

    Of pairs of crops by one camera in one light, the distance t with the smallest sum of the share of one person's
    pairs beyond t and the share of two persons' pairs within t (Youden's index); midway between the two
    neighbouring distances. None when either kind of pair is missing, or when the vectors hardly tell them apart:
    the shares add up to more than `_USELESS`.
    """
    if not (len(same) and len(other)):
        return None
    distances = np.unique(np.concatenate((same, other)))
    missed = 1.0 - np.searchsorted(np.sort(same), distances, side="right") / len(same)
    taken = np.searchsorted(np.sort(other), distances, side="right") / len(other)
    best = int(np.argmin(missed + taken))
    if (missed + taken)[best] > _USELESS:
        return None
    following = distances[min(best + 1, len(distances) - 1)]
    return float(np.clip((distances[best] + following) / 2, 0.0, 2.0))
