"""Commands for the person who looks after an installation: cameras, weights, export, search."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.types import Modality
from service.commands.console import configure_logging, fail, print_json, progress_line
from service.likelihood import likelihood
from service.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.api.schema import PhotoPerson, SearchMatch
    from service.camera_board import CameraHealthReader
    from service.camera_registry import CameraRegistry

__all__ = ["register"]

cameras_app = typer.Typer(help="Cameras of a running installation.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command()(weights)
    app.command()(export)
    app.command()(search)
    app.add_typer(cameras_app, name="cameras")


def weights(
    name: Annotated[str, typer.Argument(help="yolov7, yolov7-tiny, mobilenetv2 or efficientnet_lite0.")] = "yolov7",
    source: Annotated[str | None, typer.Option(help="File or URL to take instead of the usual place.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Fetch released weights into the cache, check them, and convert detectors to ONNX."""
    from models.weights import WeightsError, detector_onnx, fetch_weights

    settings = load_settings()
    configure_logging(settings)
    try:
        with progress_line() as progress:
            path = fetch_weights(name, settings.cache_dir, source=source, progress=progress)
            onnx = None
            if name.startswith("yolo"):
                onnx = detector_onnx(
                    name,
                    settings.cache_dir,
                    source=source,
                    precision=settings.precision,
                    backend=settings.backend,
                    progress=progress,
                )
    except WeightsError as error:
        fail(str(error), 1)
    found = {"weights": str(path), "onnx": str(onnx) if onnx else None}
    if as_json:
        print_json(found)
    else:
        typer.echo("\n".join(str(value) for value in found.values() if value))


