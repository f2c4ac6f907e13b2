"""Live pictures from workers to viewers over Redis pub/sub, which keeps nothing.

The server itself knows who watches: a worker publishes a camera only while somebody is subscribed to it.
A message is a length (4 bytes, big-endian), that much JSON, and a JPEG.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import cv2
import numpy as np
import redis
import redis.asyncio
import structlog

from models.types import Modality
from pipeline.camera import LiveBox
from pipeline.types import Image
from service import tasks

__all__ = ["LiveFrame", "LiveHub", "RedisLiveView", "draw_boxes"]

log = structlog.get_logger("tapetum.live")

_CHANNEL = "tapetum:live:"
MAX_WIDTH_PX = 768
JPEG_QUALITY = 80
_LONGEST_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """One live picture, without boxes drawn in it."""

    camera_id: str
    jpeg: bytes = field(repr=False)
    boxes: tuple[LiveBox, ...]
    captured_at: datetime
    modality: Modality


class RedisLiveView:
    """`pipeline.camera.LiveView` over Redis pub/sub. Trouble with Redis costs pictures, never the analysis."""

    def __init__(self, client: redis.Redis):
        self._redis = client

    def wanted(self) -> frozenset[str]:
        """Cameras somebody is subscribed to now; none while Redis is away."""
        try:
            channels = cast("list[bytes]", self._redis.pubsub_channels(_CHANNEL + "*"))
        except (redis.RedisError, OSError):
            return frozenset()
        return frozenset(channel.decode().removeprefix(_CHANNEL) for channel in channels)

    def publish(
        self,
        camera_id: str,
        image: Image,
        boxes: Sequence[LiveBox],
        captured_at: datetime,
        modality: Modality,
    ) -> None:
        """Send one picture, ``uint8[H, W, 3]`` BGR, made smaller where it is wider than 768 pixels."""
        with contextlib.suppress(redis.RedisError, OSError):
            message = _encode(image, boxes, captured_at, modality)
            self._redis.publish(_CHANNEL + camera_id, message)


class LiveHub:
    """Brings live pictures to any number of viewers in this process over one subscription a camera.

    To be used within one event loop; `close` it before the loop ends.
    """

    def __init__(self, url: str):
        self._url = url
        self._viewers: dict[str, set[_Viewer]] = {}
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def watched(self) -> frozenset[str]:
        return frozenset(self._viewers)

    @property
    def viewers(self) -> int:
        """Of all cameras together."""
        return sum(len(viewers) for viewers in list(self._viewers.values()))

    async def frames(self, camera_id: str) -> AsyncIterator[LiveFrame]:
        """Pictures as they come, for ever; who is slow gets the newest and misses those between."""
        viewer = _Viewer()
        self._viewers.setdefault(camera_id, set()).add(viewer)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read_for_ever(), name="live-hub")
        self._changed.set()
        try:
            while True:
                yield await viewer.next()
        finally:
            viewers = self._viewers[camera_id]
            viewers.discard(viewer)
            if not viewers:
                del self._viewers[camera_id]
                self._changed.set()

    async def close(self) -> None:
        """End the subscription. Viewers that still wait are not served any more."""
        if self._task is not None:
            await tasks.end(self._task)
            self._task = None

    async def _read_for_ever(self) -> None:
        pause_s = 0.1
        away = False
        while True:
            client = redis.asyncio.Redis.from_url(
                self._url, socket_timeout=5.0, socket_connect_timeout=2.0, health_check_interval=10
            )
            try:
                async with client.pubsub(ignore_subscribe_messages=True) as channel:
                    await client.ping()
                    if away:
                        log.info("live view goes on")
                    pause_s, away = 0.1, False
                    await self._read(channel)
            except (redis.RedisError, OSError) as error:
                if not away:
                    log.warning("live view waits for Redis", reason=str(error))
                away = True
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            finally:
                with contextlib.suppress(redis.RedisError, OSError):
                    await client.aclose()

    async def _read(self, channel: redis.asyncio.client.PubSub) -> None:
        subscribed: set[str] = set()
        while True:
            self._changed.clear()
            wanted = set(self._viewers)
            if wanted - subscribed:
                await channel.subscribe(*(_CHANNEL + one for one in wanted - subscribed))
            if subscribed - wanted:
                await channel.unsubscribe(*(_CHANNEL + one for one in subscribed - wanted))
            subscribed = wanted
            if not subscribed:
                await self._changed.wait()
                continue
            message = await channel.get_message(timeout=0.25)
            if message is not None and message["type"] == "message":
                camera_id = message["channel"].decode().removeprefix(_CHANNEL)
                frame = _decode(camera_id, message["data"])
                for viewer in self._viewers.get(camera_id, ()):
                    if frame is not None:
                        viewer.show(frame)


class _Viewer:
    """Holds the newest picture until it is fetched."""

    def __init__(self) -> None:
        self._newest: LiveFrame | None = None
        self._arrived = asyncio.Event()

    def show(self, frame: LiveFrame) -> None:
        self._newest = frame
        self._arrived.set()

    async def next(self) -> LiveFrame:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            frame, self._newest = self._newest, None
            if frame is not None:
                return frame


def draw_boxes(jpeg: bytes, boxes: Sequence[LiveBox]) -> bytes:
    """The picture with boxes and track numbers drawn in. Raises ValueError when it cannot be decoded.

    Persons that can be searched already are drawn in a full colour, others in grey.
    """
    if not boxes:
        return jpeg
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("expected a JPEG picture")
    height, width = image.shape[:2]
    for one in boxes:
        x1, y1, x2, y2 = one.box
        top_left = (round(x1 * width), round(y1 * height))
        colour = (80, 200, 60) if one.tracklet_id else (160, 160, 160)
        cv2.rectangle(image, top_left, (round(x2 * width), round(y2 * height)), colour, 2, cv2.LINE_AA)
        text_at = (top_left[0] + 2, max(top_left[1] - 4, 12))
        label = str(one.track_id)
        cv2.putText(image, label, text_at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(image, label, text_at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return _jpeg(image)


def _encode(image: Image, boxes: Sequence[LiveBox], captured_at: datetime, modality: Modality) -> bytes:
    height, width = image.shape[:2]
    if width > MAX_WIDTH_PX:
        size = (MAX_WIDTH_PX, max(1, round(height * MAX_WIDTH_PX / width)))
        image = cast("Image", cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    head = {
        "captured_at": captured_at.timestamp(),
        "modality": str(modality),
        "boxes": [[[round(v, 5) for v in b.box], b.track_id, round(b.score, 4), b.tracklet_id] for b in boxes],
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    return struct.pack(">I", len(text)) + text + _jpeg(image)


def _decode(camera_id: str, message: bytes) -> LiveFrame | None:
    """None for a message that is none of ours."""
    try:
        (length,) = struct.unpack_from(">I", message)
        head = json.loads(message[4 : 4 + length])
        boxes = tuple(
            LiveBox((float(x1), float(y1), float(x2), float(y2)), int(track), float(score), tracklet)
            for (x1, y1, x2, y2), track, score, tracklet in head["boxes"]
        )
        moment = datetime.fromtimestamp(head["captured_at"], UTC)
        return LiveFrame(camera_id, message[4 + length :], boxes, moment, Modality(head["modality"]))
    except (struct.error, ValueError, KeyError, TypeError, OverflowError):
        log.warning("live picture cannot be read", camera=camera_id)
        return None


def _jpeg(image: Image | cv2.typing.MatLike) -> bytes:
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise ValueError(f"picture of shape {image.shape} could not be encoded")
    return bytes(data)
