"""Runs the whole application with a seeded gallery and two live cameras, for a browser to look at.

``python dashboard_server.py FOLDER PORT [VIDEO]``. The pictures are painted, or taken from a video when one is
given; everything between them and the browser is real. While a file ``arrive`` lies in the folder, the red walker
comes by once more, now and at night.
"""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import uvicorn
from support.api_world import (
    CALIBRATION,
    COLOURS,
    PASSWORD,
    World,
    foreseeable_loaders,
    person_picture,
    record_of,
    world_in,
)
from support.filmed import filmed, walk
from support.histories import seed_history

from models.types import Modality
from pipeline.camera import CameraConfig, CameraHealth, CameraState, LiveBox
from pipeline.types import Image
from service.api.loading import real_loaders
from service.camera_board import RedisCameraBoard
from service.live import RedisLiveView
from service.security import Role

CAMERAS = (
    ("gate", "Main gate", Modality.VISIBLE, CameraState.LIVE),
    ("gate-night", "Main gate, infrared", Modality.INFRARED, CameraState.LIVE),
    ("car-park", "Car park north", Modality.VISIBLE, CameraState.RECONNECTING),
    ("loading", "Loading bay 2", Modality.INFRARED, CameraState.STALLED),
)
WIDTH, HEIGHT = 768, 432


def seed(world: World, crops: dict[str, list[Image]]) -> dict[str, str]:
    """Cameras and sightings; returns the id of the first sighting of each colour."""
    for camera_id, name, _, _ in CAMERAS:
        url = f"rtsp://viewer:secret@192.168.1.20:554/{camera_id}"
        world.services.cameras.add(CameraConfig(id=camera_id, name=name, url=url))
    first: dict[str, str] = {}
    now = datetime.now(UTC)
    for number in range(40):
        colour = list(COLOURS)[number % 4]
        camera, _, modality, _ = CAMERAS[(number * 7 // 4) % len(CAMERAS)]
        pictures = crops.get(colour, [])
        picture = pictures[number % len(pictures)] if pictures else None
        if picture is not None and modality is Modality.INFRARED:
            picture = grey(picture)
        record = record_of(
            world.services.media,
            colour,
            number=number + 1,
            camera=camera,
            modality=modality,
            started_at=now - timedelta(minutes=3 * (40 - number), seconds=number),
            pictures=[] if picture is None else [picture],
            closed=number < 38,
        )
        world.services.gallery.put(filmed(world.services.media, record, walk(record, COLOURS[colour])))
        first.setdefault(colour, record.id)
    return first


def grey(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


def painted(step: int) -> tuple[Image, list[tuple[tuple[float, float, float, float], str]]]:
    """A picture with four walkers, and where they are."""
    image = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
    cv2.rectangle(image, (0, HEIGHT * 2 // 3), (WIDTH, HEIGHT), (70, 74, 78), -1)
    found = []
    for i, colour in enumerate(COLOURS):
        left, top = 60 + 170 * i + 6 * (step % 10), 130 + 25 * (i % 2)
        figure = person_picture(colour, width=80, height=200)
        image[top : top + 200, left : left + 80] = figure
        found.append(((left / WIDTH, top / HEIGHT, (left + 80) / WIDTH, (top + 200) / HEIGHT), colour))
    return image, found


def show_live(world: World, first: dict[str, str], stop: threading.Event, video: str | None, arrive: Path) -> None:
    """What a worker does all the time: pictures with boxes, and reports."""
    view = RedisLiveView(world.services.redis)
    board = RedisCameraBoard(world.services.redis, "test-worker", 8)
    capture = cv2.VideoCapture(video) if video else None
    step = 0
    while not stop.wait(0.15):
        image, found = painted(step)
        if capture is not None:
            ok, frame = capture.read()
            if not ok:
                capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
                continue
            image, found = np.asarray(frame, np.uint8), painted(step)[1]
        now = datetime.now(UTC)
        if arrive.exists():
            arrive.unlink()
            media = world.services.media
            late = record_of(media, "red", number=41, camera="loading", modality=Modality.INFRARED, started_at=now)
            world.services.gallery.put(late)
        # The last walker has only just come: not searchable yet.
        boxes = [LiveBox(box, i + 1, 0.9, first[colour] if i < 3 else None) for i, (box, colour) in enumerate(found)]
        for camera_id, _, modality, state in CAMERAS:
            if state is CameraState.LIVE and camera_id in view.wanted():
                view.publish(camera_id, grey(image) if modality is Modality.INFRARED else image, boxes, now, modality)
        if step % 5 == 0:
            board.report(
                [
                    CameraHealth(
                        camera_id,
                        state,
                        "test-worker",
                        now,
                        error="The camera stopped answering." if state is CameraState.RECONNECTING else None,
                        analysed_fps=6.0 if state is CameraState.LIVE else 0.0,
                        decoded_fps=10.0,
                        last_frame_at=now - timedelta(seconds=0 if state is CameraState.LIVE else 90),
                        reconnects=3 if state is CameraState.RECONNECTING else 0,
                        frames_skipped={"superseded": 12},
                        modality=modality,
                    )
                    for camera_id, _, modality, state in CAMERAS
                ]
            )
        step += 1


def main(folder: str, port: str, video: str | None = None, crops: str | None = None) -> None:
    pictures: dict[str, list[Image]] = {}
    if crops:
        files = sorted(Path(crops).glob("*.png"))
        for i, colour in enumerate(COLOURS):
            pictures[colour] = [np.asarray(cv2.imread(str(f)), np.uint8) for f in files[i::4]]
    with world_in(Path(folder), loaders=foreseeable_loaders(calibration=CALIBRATION), dashboard=True) as world:
        # What somebody looks at by the page is looked at for real.
        world.services.loaders = replace(world.services.loaders, probe=real_loaders(world.settings).probe)
        first = seed(world, pictures)
        seed_history(world.services.redis, [camera for camera, _, _, _ in CAMERAS], datetime.now(UTC), 6)
        world.services.accounts.add("watcher", PASSWORD, Role.VIEWER, ["gate"])
        stop = threading.Event()
        painter = threading.Thread(target=show_live, args=(world, first, stop, video, Path(folder) / "arrive"))
        painter.start()
        try:
            uvicorn.run(world.app, host="127.0.0.1", port=int(port), log_level="warning", timeout_graceful_shutdown=1)
        finally:
            stop.set()
            painter.join()


if __name__ == "__main__":
    # uvicorn raises the signal again when it has stopped: that must not end the process before Redis is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main(*sys.argv[1:])
