"""Cameras: list with health, add, read, change, remove, test."""

from __future__ import annotations

import base64
from dataclasses import asdict, fields, replace
from typing import Any

import cv2
from fastapi import APIRouter, Path, Response, status
from starlette.concurrency import run_in_threadpool

from pipeline.camera import CameraConfig, CameraHealth, CameraPosition
from pipeline.camera_url import CameraUrlError, mask_url
from pipeline.types import Image
from service.api.access import AddingCameras, ManagingCameras, TestingCameras, Viewing
from service.api.idempotency import IdempotencyKey
from service.api.paging import Cursor, Limit, page_of
from service.api.probing import CameraProbe
from service.api.schema import (
    Camera,
    CameraChange,
    CameraCreate,
    CameraHealthReport,
    CameraList,
    CameraPlace,
    CameraTest,
    CameraTestRequest,
)
from service.api.scoped import Scoped
from service.camera_board import CameraConflictError, CameraExistsError
from service.problems import Problem, ProblemError
from service.security.access import Permission

__all__ = ["CameraIdPath", "add_camera_config", "change_camera_config", "router", "test_address", "try_camera"]

router = APIRouter(prefix="/cameras", tags=["cameras"])
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such camera."}}
CameraIdPath = Path(pattern=r"^[a-z0-9-]{1,64}$", description="The camera's id.", examples=["car-park-north"])
FIRST_FRAME_SIDE_PX = 960


@router.get("", operation_id="list_cameras", summary="All cameras in scope with their health")
async def list_cameras(scoped: Viewing, limit: Limit = 200, cursor: Cursor = None) -> CameraList:
    """By name."""

    def read() -> CameraList:
        configs, after = page_of(scoped.cameras(), lambda one: f"{one.name.casefold()}\0{one.id}", limit, cursor)
        reports = scoped.camera_health([config.id for config in configs])
        return CameraList(
            items=[shown(scoped, config, reports.get(config.id)) for config in configs], next_cursor=after
        )

    return await run_in_threadpool(read)


@router.post(
    "",
    operation_id="add_camera",
    summary="Add a camera",
    status_code=status.HTTP_201_CREATED,
    responses={409: {"model": Problem, "description": "There is a camera with this id."}},
)
async def add_camera(
    camera: CameraCreate, scoped: AddingCameras, response: Response, key: IdempotencyKey = None
) -> Camera:
    """A worker connects to it within seconds. Test the address first to see whether it works."""

    def add() -> CameraConfig:
        once = scoped.once("add_camera", key, camera)
        return once.run(lambda: add_camera_config(scoped, camera), lambda made: made.id, scoped.camera)

    config = await run_in_threadpool(add)
    response.headers["Location"] = f"/api/v1/cameras/{config.id}"
    return shown(scoped, config, None)


@router.post("/test", operation_id="test_camera_address", summary="Try an address before saving it")
async def test_address(request: CameraTestRequest, scoped: AddingCameras) -> CameraTest:
    """Connects, reads one frame, and says what it found, or in words why it failed."""
    config = CameraConfig(
        id="test",
        name="test",
        url=request.url,
        open_timeout_s=request.open_timeout_s,
        read_timeout_s=request.read_timeout_s,
    )
    return probe_shown(await scoped.probe_camera(config, saved=False))


@router.get("/{camera_id}", operation_id="get_camera", summary="One camera", responses=NOT_FOUND)
async def get_camera(scoped: Viewing, camera_id: str = CameraIdPath) -> Camera:
    def read() -> Camera:
        return shown(scoped, scoped.camera(camera_id), scoped.camera_health([camera_id]).get(camera_id))

    return await run_in_threadpool(read)


@router.patch("/{camera_id}", operation_id="change_camera", summary="Change a camera", responses=NOT_FOUND)
async def change_camera(change: CameraChange, scoped: ManagingCameras, camera_id: str = CameraIdPath) -> Camera:
    """Only the fields given change; the worker connects again where it must."""
    config = await run_in_threadpool(change_camera_config, scoped, camera_id, change)
    return shown(scoped, config, None)


