"""Commands that run the service: demo, serve, worker, api."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.console import configure_logging, fail, progress_line
from service.memory import keep_heap_level
from service.settings import Settings, SettingsError, load_settings
from service.supervisor import Child, Supervisor

if TYPE_CHECKING:
    import redis

    from models.synthetic.clip_files import CameraClip

__all__ = ["register"]

Progress = Callable[[str, float | None], None]
WORKER_NICENESS = 10


def register(app: typer.Typer) -> None:
    app.command()(demo)
    app.command()(serve)
    app.command()(worker)
    app.command()(api)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def worker(
    name: Annotated[str | None, typer.Option(help="Tells workers on one machine apart; stable over restarts.")] = None,
    capacity: Annotated[int, typer.Option(min=1, help="Hold at most so many cameras.")] = 64,
) -> None:
    """Run one worker: it takes cameras, follows persons, hands tracklets over."""
    from service.worker_process import run_worker

    settings = load_settings()
    configure_logging(settings)
    run_worker(settings, _stop_on_signals(), name=name, capacity=capacity)


def api() -> None:
    """Run the REST API and the dashboard."""
    import uvicorn

    from service.api import build_services, create_app

    keep_heap_level()
    settings = load_settings()
    configure_logging(settings)
    app = create_app(settings, build_services(settings))
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        # Most of what goes over sockets is JPEG, which deflating makes no smaller: two fifths of what live walls cost.
        ws_per_message_deflate=False,
    )


def serve() -> None:
    """Run everything on this machine: embedded Redis, worker, API and dashboard."""
    settings = load_settings()
    configure_logging(settings)
    _check_configuration(settings)
    _check_port(settings)
    with progress_line() as progress:
        _fetch_models(settings, progress)
    with ExitStack() as stack:
        revive = _redis_for(settings, stack)
        settings = load_settings()
        _run(settings, _connected(settings), revive, fresh_password=False)


def demo() -> None:
    """Show Tapetum with demo cameras: no root, no Docker, no GPU."""
    from service.demo_clips import demo_clips, start_demo_cameras

    begun = time.monotonic()
    base = load_settings()
    configure_logging(base)
    _check_configuration(base)
    _check_port(base)
    with progress_line() as progress:
        _fetch_models(base, progress)
    clips = demo_clips()
    # The demo never touches the cameras and records of a real installation.
    os.environ["TAPETUM_DATA_DIR"] = str(base.data_dir / "demo")
    os.environ["TAPETUM_CAMERA_ALLOW_LOOPBACK"] = "true"
    with ExitStack() as stack:
        cameras = stack.enter_context(start_demo_cameras(clips))
        if not cameras.over_rtsp:
            typer.echo(f"Demo cameras are files instead of RTSP streams: {cameras.reason}")
            os.environ["TAPETUM_CAMERA_FILE_ROOTS"] = json.dumps(sorted({str(clip.video.parent) for clip in clips}))
        settings = load_settings()
        revive = _redis_for(settings, stack)
        settings = load_settings()
        client = _connected(settings)
        _declare_demo_cameras(client, clips, cameras.urls, cameras.over_rtsp)
        _declare_demo_plan(client, settings)
        typer.echo(f"  {len(clips)} cameras play a rendered world: nobody in it exists.")
        _run(settings, client, revive, fresh_password=True, begun=begun)


def _fetch_models(settings: Settings, progress: Progress) -> None:
    """Weights and exported models into the cache, with progress, before the processes start."""
    from models.weights import detector_onnx

    detector_onnx(
        settings.detector,
        settings.cache_dir,
        precision=settings.precision,
        backend=settings.backend,
        progress=progress,
    )


def _redis_for(settings: Settings, stack: ExitStack) -> Callable[[], object] | None:
    """Children find Redis in their environment: the configured one, or an embedded one that ends with us.

    Returns what starts the embedded one again when it has died.
    """
    from service.redis_server import embedded_redis

    if settings.redis_url is not None:
        return None
    server = stack.enter_context(embedded_redis(settings))
    os.environ["TAPETUM_REDIS_URL"] = server.url
    return server.start


def _connected(settings: Settings) -> redis.Redis:
    """A client of data that are of this version, and of these keys."""
    from service.migrations import migrate
    from service.redis_server import connect
    from service.sealing import claimed_sealer

    client = connect(settings)
    with progress_line() as progress:
        migrate(client, settings, progress=progress)
    claimed_sealer(settings, client)  # once here, instead of again and again in processes that end at once
    return client


def _declare_demo_cameras(
    client: redis.Redis, clips: Sequence[CameraClip], urls: dict[str, str], over_rtsp: bool
) -> None:
    from pipeline.camera import CameraConfig
    from service.camera_registry import CameraRegistry
    from service.demo_plan import demo_position

    registry = CameraRegistry(client)
    moved = {record.config.id: record.config.position for record in registry.list()}
    for clip in clips:
        config = CameraConfig(
            id=clip.id,
            name=clip.name,
            url=urls[clip.id],
            loop=not over_rtsp,
            modality=clip.fixed_modality,
            position=moved.get(clip.id, demo_position(clip.id)),
        )
        registry.declare(config)


def _declare_demo_plan(client: redis.Redis, settings: Settings) -> None:
    from service.demo_plan import declare_demo_plan
    from service.gallery import MediaStore
    from service.plans import PlanStore
    from service.sealing import sealer_of

    declare_demo_plan(PlanStore(client, MediaStore(settings.media_base, sealer_of(settings))))


def _check_configuration(settings: Settings) -> None:
    """Say at once what the processes would end with, again and again.

    Raises:
        SettingsError: a folder, the keys or the login service.
        MediaError: no such kind of store, or the package for it is missing.
        CheckpointError: of the configured checkpoint.
    """
    from models.checkpoint import load_checkpoint
    from service.gallery import MediaStore
    from service.sealing import sealer_of
    from service.security.oidc import provider_of

    for name in ("data_dir", "cache_dir"):
        folder: Path = getattr(settings, name)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise SettingsError(f"{name}: {folder} cannot be made a folder: {error.strerror}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SettingsError(f"{name}: nothing can be written into {folder}")
    MediaStore(settings.media_base, sealer_of(settings))
    provider_of(settings)
    if settings.checkpoint is not None:
        load_checkpoint(settings.checkpoint)


def _check_port(settings: Settings) -> None:
    """Say at once that the port is taken: by then nothing was started, no password made, no camera declared."""
    try:
        socket.create_server((settings.host, settings.port)).close()
    except OSError as error:
        fail(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}. "
            "Is Tapetum running already? TAPETUM_PORT chooses another port.",
            1,
        )


def _run(
    settings: Settings,
    client: redis.Redis,
    revive: Callable[[], object] | None,
    *,
    fresh_password: bool,
    begun: float | None = None,
) -> None:
    """Start worker and API, wait until they answer, say where and how to log in, watch them until told to stop."""
    from service.security.accounts import AccountStore

    stop = _stop_on_signals()
    accounts = AccountStore(client)
    password = accounts.reset_admin() if fresh_password else accounts.ensure_admin()
    if password is not None:  # at once: it is shown this once, also when what follows fails
        typer.echo(f"\n  User admin, password {password}\n")
    earlier = settings.data_dir / "credentials.json"
    if earlier.exists():
        typer.echo(
            f"The password in {earlier} is of an earlier version and not used. `tapetum password` makes one.", err=True
        )
    # Analysis takes every core there is; whoever waits for an answer must not wait for it.
    children = [Child("api", ["api"]), Child("worker", ["worker"], niceness=WORKER_NICENESS)]
    supervisor = Supervisor(children, revive=revive)
    supervisor.start()
    watching = threading.Thread(target=supervisor.watch, args=(stop,), name="supervisor")
    watching.start()
    address = f"http://{settings.host}:{settings.port}"
    try:
        if not _wait_until_ready(address, stop):
            return
        took = f" after {time.monotonic() - begun:.0f} s" if begun is not None else ""
        typer.echo(f"\n  Tapetum is ready{took}:  {address}\n")
        typer.echo("  Ctrl-C ends it.\n")
        stop.wait()
        typer.echo("\n  Ending; what was seen last is kept first.")
    finally:
        stop.set()
        watching.join()


def _wait_until_ready(address: str, stop: threading.Event) -> bool:
    """Poll ``/health/ready``; says every half minute what is still missing."""
    said = time.monotonic()
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through the proxy of the environment
    while not stop.is_set():
        try:
            with direct.open(f"{address}/health/ready", timeout=2) as answer:
                if answer.status == 200:
                    return True
        except urllib.error.HTTPError as error:
            reason = error.read(500).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            reason = str(error)
        if time.monotonic() - said > 30:
            said = time.monotonic()
            typer.echo(f"still waiting: {reason}", err=True)
        stop.wait(0.2)
    return False
