"""Puts a worker together: the pipeline, with Redis, the spool and the media store in its sockets."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from pipeline.camera import CameraConfig
from pipeline.sources import CameraSource
from pipeline.spool import Spool, SpoolError
from pipeline.stills import StillRules
from pipeline.worker import Worker
from service.camera_board import RedisCameraBoard
from service.engines import load_models
from service.gallery import Gallery, MediaStore
from service.history import ProcessRecorder
from service.ingest import Ingest
from service.live import RedisLiveView
from service.memory import leave_out_what_is_loaded
from service.migrations import migrate
from service.redis_server import connect
from service.sealing import KeyRegistry, claimed_sealer
from service.settings import Settings
from service.worker_reports import WorkerReport, WorkerReports

__all__ = ["WorkerNameTakenError", "run_worker", "worker_identity"]

REPORT_EVERY_S = 2.0
LOCK_TIMEOUT_S = 30.0
"""An earlier worker of this name may still be draining."""


class WorkerNameTakenError(RuntimeError):
    """Two workers of one name would take each other's cameras for their own."""


log = structlog.get_logger("tapetum.worker")


def worker_identity(name: str | None = None) -> str:
    """Stable over restarts on one machine, so that a restarted worker takes up its own leases and spool."""
    return name or f"{socket.gethostname()}-1"


def run_worker(settings: Settings, stop: threading.Event, *, name: str | None = None, capacity: int = 64) -> None:
    """Hold cameras and hand tracklets over until `stop` is set; then drain and give the cameras back."""
    worker_id = worker_identity(name)
    redis = connect(settings)
    migrate(redis, settings)
    sealer = claimed_sealer(settings, redis)  # before anything that takes time
    models = load_models(settings, live=True)
    log.info("engines", detector=str(models.detector.describe()), embedder=str(models.embedder.describe()))
    models.embedder.warm_up()
    if stop.is_set():
        return
    spool_path: Path = settings.data_dir / "spool" / f"{worker_id}.sqlite"
    spool_path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(spool_path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_S)
    except Timeout:
        raise WorkerNameTakenError(
            f"a worker named {worker_id} runs already over {settings.data_dir}; give this one another --name"
        ) from None
    try:
        spool = Spool(spool_path, sealer)
    except SpoolError:
        lock.release()
        raise
    media = MediaStore(settings.media_base, sealer)
    ingest = Ingest(spool, Gallery(redis, sealer), media, check_keys=KeyRegistry(redis, sealer).claim)

    def make_source(config: CameraConfig) -> CameraSource:
        return CameraSource(config, settings.url_policy)

    worker = Worker(
        worker_id,
        RedisCameraBoard(redis, worker_id, capacity),
        spool,
        RedisLiveView(redis),
        models.detector,
        models.embedder,
        make_source,
        max_cosine_distance=models.embedder.association_distance,
        workers=models.workers,
        batch=models.batch,
        stills=StillRules(longest_px=settings.scene_px, clip_s=settings.clip_s) if settings.scenes else None,
    )
    ingest.start()
    engines = {"detection": models.detector.describe(), "re-identification": models.embedder.describe()}

    def figures() -> dict[str, float]:
        return {f"queued.{worker_id}": float(ingest.stats().queued)}

    recorder = ProcessRecorder(redis, worker_id, figures)
    recorder.start()

    def report() -> None:
        reports = WorkerReports(redis)
        while not stop.wait(REPORT_EVERY_S):
            reports.pin(WorkerReport(worker_id, engines, ingest.stats()))

    threading.Thread(target=report, name="worker-report", daemon=True).start()
    leave_out_what_is_loaded()
    try:
        worker.run(stop)
    finally:
        recorder.stop()
        ingest.stop()
        spool.close()
        lock.release()
