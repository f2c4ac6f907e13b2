"""Erase sightings for good, and hold some from it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, status
from starlette.concurrency import run_in_threadpool

from service.api.access import Erasing
from service.api.schema_erasures import Erasure, ErasureRequest, HoldInfo, HoldRequest
from service.api.tracklets import NOT_FOUND, TrackletIdPath
from service.problems import Problem

__all__ = ["router"]

router = APIRouter(tags=["erasure"])
_RESPONSES: dict[int | str, dict[str, Any]] = {
    **NOT_FOUND,
    409: {"model": Problem, "description": "A sighting is under legal hold; nothing was erased."},
}


@router.post(
    "/erasures",
    operation_id="erase_tracklets",
    summary="Erase sightings, or a subject, for good",
    status_code=status.HTTP_201_CREATED,
    responses=_RESPONSES,
)
async def erase(request: ErasureRequest, scoped: Erasing) -> Erasure:
    """Records, vectors and pictures go, and the server's files are written anew; that may take a minute.

    A subject is erased with all sightings that are confirmed in it and that the account sees; it is gone when none is
    left. Keep the answer: `tapetum gallery verify-erasure` checks by it that nothing is left.
    """
    if request.subject_id is not None:
        report = await run_in_threadpool(scoped.erase_subject, request.subject_id, request.reason)
    else:
        report = await run_in_threadpool(scoped.erase, request.tracklet_ids or [], request.reason)
    return Erasure(**report.to_dict(), digest=report.digest)


@router.put(
    "/tracklets/{tracklet_id}/hold",
    operation_id="hold_tracklet",
    summary="Keep a sighting from retention and erasure",
    responses=NOT_FOUND,
)
async def hold(request: HoldRequest, scoped: Erasing, tracklet_id: str = TrackletIdPath) -> HoldInfo:
    """Again changes nothing: the first reason stays."""
    placed = await run_in_threadpool(scoped.hold, tracklet_id, request.reason)
    return HoldInfo(reason=placed.reason, account=placed.account, placed_at=placed.placed_at)


@router.delete(
    "/tracklets/{tracklet_id}/hold",
    operation_id="lift_hold",
    summary="Lift a hold",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=NOT_FOUND,
)
async def lift(scoped: Erasing, tracklet_id: str = TrackletIdPath) -> None:
    await run_in_threadpool(scoped.lift_hold, tracklet_id)
