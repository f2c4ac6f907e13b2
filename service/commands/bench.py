"""Commands that measure: ``tapetum bench pipeline VIDEO``, ``tapetum bench world`` and ``tapetum bench search``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.console import configure_logging, fail, print_json, progress_line
from service.settings import load_settings

if TYPE_CHECKING:
    from service.bench.search import SearchFigures
    from service.bench.world import WorldFigures

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


@app.command()
def world(
    folder: Annotated[
        Path | None, typer.Argument(help="Films and truth, as `tapetum synth clips` writes them; else the demo's.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for a picture of who was not found.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """The whole pipeline on films of known people: found, followed, and found again at night."""
    settings = load_settings()
    configure_logging(settings)
    if report is not None and report.exists() and not report.is_dir():
        fail(f"{report} is a file; expected a folder to write the report into")
    from models.data.samples import DataError
    from models.synthetic.clip_files import read_clips
    from pipeline.sources import SourceError
    from service.bench.world import follow, judge_world, write_failures
    from service.demo_clips import DEMO_WORLD
    from service.engines import load_models

    try:
        films = read_clips(folder or DEMO_WORLD)
        with progress_line() as progress:
            models = load_models(settings, live=False, progress=progress)
            followed = [follow(clip, models, progress) for clip in films.cameras]
        figures = judge_world(followed, models)
        sheet = write_failures(report, followed) if report is not None else None
    except DataError as error:
        fail(str(error))
    except (SourceError, ImportError) as error:
        fail(str(error), 1)
    if as_json:
        print_json(figures.to_dict())
        return
    _print_world({clip.id: clip.name for clip in films.cameras}, figures)
    if sheet is not None:
        typer.echo(f"who was not found: {sheet}")


@app.command()
def search(
    records: Annotated[int, typer.Option(min=1000, help="Tracklets in the gallery; a million want 8 GB.")] = 100_000,
    searches: Annotated[int, typer.Option(min=30, help="Timed for each figure.")] = 300,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Search latency against reading the codes once, with 1, 8 and 32 clients, idle and while tracklets come in."""
    configure_logging(load_settings())
    from service.bench.search import measure_search
    from service.redis_server import RedisServerError

    try:
        with progress_line() as progress:
            figures = measure_search(records, progress, searches=searches)
    except RedisServerError as error:
        fail(str(error), 1)
    if as_json:
        print_json(figures.to_dict())
        return
    _print_search(figures)


def _print_search(figures: SearchFigures) -> None:
    typer.echo(f"{figures.records:,} records of 512 values through {figures.server}, {figures.cores} cores")
    typer.echo(f"written in {figures.fill_s:.0f} s, index read in {figures.load_s:.0f} s, {figures.memory_mb:.0f} MB\n")
    typer.echo(f"{'ms':24}{'p50':>9}{'p99':>9}{'p50 writing':>13}{'p99 writing':>13}{'searches/s':>12}")
    for count, one in figures.clients.items():
        cells = f"{one.p50_ms:>9.1f}{one.p99_ms:>9.1f}{one.p50_writing_ms:>13.1f}{one.p99_writing_ms:>13.1f}"
        typer.echo(f"{count + ' clients':24}{cells}{one.searches_per_s:>12.1f}")
    for name, filtered in figures.filters.items():
        typer.echo(f"{name:24}{filtered['p50_ms']:>9.1f}{filtered['p99_ms']:>9.1f}")
    vsim = "no vector sets on this server" if figures.vsim_ms is None else f"{figures.vsim_ms:.1f}"
    typer.echo(f"{'FAISS flat':24}{figures.faiss_flat_ms:>9.1f}\n{'VSIM':24}{vsim:>9}")
    typer.echo(
        f"\nreading the codes once: {figures.floor_ms:.1f} ms at {figures.bandwidth_gb_s:.1f} GB/s; "
        f"a search takes {figures.ratio:.2f} times that\n"
        f"recall@10 {figures.recall_at_10:.4f}; {figures.written_per_s:.0f} written a second; "
        f"load average {figures.load_average:.1f}"
    )


def _print_world(names: dict[str, str], figures: WorldFigures) -> None:
    def percent(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.1f}"

    typer.echo(f"{figures.model}\n")
    typer.echo(f"{'camera':28}{'recall':>8}{'precision':>11}{'HOTA':>7}{'IDF1':>7}{'people':>8}{'tracks':>8}")
    for camera, one in figures.tracking.items():
        cells = f"{percent(one.recall):>8}{percent(one.precision):>11}{percent(one.hota):>7}{percent(one.idf1):>7}"
        typer.echo(f"{names[camera][:27]:28}{cells}{one.people:>8}{one.tracks:>8}")
    typer.echo(
        f"\n{figures.tracklets} tracklets, {percent(figures.purity)} % pure; {figures.mixed} show nobody in particular"
    )
    typer.echo(f"\n{'asks-answers':24}{'rank-1':>8}{'mAP':>7}{'mINP':>7}{'calibration error':>19}")
    for pair, found in figures.retrieval.items():
        asks, answers = pair.split("-")
        error = figures.calibration.get(pair, figures.calibration.get(f"{answers}-{asks}"))
        cells = "".join(f"{percent(found[name]):>{width}}" for name, width in (("rank1", 8), ("map", 7), ("minp", 7)))
        typer.echo(f"{pair:24}{cells}{'' if error is None else f'{error:.3f}':>19}")
    right, asked = figures.found_at_night
    typer.echo(f"\nfrom day to night, {right} of {asked} people come first")
    typer.echo(f"{figures.visits} visits, {figures.missed_visits} of them without a tracklet")
    if figures.searchable_p50_s is not None:
        typer.echo(
            f"searchable after {figures.searchable_p50_s:.1f} s in view (median), "
            f"{figures.searchable_p90_s:.1f} s for nine in ten"
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
