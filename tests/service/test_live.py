"""Live pictures: only for who watches, the newest for who is slow, again after Redis was gone."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from models.types import Modality
from pipeline.camera import LiveBox
from service.live import LiveFrame, LiveHub, RedisLiveView, draw_boxes

BOXES = (LiveBox((0.25, 0.25, 0.75, 0.9), 7, 0.5, None), LiveBox((0.0, 0.0, 1.0, 1.0), 8, 0.9, "01ABC"))


def image(shade: int, width_px: int = 64) -> np.ndarray:
    return np.full((48, width_px, 3), shade, np.uint8)


class Publisher:
    """A worker's side: publishes rising shades for whatever is wanted, until stopped."""

    def __init__(self, server) -> None:
        self.view = RedisLiveView(server.client(timeout_s=0.5))
        self.published = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Publisher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            for camera in self.view.wanted():
                self.view.publish(camera, image(self.published % 250), BOXES, datetime.now(UTC), Modality.INFRARED)
                self.published += 1


async def take(hub: LiveHub, camera: str, count: int) -> list[LiveFrame]:
    frames = []
    stream = hub.frames(camera)
    async for frame in stream:
        frames.append(frame)
        if len(frames) == count:
            break
    await stream.aclose()
    return frames


async def until_watched(view: RedisLiveView) -> None:
    for _ in range(500):
        if view.wanted():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody watches")


def test_a_viewer_sees_pictures_with_their_boxes(redis_server) -> None:
    async def watch() -> list[LiveFrame]:
        hub = LiveHub(redis_server.url)
        frames = await take(hub, "hall", 3)
        await hub.close()
        return frames

    with Publisher(redis_server):
        frames = asyncio.run(asyncio.wait_for(watch(), 10))
    for frame in frames:
        assert frame.camera_id == "hall"
        assert frame.boxes == BOXES
        assert frame.modality is Modality.INFRARED
        assert abs((datetime.now(UTC) - frame.captured_at).total_seconds()) < 10
        assert cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)


def test_nothing_is_published_that_nobody_watches(redis_server) -> None:
    async def watch() -> None:
        hub = LiveHub(redis_server.url)
        assert view.wanted() == frozenset()
        await take(hub, "hall", 1)
        first = asyncio.create_task(take(hub, "hall", 1000))
        second = asyncio.create_task(take(hub, "hall", 1))
        third = asyncio.create_task(take(hub, "yard", 1))
        await second
        await third
        assert "hall" in view.wanted()
        assert redis_server.client().pubsub_numsub("tapetum:live:hall")[0][1] == 1, "one subscription for all viewers"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        for _ in range(100):
            if not view.wanted():
                break
            await asyncio.sleep(0.05)
        assert view.wanted() == frozenset()
        assert hub.watched == frozenset()
        await hub.close()

    view = RedisLiveView(redis_server.client())
    with Publisher(redis_server):
        asyncio.run(asyncio.wait_for(watch(), 15))
    assert redis_server.client().dbsize() == 0, "Redis never holds pictures"


def test_a_slow_viewer_gets_the_newest_and_hinders_nobody(redis_server) -> None:
    async def watch() -> tuple[datetime, float, int]:
        hub = LiveHub(redis_server.url)
        slow = hub.frames("hall")
        await anext(slow)
        quick = await take(hub, "hall", 40)
        asked = time.time()
        frame = await anext(slow)
        await slow.aclose()
        await hub.close()
        return frame.captured_at, asked, len(quick)

    with Publisher(redis_server):
        captured_at, asked, quick = asyncio.run(asyncio.wait_for(watch(), 15))
    assert quick == 40
    assert asked - captured_at.timestamp() < 0.5


def test_viewers_see_pictures_again_after_redis_was_killed(mortal_server) -> None:
    async def watch() -> None:
        hub = LiveHub(mortal_server.url)
        stream = hub.frames("hall")
        await anext(stream)
        mortal_server.kill()
        await asyncio.sleep(0.3)
        mortal_server.start()
        started = datetime.now(UTC)
        async for frame in stream:
            if frame.captured_at > started:
                break
        await stream.aclose()
        await hub.close()

    with Publisher(mortal_server):
        asyncio.run(asyncio.wait_for(watch(), 20))


def test_a_dead_redis_costs_pictures_and_nothing_else(mortal_server) -> None:
    view = RedisLiveView(mortal_server.client(timeout_s=0.5))
    mortal_server.kill()
    assert view.wanted() == frozenset()
    view.publish("hall", image(1), BOXES, datetime.now(UTC), Modality.VISIBLE)


def test_a_foreign_message_is_left_out(redis_server) -> None:
    async def watch() -> LiveFrame:
        hub = LiveHub(redis_server.url)
        task = asyncio.create_task(take(hub, "hall", 1))
        client = redis_server.client()
        await until_watched(RedisLiveView(client))
        for rubbish in (b"", b"\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x02{}", b"\x00\x00\x00\x04nullx"):
            client.publish("tapetum:live:hall", rubbish)
        RedisLiveView(client).publish("hall", image(5), (), datetime.now(UTC), Modality.VISIBLE)
        (frame,) = await task
        await hub.close()
        return frame

    assert asyncio.run(asyncio.wait_for(watch(), 10)).boxes == ()


def test_wide_pictures_are_made_smaller(redis_server) -> None:
    async def watch() -> LiveFrame:
        hub = LiveHub(redis_server.url)
        task = asyncio.create_task(take(hub, "hall", 1))
        view = RedisLiveView(redis_server.client())
        await until_watched(view)
        view.publish("hall", np.zeros((1080, 1920, 3), np.uint8), (), datetime.now(UTC), Modality.VISIBLE)
        (frame,) = await task
        await hub.close()
        return frame

    frame = asyncio.run(asyncio.wait_for(watch(), 10))
    assert cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (432, 768, 3)


def test_boxes_are_drawn_where_they_are() -> None:
    ok, data = cv2.imencode(".jpg", np.zeros((200, 200, 3), np.uint8))
    assert ok
    plain = data.tobytes()
    assert draw_boxes(plain, ()) == plain
    drawn = cv2.imdecode(np.frombuffer(draw_boxes(plain, BOXES[:1]), np.uint8), cv2.IMREAD_COLOR)
    assert drawn[100, 50].min() > 80  # left edge at a quarter
    assert drawn[100, 100].max() < 40  # inside
    assert drawn[20, 20].max() < 40  # outside
    with pytest.raises(ValueError, match="JPEG"):
        draw_boxes(b"no picture", BOXES)
