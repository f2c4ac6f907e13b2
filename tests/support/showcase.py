"""Makes the pictures of ``docs/images``, one a page: the demo's films with their true boxes, vectors by the model that
ships.

``PYTHONPATH=.:tests python tests/support/showcase.py FOLDER docs/images``. Nobody is detected or tracked live here,
which would take minutes, and what the cameras did in the 24 hours before is made up; what is searched, found in a photo
and shown is real.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from playwright.sync_api import sync_playwright
from support.api_world import PASSWORD, World, record_of, world_in
from support.filmed import filmed
from support.films import frames_of
from support.histories import seed_history
from support.tour import Tour
from ulid import ULID

from models.types import Modality
from pipeline.camera import CameraConfig, CameraHealth, CameraState, LiveBox
from pipeline.embed import Embedder
from pipeline.types import Image
from service.api.loading import real_loaders
from service.camera_board import RedisCameraBoard
from service.demo_plan import declare_demo_plan, demo_position
from service.engines import load_embedder
from service.ingest import IngestStats
from service.live import RedisLiveView
from service.security import Role
from service.settings import load_settings
from service.worker_reports import WorkerReport, WorkerReports

FILMS = Path(__file__).resolve().parents[2] / "service/demo_world"
PORT = 8792
LAID_OUT = 96
"""A frame of the first film in which several people stand apart."""
Box = tuple[float, float, float, float]


@dataclass
class Film:
    """One camera: its frames, as JPEG, and the true boxes ``{frame: {person: (x1, y1, x2, y2) in pixels}}``."""

    camera: dict[str, Any]
    frames: list[bytes]
    boxes: dict[int, dict[int, Box]]

    def frame(self, number: int) -> Image:
        image = cv2.imdecode(np.frombuffer(self.frames[number], np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return np.asarray(image, np.uint8)

    def modality(self, frame: int) -> Modality:
        return Modality([light for light, since in self.camera["modalities"] if since <= frame][-1])

    def visits(self) -> Iterator[tuple[int, list[int]]]:
        """Persons, and the frames of each stretch of time in which they are seen whole."""
        for person in sorted({p for boxes in self.boxes.values() for p in boxes}):
            stretch: list[int] = []
            for frame in [*sorted(f for f, boxes in self.boxes.items() if person in boxes), 10**9]:
                if stretch and (
                    frame - stretch[-1] > 8 or self.modality(min(frame, 479)) is not self.modality(stretch[0])
                ):
                    if len(stretch) >= 12:
                        yield person, stretch
                    stretch = []
                stretch.append(frame)


def films() -> list[Film]:
    found = []
    for camera in json.loads((FILMS / "world.json").read_text())["cameras"]:
        frames = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames_of(FILMS / camera["file"])]
        boxes: dict[int, dict[int, Box]] = {}
        for line in (FILMS / camera["truth"]).read_text().splitlines():
            frame, person, x, y, w, h, _, _, visible = (float(v) for v in line.split(",")[:9])
            if visible > 0.6:
                boxes.setdefault(int(frame) - 1, {})[int(person)] = (x, y, x + w, y + h)
        found.append(Film(camera, frames, boxes))
    return found


def crop(image: Image, box: Box) -> Image:
    x1, y1, x2, y2 = (max(0, round(v)) for v in box)
    return np.ascontiguousarray(image[y1:y2, x1:x2])


def whole(image: Image, box: Box) -> tuple[Image, Box]:
    """The picture as a sighting keeps it, and the box in fractions of it."""
    height, width = image.shape[:2]
    scale = min(1.0, 640 / width)
    small = cv2.resize(image, (round(width * scale) & ~1, round(height * scale) & ~1), interpolation=cv2.INTER_AREA)
    x1, y1, x2, y2 = box
    return np.asarray(small, np.uint8), (x1 / width, y1 / height, x2 / width, y2 / height)


def seed(world: World, embedder: Embedder, all_films: list[Film]) -> dict[tuple[str, int], str]:
    """The films' sightings, the last of them a moment ago; returns their ids by camera and person."""
    known: dict[tuple[str, int], str] = {}
    starts = [datetime.fromisoformat(film.camera["starts_at"]) for film in all_films]
    first, past = min(starts), datetime.now(UTC) - (max(starts) - min(starts)) - timedelta(minutes=2)
    for film in all_films:
        camera = film.camera
        url = f"rtsp://viewer:secret@192.168.1.20:554/{camera['id']}"
        world.services.cameras.add(
            CameraConfig(camera["id"], camera["name"], url, position=demo_position(camera["id"]))
        )
        offset = datetime.fromisoformat(camera["starts_at"]) - first
        for number, (person, frames) in enumerate(film.visits()):
            middle = frames[len(frames) // 4 :: max(len(frames) // 4, 1)][:4]
            pictures = [crop(film.frame(f), film.boxes[f][person]) for f in middle]
            modality = film.modality(frames[0])
            vector = embedder.embed_images(pictures, [modality] * len(pictures)).mean(axis=0)
            record = record_of(
                world.services.media,
                "red",
                number=1000 * len(known) + number,
                camera=camera["id"],
                modality=modality,
                started_at=past + offset + timedelta(seconds=frames[0] / camera["fps"]),
                pictures=pictures,
            )
            scenes = [whole(film.frame(f), film.boxes[f][person]) for f in frames[:48:2]]
            record = filmed(world.services.media, record, scenes, 2 / camera["fps"])
            vector = (vector / np.linalg.norm(vector)).astype(np.float32)
            world.services.gallery.put(replace(record, vector=vector, model_hash=embedder.model_hash))
            known[camera["id"], person] = record.id
    return known


def show_live(world: World, all_films: list[Film], known: dict[tuple[str, int], str], stop: threading.Event) -> None:
    """Plays every film again and again, as a worker would show it."""
    view = RedisLiveView(world.services.redis)
    board = RedisCameraBoard(world.services.redis, "worker-1", 8)
    step = 0
    while not stop.wait(0.2):
        now = datetime.now(UTC)
        for film in all_films:
            one = film.camera["id"]
            frame = step % len(film.frames)
            height, width = film.camera["height_px"], film.camera["width_px"]
            boxes = [
                LiveBox((x1 / width, y1 / height, x2 / width, y2 / height), person, 0.9, known.get((one, person)))
                for person, (x1, y1, x2, y2) in film.boxes.get(frame, {}).items()
            ]
            if one in view.wanted():
                view.publish(one, film.frame(frame), boxes, now, film.modality(frame))
        if step % 5 == 0:
            engines = dict(world.services.engines.descriptions)
            delivery = IngestStats(0, None, len(known), 0, 0, 0, 0, None, None)
            WorkerReports(world.services.redis).pin(WorkerReport("worker-1", engines, delivery))
            board.report(
                [
                    CameraHealth(
                        f.camera["id"],
                        CameraState.LIVE,
                        "worker-1",
                        now,
                        analysed_fps=5.0,
                        decoded_fps=8.0,
                        modality=f.modality(step % len(f.frames)),
                    )
                    for f in all_films
                ]
            )
        step += 1


def come_again(world: World, tracklet_id: str) -> None:
    """Somebody who was seen before is seen now, as the cameras would tell it."""
    record = world.services.gallery.get(tracklet_id)
    assert record is not None
    now = datetime.now(UTC)
    again = replace(record, id=str(ULID.from_datetime(now)), started_at=now - timedelta(seconds=4), ended_at=now)
    world.services.gallery.put(again)


def main(folder: str, images: str) -> None:
    settings = load_settings(data_dir=Path(folder))
    loaders = real_loaders(settings)
    embedder = load_embedder(settings, threads=1)
    all_films = films()
    with world_in(Path(folder), loaders=loaders, dashboard=True) as world, sync_playwright() as playwright:
        declare_demo_plan(world.services.plans)
        known = seed(world, embedder, all_films)
        seed_history(world.services.redis, [film.camera["id"] for film in all_films], datetime.now(UTC), 24)
        world.services.accounts.add("mara", PASSWORD, Role.OPERATOR, None)
        world.services.accounts.add("gatehouse", PASSWORD, Role.VIEWER, ["day-1", "night-1"])
        stop = threading.Event()
        server = uvicorn.Server(uvicorn.Config(world.app, host="127.0.0.1", port=PORT, log_level="warning"))
        threads = [
            threading.Thread(target=show_live, args=(world, all_films, known, stop)),
            threading.Thread(target=server.run),
        ]
        for thread in threads:
            thread.start()
        try:
            while not server.started:
                stop.wait(0.2)
            world.services.engines.wait(300)
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            picture = all_films[0].frames[LAID_OUT]
            tour = Tour(browser, f"http://127.0.0.1:{PORT}", Path(images), picture, lambda one: come_again(world, one))
            tour.take()
            browser.close()
        finally:
            stop.set()
            server.should_exit = True
            for thread in threads:
                thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