def export(
    out: Annotated[Path, typer.Argument(help="Folder for the ONNX files.")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="Re-identification checkpoint; else the configured one.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, max=64, help="Frames of a clip; else the network's own.")] = None,
) -> None:
    """Write a checkpoint as ONNX: one file per modality, for single images and for clips."""
    from models.checkpoint import CheckpointError, load_checkpoint
    from models.export import export_embedder
    from models.shipped import shipped_checkpoint

    settings = load_settings()
    configure_logging(settings)
    path = checkpoint or settings.checkpoint or shipped_checkpoint()
    try:
        loaded = load_checkpoint(path)
    except CheckpointError as error:
        fail(str(error), 1)
    out.mkdir(parents=True, exist_ok=True)
    for modality in Modality:
        for count in sorted({1, frames or int(loaded.options.get("frames", 1))}):
            target = out / f"{loaded.architecture}-{modality}-{count}.onnx"
            try:
                export_embedder(loaded, modality, count, target)
            except ValueError as error:
                fail(f"{loaded.architecture} of this checkpoint: {error}")
            typer.echo(str(target))


def search(
    photo: Annotated[Path, typer.Argument(help="A picture with the person in it.")],
    person: Annotated[int | None, typer.Option(min=0, help="Which of the persons found.")] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only these cameras (id); may be repeated.")] = None,
    modality: Annotated[Modality | None, typer.Option(help="Only day or only night tracklets.")] = None,
    k: Annotated[int, typer.Option(min=1, max=1000)] = 10,
    url: Annotated[str | None, typer.Option(help="Of the API; else this machine.")] = None,
    account: Annotated[str, typer.Option(help="Who searches.")] = "admin",
    reason: Annotated[str | None, typer.Option(help="Why; goes to the audit log.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Find the person of a photo in a running installation.

    Logs in with the API token in TAPETUM_TOKEN, or the password in TAPETUM_PASSWORD, or asks for it.
    """
    import os

    from pydantic import ValidationError

    from service.api.schema import SearchExample, SearchFilters, SearchRequest
    from service.client import ApiError, Client, UnreachableError

    settings = load_settings()
    if not photo.is_file():
        fail(f"no photo at {photo}")
    with Client(url or os.environ.get("TAPETUM_URL") or f"http://{settings.host}:{settings.port}") as client:
        try:
            if not os.environ.get("TAPETUM_TOKEN"):
                secret = os.environ.get("TAPETUM_PASSWORD")
                client.log_in(account, secret or typer.prompt(f"Password of {account}", hide_input=True))
            if camera:
                _check_cameras(camera, [one.id for one in client.cameras.list()])
            found = client.photos.find_persons(photo)
            answer = client.searches.once(
                SearchRequest(
                    examples=[SearchExample(photo_id=found.id, person=_chosen(found.persons, person))],
                    filters=SearchFilters(cameras=camera or None, modality=modality),
                    k=k,
                    reason=reason,
                )
            )
        except (ApiError, UnreachableError) as error:
            fail(str(error), 1)
        except ValidationError as error:
            fail("; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()))
    if as_json:
        typer.echo(answer.model_dump_json(indent=2))
        return
    typer.echo(f"{'rank':>4}  {'likely':>6}  {'cosine':>6}  {'camera':<20} {'light':<8} {'from':<25} tracklet")
    for match in answer.matches:
        t = match.tracklet
        typer.echo(
            f"{match.rank:>4}  {_likely(match):>6}  {match.cosine:>6.3f}  {t.camera_id:<20} {t.modality:<8} "
            f"{t.started_at.isoformat(timespec='seconds'):<25} {t.id}"
        )
    if not answer.matches:
        typer.echo("No match in the cameras and times asked for. That is no proof of absence.")


def _check_cameras(asked: Sequence[str], there: Sequence[str]) -> None:
    """A name that was mistyped must not look like somebody who was not seen."""
    unknown = [one for one in asked if one not in there]
    if unknown:
        fail(f"no camera {', '.join(unknown)}; there are: {', '.join(there) or 'none'}", 1)


def _likely(match: SearchMatch) -> str:
    """In per cent; empty where the model is not calibrated."""
    return "" if match.probability is None else likelihood(match.probability)


def _chosen(persons: Sequence[PhotoPerson], person: int | None) -> int:
    """Which of a photo's persons is meant."""
    if not persons:
        fail("nobody was found in the photo", 1)
    if person is None and len(persons) > 1:
        places = "; ".join(f"{p.index} at {', '.join(f'{v:.2f}' for v in p.box)}" for p in persons)
        fail(f"{len(persons)} persons in the photo, choose one with --person: {places}", 1)
    return persons[0].index if person is None else person


def _registry() -> tuple[CameraRegistry, CameraHealthReader]:
    from pipeline.camera_url import check_camera_url
    from service.camera_board import CameraHealthReader
    from service.camera_registry import CameraRegistry
    from service.redis_server import RedisServerError, connect

    settings = load_settings()
    configure_logging(settings)
    try:
        redis = connect(settings)
    except RedisServerError as error:
        fail(str(error), 1)
    check = partial(check_camera_url, policy=settings.url_policy)
    return CameraRegistry(redis, check_url=check), CameraHealthReader(redis)


@cameras_app.command("list")
def list_cameras(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """All cameras and how they are."""
    from pipeline.camera_url import mask_url

    registry, health = _registry()
    rows = []
    for camera in (record.config for record in registry.list()):
        state = health.get(camera.id)
        rows.append(
            {
                "id": camera.id,
                "name": camera.name,
                "url": mask_url(camera.url),
                "state": state.state if state else "no worker",
                "analysed_fps": round(state.analysed_fps, 1) if state else 0.0,
                "error": state.error if state else None,
            }
        )
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['id']:<24} {row['state']:<13} {row['analysed_fps']:>5} fps  {row['name']}  {row['url']}")
        if row["error"]:
            typer.echo(f"{'':<24} {row['error']}")


@cameras_app.command("add")
def add_camera(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    url: Annotated[str, typer.Argument(help="rtsp://user:password@host/path, http(s)://… or a file.")],
    max_fps: Annotated[float | None, typer.Option(min=0.1)] = None,
) -> None:
    """Add a camera; a running worker connects within seconds."""
    from pipeline.camera import CameraConfig

    registry, _ = _registry()
    try:
        record = registry.add(CameraConfig(id="", name=name, url=url, max_fps=max_fps))
    except ValueError as error:
        fail(str(error))
    typer.echo(record.config.id)


@cameras_app.command("remove")
def remove_camera(camera_id: str) -> None:
    """Remove a camera; its tracklets stay."""
    from service.camera_registry import CameraMissingError

    registry, _ = _registry()
    try:
        registry.remove(camera_id)
    except CameraMissingError:
        fail(f"there is no camera {camera_id}")
    typer.echo(f"removed {camera_id}")
