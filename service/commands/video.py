"""Commands on files and folders: track, embed."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Annotated

import typer

from models.types import Modality
from service.commands.console import configure_logging, fail, print_json, progress_line
from service.settings import load_settings

__all__ = ["register"]

PROCESS_BEGUN_S = time.monotonic()


def register(app: typer.Typer) -> None:
    app.command()(track)
    app.command()(embed)


def track(
    source: Annotated[str, typer.Argument(help="A video file, or a stream's address; Ctrl-C ends a stream.")],
    out: Annotated[Path, typer.Option(help="MOTChallenge text to write.")],
    video: Annotated[Path | None, typer.Option(help="Also write the video with boxes and ids (MP4, H.264).")] = None,
    gsi: Annotated[bool, typer.Option(help="Fill gaps and smooth tracks when done (Gaussian interpolation).")] = False,
    camera_moves: Annotated[bool, typer.Option(help="Estimate camera motion (ECC); for hand-held cameras.")] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Find and follow every person of a video, every frame."""
    from dataclasses import asdict
    from itertools import islice

    from pipeline.analyse import CameraAnalysis
    from pipeline.annotate import AnnotatedVideo
    from pipeline.camera import CameraConfig
    from pipeline.camera_url import is_network_url
    from pipeline.offline import StageTimes, analyse_frames
    from pipeline.sources import SourceError, iter_frames
    from pipeline.track import interpolate_gaussian, mot_row, write_mot
    from service.engines import load_models

    settings = load_settings()
    configure_logging(settings)
    if not is_network_url(source) and not Path(source).is_file():
        fail(f"no video file at {source}")
    for target in (out, video):
        if target is not None and not target.resolve().parent.is_dir():
            fail(f"no folder {target.resolve().parent} to write {target.name} into")
    with progress_line() as progress:
        models = load_models(settings, live=False, progress=progress)
    camera = CameraAnalysis(
        CameraConfig(id="file", name="file", url=source),
        max_cosine_distance=models.embedder.association_distance,
        gate_motion=False,
        camera_moves=camera_moves,
    )
    rows: list[str] = []
    ids: set[int] = set()
    tracklets: set[str] = set()
    times = StageTimes()
    ready_s = time.monotonic() - PROCESS_BEGUN_S
    begun = time.perf_counter()
    annotated = AnnotatedVideo(video) if video else None
    try:
        with progress_line() as progress:
            frames = islice(iter_frames(source), max_frames)
            for result in analyse_frames(
                frames, camera, models.detector, models.embedder, workers=models.workers, times=times
            ):
                tracks = result.tracks
                for box, track_id, score in zip(tracks.boxes, tracks.track_ids.tolist(), tracks.scores, strict=True):
                    rows.append(mot_row(times.frames, track_id, box, float(score)))
                    ids.add(track_id)
                tracklets |= {t.id for t in result.handed_over}
                if annotated is not None:
                    annotated.write(result.frame, tracks)
                if times.frames % 10 == 0:
                    fps = times.frames / (time.perf_counter() - begun)
                    progress(f"{times.frames} frames, {len(ids)} persons, {fps:.1f} frames/s", None)
    except KeyboardInterrupt:
        typer.echo("stopped; what was seen so far is written", err=True)
    except SourceError as error:
        if not times.frames:
            fail(str(error))
        typer.echo(f"tapetum: the video ends early: {error}", err=True)
    finally:
        if annotated is not None:
            annotated.close()
    wall = time.perf_counter() - begun
    tracklets |= {t.id for t in camera.tracklets.close_all()}
    write_mot(out, interpolate_gaussian(rows) if gsi else rows)
    figures = {
        "frames": times.frames,
        "fps": times.frames / wall if wall else 0.0,
        "stages_ms": {
            name: 1000 * seconds / max(times.frames, 1)
            for name, seconds in (("decode", times.decode_s), ("detect", times.detect_s), ("follow", times.follow_s))
        },
        "track_ids": len(ids),
        "tracklets": len(tracklets),
        "start_up_s": ready_s,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "detector": asdict(models.detector.describe()),
        "embedder": asdict(models.embedder.describe()),
    }
    if as_json:
        print_json(figures)
    else:
        typer.echo(
            f"{figures['frames']} frames at {figures['fps']:.1f} frames/s, {len(ids)} track ids, "
            f"{len(tracklets)} tracklets; written to {out}"
        )


def embed(
    folder: Annotated[Path, typer.Argument(help="Pictures, each of one person.")],
    modality: Annotated[Modality, typer.Option(help="What light they were taken in.")],
    out: Annotated[Path, typer.Option(help="NPZ file with arrays `names` and `vectors`.")],
    clips: Annotated[bool, typer.Option(help="Take each sub-folder as one clip.")] = False,
) -> None:
    """Turn pictures of persons into vectors, to judge any checkpoint."""
    import numpy as np

    from pipeline.embed_folder import embed_folder
    from service.engines import load_embedder

    settings = load_settings()
    configure_logging(settings)
    if not folder.is_dir():
        fail(f"no folder at {folder}")
    if not out.resolve().parent.is_dir():
        fail(f"no folder {out.resolve().parent} to write {out.name} into")
    embedder = load_embedder(settings, threads=settings.threads)
    with progress_line() as progress:
        found = embed_folder(
            folder,
            modality,
            embedder,
            clips=clips,
            progress=lambda done, count: progress("embedding", done / max(count, 1)),
        )
    for name in found.unreadable:
        typer.echo(f"tapetum: {name} could not be read", err=True)
    if not found.names:
        fail(f"no picture could be read in {folder}", 1)
    with out.open("wb") as file:
        np.savez(file, names=np.asarray(found.names), vectors=found.vectors)
    typer.echo(f"{len(found.names)} vectors of {found.vectors.shape[1]} dimensions written to {out}")
