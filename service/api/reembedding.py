"""Bring the gallery from one model to another, for administrators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, status
from starlette.concurrency import run_in_threadpool

from service.api.access import Maintaining
from service.api.schema_reembedding import Reembedding, ReembeddingRequest
from service.api.scoped_reembedding import ScopedReembedding
from service.problems import Problem

__all__ = ["router"]

router = APIRouter(prefix="/reembedding", tags=["system"])
_CONFLICT: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There never was one."},
    409: {"model": Problem, "description": "Another one is under way, or it is not in that state."},
}


@router.get("", operation_id="get_reembedding", summary="How far a re-embedding is")
async def get_reembedding(scoped: Maintaining) -> Reembedding:
    return await run_in_threadpool(ScopedReembedding(scoped).state)


@router.post(
    "",
    operation_id="start_reembedding",
    summary="Embed every sighting with this service's model",
    status_code=status.HTTP_202_ACCEPTED,
    responses=_CONFLICT,
)
async def start_reembedding(request: ReembeddingRequest, scoped: Maintaining) -> Reembedding:
    """From the stored pictures, in the background, one at a time over all processes. Searches go on by the old vectors
    until all that can be embedded is; then the gallery goes over in one step. Again, it goes on where it was.
    """
    return await run_in_threadpool(lambda: ScopedReembedding(scoped).start(accept_losses=request.accept_losses))


@router.post(
    "/resume",
    operation_id="resume_reembedding",
    summary="Go on with a paused one",
    status_code=status.HTTP_202_ACCEPTED,
    responses=_CONFLICT,
)
async def resume_reembedding(request: ReembeddingRequest, scoped: Maintaining) -> Reembedding:
    """In a process that has its model loaded; `working` says whether there is one."""
    return await run_in_threadpool(lambda: ScopedReembedding(scoped).resume(accept_losses=request.accept_losses))


@router.post("/pause", operation_id="pause_reembedding", summary="Pause after the step under way", responses=_CONFLICT)
async def pause_reembedding(scoped: Maintaining) -> Reembedding:
    return await run_in_threadpool(ScopedReembedding(scoped).pause)


@router.post("/stop", operation_id="stop_reembedding", summary="Give a re-embedding up", responses=_CONFLICT)
async def stop_reembedding(scoped: Maintaining) -> Reembedding:
    """The gallery stays with the model that it is searched by."""
    return await run_in_threadpool(ScopedReembedding(scoped).stop)
