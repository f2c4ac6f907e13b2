"""What runs here: engines, model, gallery, versions."""

from __future__ import annotations

import platform

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool

from models.runtime.engine import EngineDescription
from service.api.access import SystemReading
from service.api.schema import EngineInfo, ModelInfo, SystemInfo, WorkerInfo
from service.api.services import Services
from service.redis_server import describe
from service.security.access import Permission
from service.version import package_version
from service.worker_reports import WorkerReport

__all__ = ["read_system", "router"]

router = APIRouter(prefix="/system", tags=["system"])


@router.get("", operation_id="get_system", summary="What runs here")
async def get_system(scoped: SystemReading) -> SystemInfo:
    return await run_in_threadpool(read_system, scoped.of_every_camera(Permission.SYSTEM))


def read_system(services: Services) -> SystemInfo:
    """What runs here, now."""
    model, used = services.engines.model, services.search.current
    stats = services.index.stats() if services.index is not None else None
    server = describe(services.redis)
    return SystemInfo(
        version=package_version(),
        python=platform.python_version(),
        model=ModelInfo(hash=model.hash, label=model.label) if model else None,
        gallery_model=ModelInfo(hash=used.model.hash, label=used.model.label) if used else None,
        photo_engines=services.engines.state,
        photo_engines_error=services.engines.error,
        engines=[_engine(purpose, engine) for purpose, engine in services.engines.descriptions],
        workers=[_worker(report) for report in services.worker_reports()],
        gallery_size=stats.rows if stats else 0,
        gallery_generation=stats.generation if stats else None,
        gallery_index_bytes=stats.vector_bytes if stats else None,
        gallery_left_out=stats.other_model + stats.refused if stats else 0,
        cameras=len(services.cameras.list()),
        redis={"product": server.product, "version": server.version},
    )


def _worker(report: WorkerReport) -> WorkerInfo:
    delivery = report.delivery
    return WorkerInfo(
        worker_id=report.worker_id,
        engines=[_engine(purpose, engine) for purpose, engine in report.engines.items()],
        queued=delivery.queued,
        oldest_s=delivery.oldest_s,
        delivered=delivery.delivered,
        replayed=delivery.replayed,
        quarantined=delivery.quarantined,
        away_s=delivery.away_s,
    )


def _engine(purpose: str, engine: EngineDescription) -> EngineInfo:
    return EngineInfo(
        purpose=purpose,
        backend=engine.backend,
        version=engine.version,
        device=engine.device,
        precision=engine.precision,
        threads=engine.threads,
        model=engine.model,
    )
