"""Sightings: list with a cursor, read one, its pictures and its clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from starlette.concurrency import run_in_threadpool

from models.types import Modality
from service.api.access import Viewing
from service.api.ranges import RANGES, AskedRange, NotIfRange, answer_part
from service.api.schema import (
    CameraId,
    ClipBox,
    ClipInfo,
    CropInfo,
    Moment,
    QualityMarks,
    SceneInfo,
    Tracklet,
    TrackletPage,
)
from service.gallery import GalleryFilter, TrackletRecord
from service.problems import Problem, ProblemError

__all__ = ["router", "tracklet_shown"]

router = APIRouter(prefix="/tracklets", tags=["tracklets"])
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such tracklet."}}
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "A JPEG picture."}}
MP4: dict[int | str, dict[str, Any]] = {200: {"content": {"video/mp4": {}}, "description": "A silent film."}}
TrackletIdPath = Path(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$", examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])


@router.get("", operation_id="list_tracklets", summary="Sightings, newest first")
async def list_tracklets(
    scoped: Viewing,
    camera: Annotated[list[CameraId] | None, Query(max_length=1000, description="Only these cameras.")] = None,
    modality: Modality | None = None,
    since: Annotated[Moment | None, Query(description="Seen at or after, with offset.")] = None,
    until: Annotated[Moment | None, Query(description="Seen at or before, with offset.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
) -> TrackletPage:
    """The cursor stays right while sightings come and go."""

    def read() -> TrackletPage:
        try:
            filters = GalleryFilter(
                cameras=frozenset(camera) if camera else None, modality=modality, since=since, until=until
            )
            page = scoped.tracklets(filters, limit=limit, cursor=cursor)
        except ValueError as error:
            raise ProblemError(422, "invalid", str(error)) from None
        names = scoped.camera_names()
        return TrackletPage(items=[tracklet_shown(r, names) for r in page.records], next_cursor=page.cursor)

    return await run_in_threadpool(read)


@router.get("/{tracklet_id}", operation_id="get_tracklet", summary="One sighting", responses=NOT_FOUND)
async def get_tracklet(scoped: Viewing, tracklet_id: str = TrackletIdPath) -> Tracklet:
    def read() -> Tracklet:
        return tracklet_shown(scoped.tracklet(tracklet_id), scoped.camera_names(), with_crops=True)

    return await run_in_threadpool(read)


@router.get(
    "/{tracklet_id}/crops/{index}",
    operation_id="get_tracklet_crop",
    summary="One picture of a sighting",
    response_class=Response,
    responses={**NOT_FOUND, **JPEG},
)
async def get_crop(
    scoped: Viewing, index: Annotated[int, Path(ge=0, le=999)], tracklet_id: str = TrackletIdPath
) -> Response:
    def read() -> bytes:
        record = scoped.tracklet(tracklet_id)
        if index >= len(record.crops):
            raise ProblemError(404, "crop-not-found", f"This sighting has {len(record.crops)} pictures.")
        return scoped.picture(record, record.crops[index].key)

    return Response(await run_in_threadpool(read), media_type="image/jpeg")


@router.get(
    "/{tracklet_id}/thumbnail",
    operation_id="get_tracklet_thumbnail",
    summary="The best picture of a sighting, small",
    response_class=Response,
    responses={**NOT_FOUND, **JPEG},
)
async def get_thumbnail(scoped: Viewing, tracklet_id: str = TrackletIdPath) -> Response:
    def read() -> bytes:
        record = scoped.tracklet(tracklet_id)
        if record.thumbnail is None:
            raise ProblemError(404, "crop-not-found", "The pictures of this sighting are gone.")
        return scoped.picture(record, record.thumbnail)

    return Response(await run_in_threadpool(read), media_type="image/jpeg")


@router.get(
    "/{tracklet_id}/scene",
    operation_id="get_tracklet_scene",
    summary="The whole picture at a sighting's best moment",
    response_class=Response,
    responses={**NOT_FOUND, **JPEG},
)
async def get_scene(scoped: Viewing, tracklet_id: str = TrackletIdPath) -> Response:
    """Small, with everybody in it; where the person is, the sighting's `scene.box` says."""

    def read() -> bytes:
        record = scoped.tracklet(tracklet_id)
        return scoped.footage(record, record.footage.scene)

    return Response(await run_in_threadpool(read), media_type="image/jpeg")


@router.get(
    "/{tracklet_id}/clip",
    operation_id="get_tracklet_clip",
    summary="A short film of a sighting",
    response_class=Response,
    responses={**NOT_FOUND, **MP4, **RANGES},
)
async def get_clip(
    scoped: Viewing, asked: AskedRange = None, if_range: NotIfRange = None, tracklet_id: str = TrackletIdPath
) -> Response:
    """Made when the sighting has ended."""

    def read() -> bytes:
        record = scoped.tracklet(tracklet_id)
        return scoped.footage(record, record.footage.clip)

    return answer_part(await run_in_threadpool(read), asked, if_range, media_type="video/mp4")


def tracklet_shown(record: TrackletRecord, names: Mapping[str, str], *, with_crops: bool = False) -> Tracklet:
    """A record as the API tells of it."""
    base = f"/api/v1/tracklets/{record.id}"
    crops = [
        CropInfo(
            index=i, url=f"{base}/crops/{i}", box=c.box, quality=c.quality, pts_s=c.pts_s, captured_at=c.captured_at
        )
        for i, c in enumerate(record.crops)
    ]
    scene, clip = record.footage.scene, record.footage.clip
    shown = Tracklet(
        id=record.id,
        camera_id=record.camera_id,
        camera_name=names.get(record.camera_id, record.camera_id),
        track_id=record.track_id,
        modality=record.modality,
        started_at=record.started_at,
        ended_at=record.ended_at,
        closed=record.closed,
        frame_count=record.frame_count,
        quality=record.quality,
        model_hash=record.model_hash,
        crop_count=len(record.crops),
        thumbnail_url=f"{base}/thumbnail",
    )
    if not with_crops:
        return shown
    shown.crops = crops
    if record.marks is not None:
        shown.quality_marks = QualityMarks(**asdict(record.marks))
    if scene is not None:
        shown.scene = SceneInfo(url=f"{base}/scene", box=scene.box, captured_at=scene.captured_at)
    if clip is not None:
        boxes = [ClipBox(at_s=one.at_s, box=one.box) for one in clip.boxes]
        shown.clip = ClipInfo(url=f"{base}/clip", started_at=clip.started_at, duration_s=clip.duration_s, boxes=boxes)
    return shown
