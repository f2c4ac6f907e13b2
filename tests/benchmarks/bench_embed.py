"""Tracklets of six frames a second through the product's embedder, against torch on the same network in the same run.

    python -m tests.benchmarks.bench_embed [CHECKPOINT ...] [--resnet50] [--tracklets 48] [--json]

Without a checkpoint the shipped one is measured. ``--resnet50`` adds CMFT with ResNet-50 streams as the recipes for
GPUs build it, fused embedding, with random weights: speed does not depend on them. Crops are random pictures of
surveillance size; preparing them (resize, normalise) is part of the time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from models.preprocessing import Image, Preprocessing
from models.registry import create_model
from models.runtime.processor import available_threads
from models.shipped import shipped_checkpoint
from models.types import Modality
from pipeline.embed import load_embedder
from service.settings import Settings

FRAMES = 6
REPEATS = 3


def rate(run: Callable[[], object], tracklets: int) -> float:
    """Tracklets a second: the best of some repeats, the first of which warms up."""
    times = []
    for _ in range(1 + REPEATS):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return tracklets / min(times[1:])


def of_torch(checkpoint: Checkpoint, clips: Sequence[Sequence[Image]]) -> Callable[[], object]:
    """What a plain script would do: the network as it is, clip by clip in one batch of eight."""
    network = checkpoint.build()

    def run() -> None:
        with torch.inference_mode():
            for start in range(0, len(clips), 8):
                part = clips[start : start + 8]
                batch = torch.from_numpy(checkpoint.preprocessing.batch([crop for clip in part for crop in clip]))
                network.embed(batch.reshape(len(part), FRAMES, *batch.shape[1:]), Modality.VISIBLE)  # type: ignore[operator]

    return run


def resnet50(folder: Path) -> Path:
    """CMFT as `cmft_synthetic` builds it, untrained."""
    network = create_model("cmft", preprocessing=Preprocessing(), frames=FRAMES)
    path = folder / "cmft-resnet50.safetensors"
    options = network.options
    checkpoint = Checkpoint("cmft", options, Preprocessing(), network.state_dict(), "CMFT, ResNet-50, untrained")  # type: ignore[arg-type]
    save_checkpoint(checkpoint, path)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, nargs="*")
    parser.add_argument("--resnet50", action="store_true")
    parser.add_argument("--tracklets", type=int, default=48)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    generator = np.random.default_rng(0)
    clips = [
        [generator.integers(0, 256, (180, 80, 3), np.uint8) for _ in range(FRAMES)] for _ in range(chosen.tracklets)
    ]
    torch.set_num_threads(available_threads())
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        paths = chosen.checkpoint or [shipped_checkpoint()]
        if chosen.resnet50:
            paths = [*paths, resnet50(Path(temporary))]
        for path in paths:
            checkpoint = load_checkpoint(path)
            embedder = load_embedder(path, cache_dir=Settings().cache_dir, threads=available_threads())
            ours = rate(lambda e=embedder: e.embed_clips(clips, [Modality.VISIBLE] * len(clips)), len(clips))  # type: ignore[misc]
            plain = rate(of_torch(checkpoint, clips), len(clips))
            engine = embedder.describe()
            found.append(
                {
                    "label": checkpoint.label,
                    "engine": f"{engine.backend} {engine.precision}, {engine.threads} threads",
                    "tracklets_s": ours,
                    "torch_tracklets_s": plain,
                    "ratio": ours / plain,
                }
            )
    if chosen.json:
        print(json.dumps(found, indent=2))
        return 0
    for one in found:
        print(
            f"{one['label']}: {one['tracklets_s']:.1f} tracklets/s ({one['engine']}), torch "
            f"{one['torch_tracklets_s']:.1f}, ratio {one['ratio']:.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
