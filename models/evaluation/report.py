"""An evaluation as a folder: curves, trials, pictures of what was found, and everything as JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.samples import Sample
from models.evaluation.calibration import CurveCheck
from models.evaluation.judging import TrialResult, comparison_of, distances_of
from models.evaluation.metrics import RetrievalResult
from models.evaluation.plots import plot_cmc, plot_reliability
from models.evaluation.protocols import unit_rows
from models.evaluation.rerank import RerankOptions
from models.evaluation.sheets import RankedQuery, draw_sheet
from models.files import replaced_whole

__all__ = ["rank_examples", "write_report"]

_SHEETS, _QUERIES_A_SHEET, _NEAREST = 3, 5, 10


def write_report(
    folder: Path,
    *,
    title: str,
    protocol: str,
    samples: Sequence[Sample],
    features: npt.NDArray[np.floating],
    judged: Sequence[TrialResult],
    about: Mapping[str, Any],
    rerank: RerankOptions | None = None,
    calibration: Mapping[str, CurveCheck] | None = None,
) -> tuple[Path, ...]:
    """Write ``report.json``, ``trials.csv``, ``cmc.png``, ``queries-1.png`` ... and ``reliability.png``.

    The sheets show queries of the first trial, from the worst average precision to the best, evenly spread.

    Args:
        folder: made if missing; files of an earlier report in it are replaced.
        features: ``[len(samples), D]``, as they were judged.
        judged: from `models.evaluation.judge_trials`, with the same `rerank`.
        about: plain JSON values that say what was judged: network, data, options.
        calibration: from `check_calibration`; no diagram without it.

    Returns:
        The files written.

    Raises:
        DataError: a picture cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (*folder.glob("queries-*.png"), folder / "reliability.png"):
        stale.unlink(missing_ok=True)
    results = [one.result for one in judged]
    files = [folder / "cmc.png", folder / "trials.csv"]
    plot_cmc(files[0], title, results)
    _write_trials(files[1], judged)
    examples = rank_examples(protocol, samples, features, judged[0], rerank, _SHEETS * _QUERIES_A_SHEET)
    for number, begin in enumerate(range(0, len(examples), _QUERIES_A_SHEET), 1):
        files.append(folder / f"queries-{number}.png")
        heading = f"{title}: {judged[0].trial.name}, queries from worst to best, sheet {number}"
        draw_sheet(files[-1], heading, samples, examples[begin : begin + _QUERIES_A_SHEET])
    if calibration:
        files.append(folder / "reliability.png")
        plot_reliability(files[-1], title, calibration)
    mean = RetrievalResult.mean(results)
    document = {
        "title": title,
        "protocol": protocol,
        **about,
        "rerank": None if rerank is None else asdict(rerank),
        "mean": {**mean.to_dict(), "cmc": mean.cmc.tolist()},
        "trials": [_trial_figures(one) for one in judged],
        "calibration": {name: asdict(check) for name, check in (calibration or {}).items()},
        "examples": [asdict(one) for one in examples],
    }
    files.append(folder / "report.json")
    with replaced_whole(files[-1]) as scratch:
        scratch.write_text(json.dumps(document, indent=2) + "\n")
    return tuple(files)


def rank_examples(
    protocol: str,
    samples: Sequence[Sample],
    features: npt.NDArray[np.floating],
    judged: TrialResult,
    rerank: RerankOptions | None,
    count: int,
) -> list[RankedQuery]:
    """Judged queries evenly spread from the worst to the best, at most `count`, each with its ten nearest."""
    scores, trial = judged.scores, judged.trial
    candidates = np.flatnonzero(scores.judged)
    candidates = candidates[np.argsort(scores.average_precision[candidates], kind="stable")]
    spread = np.unique(np.linspace(0, len(candidates) - 1, min(count, len(candidates))).round().astype(np.int64))
    chosen = candidates[spread]
    nearest = comparison_of(protocol, samples, trial).nearest(chosen, distances_of(features, trial, rerank), _NEAREST)
    found = []
    for query, entries in zip(chosen.tolist(), nearest, strict=True):
        row, rows = int(trial.query_rows[query]), trial.gallery_rows[entries]
        vectors = unit_rows(features[[row, *rows]], "features")
        found.append(
            RankedQuery(
                query=row,
                nearest=tuple(rows.tolist()),
                cosines=tuple((vectors[1:] @ vectors[0]).tolist()),
                average_precision=float(scores.average_precision[query]),
            )
        )
    return found


def _trial_figures(one: TrialResult) -> dict[str, Any]:
    return {"name": one.trial.name, "gallery": len(one.trial.gallery_rows), **one.result.to_dict()}


def _write_trials(path: Path, judged: Sequence[TrialResult]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            ["trial", "queries", "skipped", "gallery", *(f"R{k}" for k in judged[0].result.rank), "mAP", "mINP"]
        )
        for one in judged:
            r = one.result
            shares = [f"{share:.6f}" for share in (*r.rank.values(), r.map, r.minp)]
            table.writerow([one.trial.name, r.queries, r.skipped, len(one.trial.gallery_rows), *shares])
