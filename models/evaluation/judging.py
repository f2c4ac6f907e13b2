"""From samples and their features to the figures of a benchmark: every trial judged, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.data.samples import Sample
from models.evaluation.metrics import QueryScores, RetrievalResult
from models.evaluation.protocols import Comparison, DistanceRows, compare, cosine_rows
from models.evaluation.rerank import RerankOptions, k_reciprocal
from models.evaluation.trials import Trial, TrialOptions, trials

__all__ = ["TrialResult", "comparison_of", "distances_of", "judge", "judge_trials"]

_DEFAULT = TrialOptions()


@dataclass(frozen=True, eq=False)
class TrialResult:
    """A trial, what was reached in it, and by which query."""

    trial: Trial
    result: RetrievalResult
    scores: QueryScores


def judge(
    protocol: str,
    samples: Sequence[Sample],
    features: npt.NDArray[np.floating],
    options: TrialOptions = _DEFAULT,
    *,
    queries: Sequence[int] | None = None,
    rerank: RerankOptions | None = None,
) -> RetrievalResult:
    """The mean over all trials; arguments and errors of `judge_trials`."""
    judged = judge_trials(protocol, samples, features, options, queries=queries, rerank=rerank)
    return RetrievalResult.mean([one.result for one in judged])


def judge_trials(
    protocol: str,
    samples: Sequence[Sample],
    features: npt.NDArray[np.floating],
    options: TrialOptions = _DEFAULT,
    *,
    queries: Sequence[int] | None = None,
    rerank: RerankOptions | None = None,
) -> tuple[TrialResult, ...]:
    """Judge features ``[len(samples), D]``, rows in the order of `samples`, in every trial of the protocol.

    Args:
        queries: see `models.evaluation.trials`.
        rerank: re-rank with k-reciprocal encoding before judging; None, the default, for plain cosine.

    Raises:
        KeyError: an unknown protocol; the message lists the known ones.
        ValueError: features that do not fit the samples, an option that does not concern the protocol, or a trial
            in which no query has a match.
        DataError: the official permutation does not fit the samples.
    """
    if features.ndim != 2 or len(features) != len(samples):
        raise ValueError(f"features: expected [{len(samples)}, D], got {list(features.shape)}")
    found = []
    for trial in trials(protocol, samples, options, queries=queries):
        comparison = comparison_of(protocol, samples, trial)
        scores = comparison.score(distances_of(features, trial, rerank))
        found.append(TrialResult(trial, scores.result(), scores))
    return tuple(found)


def comparison_of(protocol: str, samples: Sequence[Sample], trial: Trial) -> Comparison:
    """The labels of a trial's queries and gallery."""
    identities = np.array([sample.identity for sample in samples], np.int64)
    cameras = np.array([sample.camera for sample in samples], np.int64)
    query, gallery = trial.query_rows, trial.gallery_rows
    return compare(protocol, identities[query], identities[gallery], cameras[query], cameras[gallery])


def distances_of(features: npt.NDArray[np.floating], trial: Trial, rerank: RerankOptions | None) -> DistanceRows:
    """Between a trial's queries and gallery: by cosine, or re-ranked."""
    query, gallery = features[trial.query_rows], features[trial.gallery_rows]
    if rerank is None:
        return cosine_rows(query, gallery)
    distances = k_reciprocal(query, gallery, rerank)
    return lambda rows: distances[rows]
