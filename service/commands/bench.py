"""Commands that measure: ``tapetum bench pipeline VIDEO``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from service.commands.console import configure_logging, fail, print_json, progress_line
from service.settings import load_settings

__all__ = ["app"]

app = typer.Typer(help="Measurements, as ratios against a baseline in the same run.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measurements, as ratios against a baseline in the same run."""


@app.command()
def pipeline(
    video: Annotated[Path, typer.Argument(help="A video with people in it.")],
    frames: Annotated[int, typer.Option(min=5, help="The first so many frames, the same for both.")] = 100,
    reid_weights: Annotated[Path | None, typer.Option(help="osnet_x0_25_msmt17.pt for the peer's own tracks.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Frames per second, every frame analysed, against a plain script on the same packages; then search latency."""
    settings = load_settings()
    configure_logging(settings)
    if not video.is_file():
        fail(f"no video file at {video}")
    from models.weights import detector_onnx

    with progress_line() as progress:
        # Both run the same released weights; the peer runs them as Ultralytics would, in fp32.
        detector = detector_onnx(settings.detector, settings.cache_dir, precision="fp32", progress=progress)
        progress("measuring Tapetum", None)
        with tempfile.TemporaryDirectory() as folder:
            ours = _run(
                ["-m", "service.cli", "track", str(video), "--out", f"{folder}/ours.txt"],
                ["--max-frames", str(frames), "--json"],
            )
        progress("measuring the peer script", None)
        extra = ["--reid-weights", str(reid_weights)] if reid_weights else []
        peer = _run(
            ["-m", "service.bench.peer", str(video), "--detector", str(detector)],
            ["--frames", str(frames), *extra],
        )
        progress("measuring search", None)
        search = measure_search()
    result = {
        "fps": ours["fps"],
        "peer_fps": peer["fps"],
        "ratio": ours["fps"] / peer["fps"],
        "stages": ours["stages_ms"],
        "peer_stages": peer["stages_ms"],
        "peer_without_search_vectors_fps": 1000 / (sum(peer["stages_ms"].values()) - peer["stages_ms"]["embed"]),
        "frames": ours["frames"],
        "start_up_s": ours["start_up_s"],
        "peak_memory_mb": ours["peak_memory_mb"],
        "peer_peak_memory_mb": peer["peak_memory_mb"],
        "search": search,
        "detector": ours["detector"],
        "embedder": ours["embedder"],
        "cores": os.cpu_count(),
    }
    if as_json:
        print_json(result)
        return
    typer.echo(f"{'':14}{'Tapetum':>10}{'peer':>10}{'ratio':>8}")
    typer.echo(f"{'frames/s':14}{result['fps']:>10.2f}{result['peer_fps']:>10.2f}{result['ratio']:>7.1f}x")
    typer.echo(f"{'memory MB':14}{result['peak_memory_mb']:>10.0f}{result['peer_peak_memory_mb']:>10.0f}")
    typer.echo("\nms a frame (stages of Tapetum overlap)")
    for name, value in result["stages"].items():
        typer.echo(f"  {name:12}{value:>10.1f}")
    typer.echo("ms a frame of the peer")
    for name, value in result["peer_stages"].items():
        typer.echo(f"  {name:12}{value:>10.1f}")
    typer.echo(
        f"\nstart-up {result['start_up_s']:.1f} s; search over {search['records']} records: "
        f"p50 {search['p50_ms']:.2f} ms, p95 {search['p95_ms']:.2f} ms"
    )


def _run(command: list[str], options: list[str]) -> dict[str, Any]:
    # Each starts with the environment of a user's shell, not with the thread limits of this process.
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, *command, *options], stdout=subprocess.PIPE, text=True, check=False, env=environment
    )
    if done.returncode:
        fail(f"{' '.join(command)} ended with code {done.returncode}", 1)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measure_search(records: int = 20_000, queries: int = 200) -> dict[str, Any]:
    """Exact search over random unit vectors in this process, half of the records filtered away."""
    import numpy as np

    from models.types import Modality
    from service.gallery import GalleryFilter, VectorIndex
    from service.gallery.rows import IndexRow

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(records, 512)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = VectorIndex(512, "bench")
    kinds = tuple(Modality)
    index.upsert(
        [
            IndexRow(
                f"{i:026d}", 1, f"camera-{i % 16}", kinds[i % 2], i, i, "bench", vectors[i].astype("<f2").tobytes()
            )
            for i in range(records)
        ]
    )
    chosen = GalleryFilter(modality=Modality.VISIBLE)
    seconds = []
    for query in vectors[:queries]:
        begun = time.perf_counter()
        index.search(query[None], 50, chosen)
        seconds.append(time.perf_counter() - begun)
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return {"records": records, "p50_ms": float(p50), "p95_ms": float(p95)}
