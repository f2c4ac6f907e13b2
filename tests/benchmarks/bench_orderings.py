"""Whether the methods' parts help in the order their papers say, on the drawn world of `tests.support.figures`.

    python -m tests.benchmarks.bench_orderings [--seeds 3] [--jobs 2] [--folder DIR]

Every arm is trained from its recipe by `models.training.train`, once a seed, and judged on people it never saw, by
the retrieval of single tracklets in both directions. A seed is a world, its split, the weights and the batches, the
same for all arms, so that arms are compared seed by seed. Prints Markdown tables and exits with 1 when an ordering
fails by more than noise. With `--folder` finished runs are kept, and the same command goes on from them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # must be set before torch is imported; one run uses one core

import cv2
import numpy as np
import structlog
import torch

from models.checkpoint import load_checkpoint
from models.data.samples import ReidDataset, Sample
from models.evaluation import Direction, TrialOptions, judge
from models.training import Recipe, embed_samples, train
from service.settings import Settings
from tests.support.figures import write_world

CLIP_FRAMES = 3
TRAIN_PEOPLE, TEST_PEOPLE, TRACKLETS = 80, 100, 3
NOISE_FLOOR = 0.01  # below one point nothing is called a difference


@dataclass(frozen=True)
class Arm:
    """One row of the table. AFEN learns from single pictures and averages a clip's vectors."""

    name: str
    network: str
    channels: str
    triplet: str
    train_frames: int = 1
    test_frames: int = CLIP_FRAMES


ARMS = (
    Arm("no channel augmentation", "afen", "none", "squared"),
    Arm("channel exchange", "afen", "exchange", "squared"),
    Arm("batch-hard", "afen", "exchange", "hard"),
    Arm("adaptive weight", "afen", "exchange", "adaptive"),
    Arm("CMFT, single frames", "cmft", "exchange", "hard", test_frames=1),
    Arm("CMFT, clips", "cmft", "exchange", "hard", train_frames=CLIP_FRAMES),
)
ONE_FRAME = "CMFT of clips, asked with one frame"


@dataclass(frozen=True)
class Ordering:
    """`better` beats `worse`, or at least does not lose to it."""

    better: str
    worse: str
    must_beat: bool


ORDERINGS = (
    Ordering("channel exchange", "no channel augmentation", must_beat=True),
    Ordering("adaptive weight", "batch-hard", must_beat=False),
    Ordering("channel exchange", "batch-hard", must_beat=False),  # its triplet is the squared one
    Ordering("CMFT, clips", "CMFT, single frames", must_beat=True),
    Ordering("CMFT, clips", ONE_FRAME, must_beat=True),
)

_NETWORKS: dict[str, dict[str, Any]] = {
    "afen": {"backbone": "mobilenetv2", "last_stride": 2, "fem_width": 128, "pooling_exponent": 1.0},
    "cmft": {
        "backbone": "mobilenetv2",
        "last_stride": 2,
        "fusion_stages": [],
        "final_width": 256,
        "fused_dim": 256,
        "stream_dim": 256,
    },
}
_INPUT_PX = {"afen": (96, 48), "cmft": (80, 40)}
# The squared triplet first shrinks the features until it has little left to pull at: half of 30 epochs are lost to it.
_EPOCHS = {"afen": 60, "cmft": 20}
_WARM_UP_EPOCHS = {"afen": 5, "cmft": 1}
_WEIGHTS = {"afen": {"id": 1.0, "triplet": 1.0}, "cmft": {"id": 1.0, "cross": 1.0, "pair": 0.5}}


def recipe_of(arm: Arm, seed: int) -> Recipe:
    """The same for all arms of a network but for what they compare."""
    options = dict(_NETWORKS[arm.network])
    if arm.network == "cmft":
        options["frames"] = arm.train_frames
    return Recipe.model_validate(
        {
            "name": arm.name,
            "data": {"name": "figures"},
            "network": {"name": arm.network, "options": options, "pretrained": "mobilenetv2"},
            "input": dict(zip(("height_px", "width_px"), _INPUT_PX[arm.network], strict=True)),
            "batch": {"identities": 16, "samples": 2},
            "augmentation": {"crop_px": 4, "channels": arm.channels, "erasing": 0.5, "erasing_area": [0.02, 0.25]},
            "optimiser": {
                "kind": "adamw",
                "head_rate": 3e-3,
                "trunk_rate": 1e-3,
                "weight_decay": 1e-2,
                "clip_norm": 5.0,
            },
            "schedule": {"kind": "cosine", "warm_up_epochs": _WARM_UP_EPOCHS[arm.network]},
            "objective": {"triplet": arm.triplet},
            "stages": [{"weights": _WEIGHTS[arm.network]}],
            "training": {"epochs": _EPOCHS[arm.network], "seed": seed, "precision": "fp32"},
        }
    )


