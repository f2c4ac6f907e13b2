"""Live pictures: one socket for many cameras, and plain MJPEG, JPEG and boxes for everything else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import structlog
from fastapi import APIRouter, Response, WebSocket, WebSocketDisconnect
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from service import tasks
from service.api.access import Viewing
from service.api.cameras import NOT_FOUND, CameraIdPath
from service.api.schema import LiveBoxes, LivePerson
from service.api.scoped import Scoped
from service.api.tracklets import JPEG
from service.audit import AuditUnavailable
from service.gallery import GalleryUnavailable
from service.live import LiveFrame, draw_boxes
from service.problems import Problem, ProblemError

__all__ = ["newest_frame", "router"]

router = APIRouter(tags=["cameras"])
FIRST_PICTURE_S = 5.0
SILENT_S = 20.0
MAX_WATCHED = 64
MAX_MESSAGE_CHARS = 8192
MAX_EVERY_S = 60
_BOUNDARY = "tapetum-frame"
_NO_PICTURE: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such camera, or it has sent no picture lately."}
}
_log = structlog.get_logger(__name__)


@router.get(
    "/cameras/{camera_id}/snapshot",
    operation_id="get_camera_snapshot",
    summary="The newest picture",
    response_class=Response,
    responses={**_NO_PICTURE, **JPEG},
)
async def snapshot(scoped: Viewing, camera_id: str = CameraIdPath) -> Response:
    frame = await newest_frame(scoped, camera_id)
    return Response(frame.jpeg, media_type="image/jpeg", headers={"X-Captured-At": frame.captured_at.isoformat()})


@router.get(
    "/cameras/{camera_id}/boxes",
    operation_id="get_camera_boxes",
    summary="Who is in the newest picture",
    responses=_NO_PICTURE,
)
async def boxes(scoped: Viewing, camera_id: str = CameraIdPath) -> LiveBoxes:
    frame = await newest_frame(scoped, camera_id)
    return LiveBoxes(
        camera_id=camera_id,
        captured_at=frame.captured_at,
        modality=frame.modality,
        persons=[
            LivePerson(box=b.box, track_id=b.track_id, score=b.score, tracklet_id=b.tracklet_id) for b in frame.boxes
        ],
    )


@router.get(
    "/cameras/{camera_id}/live",
    operation_id="watch_camera",
    summary="Live view as MJPEG, boxes drawn",
    response_class=Response,
    responses={
        **NOT_FOUND,
        200: {"content": {"multipart/x-mixed-replace": {}}, "description": "JPEG after JPEG until you hang up."},
    },
)
async def watch(scoped: Viewing, camera_id: str = CameraIdPath) -> Response:
    """The newest picture whenever there is one; a slow reader gets fewer, never older ones."""
    await run_in_threadpool(scoped.watch, camera_id)

    async def parts() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(scoped.frames(camera_id)) as frames:
            while True:
                # Only a write shows that the reader is gone, so a silent camera ends the stream.
                async with asyncio.timeout(SILENT_S):
                    frame = await anext(frames)
                jpeg = await run_in_threadpool(draw_boxes, frame.jpeg, frame.boxes)
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                yield head.encode() + jpeg + b"\r\n"

    async def until_silent() -> AsyncIterator[bytes]:
        with contextlib.suppress(TimeoutError):
            async with contextlib.aclosing(parts()) as stream:
                async for part in stream:
                    yield part

    return StreamingResponse(until_silent(), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")


async def newest_frame(scoped: Scoped, camera_id: str) -> LiveFrame:
    """What a camera shows now; that it is looked at is noted. Raises ProblemError 404, and 503 when nothing comes."""
    await run_in_threadpool(scoped.watch, camera_id)
    try:
        async with contextlib.aclosing(scoped.frames(camera_id)) as frames, asyncio.timeout(FIRST_PICTURE_S):
            return await anext(frames)
    except TimeoutError:
        raise ProblemError(404, "no-picture", "The camera has sent no picture lately.") from None


@router.websocket("/live")
async def live_socket(socket: WebSocket, scoped: Viewing) -> None:
    """Send ``{"watch": [camera ids], "every_s": 0}`` at any time; get pictures of these cameras, each of them at most
    so often.

    A message is a big-endian uint32 length, a JSON header of that length (camera_id, captured_at, modality,
    persons) and a JPEG.
    """
    watcher = _Watcher(socket, scoped)
    try:
        await socket.accept()
        while True:
            text = await socket.receive_text()
            if len(text) > MAX_MESSAGE_CHARS:
                await socket.close(1009)
                return
            watcher.watch(*_wanted(text))
    except (WebSocketDisconnect, RuntimeError, OSError, KeyError):
        pass  # hung up, maybe before it was accepted, or sent bytes where text belongs
    except ValueError:
        await socket.close(1003)
    finally:
        await watcher.end()


def _wanted(text: str) -> tuple[frozenset[str], float]:
    """Camera ids of a message, and the least time between two pictures of each. Raises ValueError."""
    message = json.loads(text)
    ids = message.get("watch") if isinstance(message, dict) else None
    if not isinstance(ids, list) or len(ids) > MAX_WATCHED or not all(isinstance(i, str) for i in ids):
        raise ValueError("expected {'watch': [camera ids]}")
    every_s = message.get("every_s", 0)
    if not isinstance(every_s, int | float) or not 0 <= every_s <= MAX_EVERY_S:
        raise ValueError(f"every_s: expected 0 to {MAX_EVERY_S} seconds")
    return frozenset(ids), float(every_s)


class _Watcher:
    """One task for each watched camera; they take turns at the socket, so a slow browser slows them all."""

    def __init__(self, socket: WebSocket, scoped: Scoped) -> None:
        self._socket = socket
        self._scoped = scoped
        self._turn = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._every_s = 0.0

    def watch(self, wanted: frozenset[str], every_s: float) -> None:
        self._every_s = every_s
        for camera_id in self._tasks.keys() - wanted:
            leaving = asyncio.create_task(tasks.end(self._tasks.pop(camera_id)))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        for camera_id in wanted:
            task = self._tasks.get(camera_id)
            if task is None or task.done():
                self._tasks[camera_id] = asyncio.create_task(self._relay(camera_id))

    async def end(self) -> None:
        await asyncio.gather(*map(tasks.end, self._tasks.values()), *self._leaving)

    async def _relay(self, camera_id: str) -> None:
        try:
            await run_in_threadpool(self._scoped.watch, camera_id)
            async with contextlib.aclosing(self._scoped.frames(camera_id)) as frames:
                async for frame in frames:
                    async with self._turn:
                        await self._socket.send_bytes(_message(camera_id, frame))
                    if self._every_s:
                        await asyncio.sleep(self._every_s)
        except (RedisError, GalleryUnavailable, AuditUnavailable) as error:
            _log.warning("live_view_interrupted", camera=camera_id, error=type(error).__name__)
        except (WebSocketDisconnect, RuntimeError, OSError, ProblemError):
            return  # no such camera, or the browser hung up and the reader ends the rest


def _message(camera_id: str, frame: LiveFrame) -> bytes:
    header: dict[str, Any] = {
        "camera_id": camera_id,
        "captured_at": frame.captured_at.isoformat(),
        "modality": frame.modality.value,
        "persons": [
            {"box": b.box, "track_id": b.track_id, "score": round(b.score, 3), "tracklet_id": b.tracklet_id}
            for b in frame.boxes
        ],
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack(">I", len(head)) + head + frame.jpeg
