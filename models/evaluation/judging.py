"""From samples and their features to the figures of a benchmark: every trial judged, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.data.samples import Sample
from models.evaluation.metrics import RetrievalResult
from models.evaluation.protocols import evaluate, evaluate_distances
from models.evaluation.rerank import RerankOptions, k_reciprocal
from models.evaluation.trials import Trial, TrialOptions, trials

__all__ = ["TrialResult", "judge", "judge_trials"]

_DEFAULT = TrialOptions()


@dataclass(frozen=True, eq=False)
class TrialResult:
    """A trial and what was reached in it."""

    trial: Trial
    result: RetrievalResult


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
    identities = np.array([sample.identity for sample in samples], np.int64)
    cameras = np.array([sample.camera for sample in samples], np.int64)
    found = []
    for trial in trials(protocol, samples, options, queries=queries):
        query, gallery = trial.query_rows, trial.gallery_rows
        labels = (identities[query], identities[gallery], cameras[query], cameras[gallery])
        if rerank is None:
            result = evaluate(protocol, features[query], features[gallery], *labels)
        else:
            distances = k_reciprocal(features[query], features[gallery], rerank)
            result = evaluate_distances(protocol, distances, *labels)
        found.append(TrialResult(trial, result))
    return tuple(found)