@router.delete(
    "/{camera_id}",
    operation_id="remove_camera",
    summary="Remove a camera",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=NOT_FOUND,
)
async def remove_camera(scoped: ManagingCameras, camera_id: str = CameraIdPath) -> None:
    """Its sightings stay in the gallery."""
    await run_in_threadpool(scoped.remove_camera, camera_id)


@router.post("/{camera_id}/test", operation_id="test_camera", summary="Try a saved camera", responses=NOT_FOUND)
async def try_camera(scoped: TestingCameras, camera_id: str = CameraIdPath) -> CameraTest:
    config = await run_in_threadpool(scoped.camera, camera_id)
    probe = await scoped.probe_camera(config, saved=True)
    return probe_shown(replace(probe, reason=scoped.told(config, probe.reason) if probe.reason is not None else None))


def add_camera_config(scoped: Scoped, camera: CameraCreate) -> CameraConfig:
    """Check and save a new camera. Raises ProblemError 409 or 422."""
    config = CameraConfig(
        **{
            **camera.model_dump(exclude={"id", "include", "exclude"}),
            "id": camera.id or "",
            "include": _polygons(camera.include),
            "exclude": _polygons(camera.exclude),
            "position": _position(camera.position),
        }
    )
    try:
        return scoped.add_camera(config)
    except CameraExistsError:
        raise ProblemError(
            409, "camera-exists", f"The id “{camera.id}” is taken, or was by a camera whose sightings are still there."
        ) from None
    except ValueError as error:
        raise _refused(error) from None


def change_camera_config(scoped: Scoped, camera_id: str, change: CameraChange) -> CameraConfig:
    """Check and save what a change gives. Raises ProblemError 404, 409 or 422."""
    scoped.camera(camera_id)  # whether it is there comes before whether the change makes sense
    given = change.given()
    for name in ("include", "exclude"):
        if name in given:
            given[name] = _polygons(given[name])
    if "position" in given:
        given["position"] = _position(given["position"])
    try:
        return scoped.change_camera(camera_id, given)
    except CameraConflictError:
        raise ProblemError(409, "camera-changed", "Somebody else is changing this camera. Try again.") from None
    except ValueError as error:
        raise _refused(error) from None


def _refused(error: ValueError) -> ProblemError:
    """What the registry or the address policy says; a sentence without credentials."""
    if isinstance(error, CameraUrlError):
        field, reason = "url", str(error)
    else:
        field, _, reason = str(error).partition(": ")
    return ProblemError(422, "camera-refused", reason or field, errors=[{"field": f"body.{field}", "reason": reason}])


def _polygons(polygons: list[list[tuple[float, float]]]) -> tuple[tuple[tuple[float, float], ...], ...]:
    return tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in polygons)


def _position(place: CameraPlace | None) -> CameraPosition | None:
    return CameraPosition(**place.model_dump()) if place is not None else None


def shown(scoped: Scoped, config: CameraConfig, health: CameraHealth | None) -> Camera:
    """A camera as the API tells of it: the address without its credentials, and to who manages cameras only."""
    values = {f.name: getattr(config, f.name) for f in fields(config)}
    managing = scoped.access.may(Permission.MANAGE_CAMERAS)
    values |= {"url": mask_url(config.url) if managing else None, "health": None}
    values |= {name: [list(polygon) for polygon in values[name]] for name in ("include", "exclude")}
    values["position"] = CameraPlace(**asdict(config.position)) if config.position is not None else None
    if health is not None:
        report = asdict(health)
        report.pop("camera_id")
        if health.error is not None:
            report["error"] = scoped.told(config, health.error)
        values["health"] = CameraHealthReport(**report)
    return Camera(**values)


def probe_shown(probe: CameraProbe) -> CameraTest:
    """A probe's outcome as the API tells of it."""
    return CameraTest(
        ok=probe.reason is None,
        reason=probe.reason,
        width_px=probe.width_px,
        height_px=probe.height_px,
        codec=probe.codec,
        fps=probe.fps,
        modality=probe.modality,
        clock_offset_s=probe.clock_offset_s,
        first_frame_jpeg=_first_frame(probe.image) if probe.image is not None else None,
    )


def _first_frame(image: Image) -> str:
    scale = FIRST_FRAME_SIDE_PX / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not ok:
        raise ValueError(f"first frame of shape {image.shape} could not be encoded")
    return base64.b64encode(data.tobytes()).decode()
