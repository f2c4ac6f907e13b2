"""Whether the process lives, whether it can serve, and its figures."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
from anyio import to_thread
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from service.api.access import OpenToAll, ReadingFigures
from service.api.services import REDIS_AWAY

__all__ = ["router"]

WAIT_S = 3.0  # for Redis

router = APIRouter(tags=["health"])


class Live(BaseModel):
    live: bool = True


class Ready(BaseModel):
    ready: bool
    reasons: list[str] = Field(description="Why not, in words; empty when ready.")


@router.get("/health/live", operation_id="get_live", summary="Is the process alive", openapi_extra={"security": []})
async def live() -> Live:
    return Live()


@router.get(
    "/health/ready",
    operation_id="get_ready",
    summary="Can the process serve",
    responses={503: {"model": Ready, "description": "Not yet, or not now."}},
    openapi_extra={"security": []},
)
async def ready(services: OpenToAll) -> Ready:
    """Redis answers and the index is loaded. The photo engines load later and do not count."""
    reasons = [REDIS_AWAY]
    with anyio.move_on_after(WAIT_S):
        reasons = await to_thread.run_sync(
            services.not_ready, limiter=services.readiness_threads(), abandon_on_cancel=True
        )
    answer = Ready(ready=not reasons, reasons=reasons)
    if reasons:
        return JSONResponse(answer.model_dump(), 503, headers={"Retry-After": "2"})  # type: ignore[return-value]
    return answer


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format."}},
)
async def metrics(services: ReadingFigures) -> Response:
    """Needs a login that may read what runs here, or the metrics token as bearer token."""
    await run_in_threadpool(services.observe, datetime.now(UTC))
    return Response(services.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