@dataclass(frozen=True)
class Figures:
    """Fractions: rank-1 of visible queries, of infrared queries, and the mean of both directions' mAP."""

    visible_rank1: float
    infrared_rank1: float
    map: float

    @property
    def rank1(self) -> float:
        return (self.visible_rank1 + self.infrared_rank1) / 2


def judged(network: torch.nn.Module, dataset: ReidDataset, samples: Sequence[Sample], frames: int) -> Figures:
    features = embed_samples(network, samples, frames=frames)
    found = {way: judge(dataset.protocol, samples, features, TrialOptions(direction=way)) for way in Direction}
    return Figures(
        found[Direction.VISIBLE_TO_INFRARED].rank[1],
        found[Direction.INFRARED_TO_VISIBLE].rank[1],
        sum(result.map for result in found.values()) / len(found),
    )


def run(arm: Arm, seed: int, dataset: ReidDataset, folder: Path, cache_dir: Path) -> dict[str, Figures]:
    """Train one arm on one seed's world and judge it."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # the tables go to stdout
    recipe = recipe_of(arm, seed)
    result = train(
        recipe, dataset, folder / arm.name.replace(" ", "-").replace(",", ""), device="cpu", cache_dir=cache_dir
    )
    network = load_checkpoint(result.checkpoint).build()
    found = {arm.name: judged(network, dataset, dataset.test, arm.test_frames)}
    if arm.train_frames > 1:
        found[ONE_FRAME] = judged(network, dataset, dataset.test, 1)
    return found


def table(results: Mapping[str, Sequence[Figures]]) -> str:
    """Mean and, in brackets, standard deviation over seeds, in per cent."""
    lines = ["| arm | visible asks, rank-1 | infrared asks, rank-1 | both, mAP |", "|---|---|---|---|"]
    for name, found in results.items():
        columns = ([f.visible_rank1 for f in found], [f.infrared_rank1 for f in found], [f.map for f in found])
        cells = [f"{100 * np.mean(column):.1f} ({100 * _deviation(column):.1f})" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def verdicts(results: Mapping[str, Sequence[Figures]]) -> tuple[str, bool]:
    """What became of each ordering. Noise is twice the standard error of the differences, seed by seed."""
    lines = ["| ordering | difference of rank-1, points | noise | holds |", "|---|---|---|---|"]
    all_hold = True
    for ordering in ORDERINGS:
        pairs = zip(results[ordering.better], results[ordering.worse], strict=True)
        differences = [better.rank1 - worse.rank1 for better, worse in pairs]
        noise = max(NOISE_FLOOR, 2 * _deviation(differences) / len(differences) ** 0.5)
        mean = float(np.mean(differences))
        holds = mean > noise if ordering.must_beat else mean >= -noise
        all_hold &= holds
        words = "beats" if ordering.must_beat else "does not lose to"
        lines.append(
            f"| {ordering.better} {words} {ordering.worse} | {100 * mean:+.1f} | {100 * noise:.1f} | "
            f"{'yes' if holds else 'NO'} |"
        )
    return "\n".join(lines), all_hold


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one core each")
    parser.add_argument("--folder", type=Path, help="keep finished runs here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        worlds = chosen.folder or Path(temporary)
        folders = [worlds / f"seed{seed}" for seed in range(chosen.seeds)]
        datasets = [
            write_world(folder, seed=seed, train=TRAIN_PEOPLE, validation=0, test=TEST_PEOPLE, tracklets=TRACKLETS)
            for seed, folder in enumerate(folders)
        ]
        results: dict[str, dict[int, Figures]] = {}
        with ProcessPoolExecutor(chosen.jobs, mp_context=get_context("spawn")) as pool:
            runs = {
                pool.submit(run, arm, seed, datasets[seed], folders[seed], Settings().cache_dir): seed
                for seed in range(chosen.seeds)
                for arm in sorted(ARMS, key=lambda arm: -arm.train_frames)  # the longest first
            }
            for done in as_completed(runs):
                for name, figures in done.result().items():
                    results.setdefault(name, {})[runs[done]] = figures
                    print(f"seed {runs[done]}, {name}: {figures}", file=sys.stderr, flush=True)
    names = [*(arm.name for arm in ARMS), ONE_FRAME]
    by_seed = {name: [results[name][seed] for seed in range(chosen.seeds)] for name in names}
    words, all_hold = verdicts(by_seed)
    print(f"{table(by_seed)}\n\n{words}")
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main())
