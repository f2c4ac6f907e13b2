"""Makes the pictures of ``docs/images``: the demo's films with their true boxes, vectors by the model that ships.

``python tests/support/showcase.py FOLDER docs/images``. Nobody is detected or tracked here, which would take minutes;
what is searched and shown is real.
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
import PIL.Image as Pillow
import uvicorn
from playwright.sync_api import Page, sync_playwright
from support.api_world import MODEL_HASH, World, foreseeable_loaders, record_of, world_in
from support.browsing import log_in
from support.filmed import filmed

from models.types import Modality
from pipeline.camera import CameraConfig, CameraHealth, CameraPosition, CameraState, LiveBox
from pipeline.embed import Embedder
from pipeline.types import Image
from service.api.engines import LoadedModel
from service.api.services import Loaders
from service.camera_board import RedisCameraBoard
from service.engines import load_embedder
from service.live import RedisLiveView
from service.settings import load_settings

FILMS = Path(__file__).resolve().parents[2] / "service/demo_world"
PLACES = {"day-1": (0, 0), "day-2": (60, 10), "night-1": (20, 50), "night-2": (75, 55), "dusk-1": (110, 25)}
Box = tuple[float, float, float, float]


@dataclass
class Film:
    """One camera: its frames, and the true boxes ``{frame: {person: (x1, y1, x2, y2) in pixels}}``."""

    camera: dict[str, Any]
    frames: list[Image]
    boxes: dict[int, dict[int, Box]]

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
        capture = cv2.VideoCapture(str(FILMS / camera["file"]))
        frames = []
        while (read := capture.read())[0]:
            frames.append(np.asarray(read[1], np.uint8))
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
        x, y = PLACES[camera["id"]]
        url = f"rtsp://viewer:secret@192.168.1.20:554/{camera['id']}"
        world.services.cameras.add(CameraConfig(camera["id"], camera["name"], url, position=CameraPosition(x, y)))
        offset = datetime.fromisoformat(camera["starts_at"]) - first
        for number, (person, frames) in enumerate(film.visits()):
            middle = frames[len(frames) // 4 :: max(len(frames) // 4, 1)][:4]
            pictures = [crop(film.frames[f], film.boxes[f][person]) for f in middle]
            modality = film.modality(frames[0])
            vector = embedder.embed_images(pictures, [modality] * len(pictures)).mean(axis=0)
            record = record_of(
                world.services.media,
                "red",
                number=1000 * len(known) + number,
                camera=camera["id"],
                modality=modality,
                started_at=past + offset + timedelta(seconds=frames[0] / camera["fps"]),
                picture=pictures[len(pictures) // 2],
            )
            scenes = [whole(film.frames[f], film.boxes[f][person]) for f in frames[:48:2]]
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
            height, width = film.frames[frame].shape[:2]
            boxes = [
                LiveBox((x1 / width, y1 / height, x2 / width, y2 / height), person, 0.9, known.get((one, person)))
                for person, (x1, y1, x2, y2) in film.boxes.get(frame, {}).items()
            ]
            if one in view.wanted():
                view.publish(one, film.frames[frame], boxes, now, film.modality(frame))
        if step % 5 == 0:
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


def shoot(page: Page, address: str, folder: Path) -> None:
    """One picture a page."""

    def keep(name: str) -> None:
        page.mouse.move(0, 0)
        page.wait_for_timeout(1200)
        page.screenshot(path=folder / f"{name}.png")
        with Pillow.open(folder / f"{name}.png") as picture:
            picture.convert("RGB").quantize(256).save(folder / f"{name}.png", optimize=True)

    page.goto(address)
    page.locator(".tp-tile[data-camera=day-1] .tp-box-ready").nth(2).wait_for(timeout=60_000)
    keep("live")
    page.locator(".tp-tile[data-camera=day-1] .tp-box-ready").first.click(force=True)
    page.locator(".tp-rank").first.wait_for(timeout=60_000)
    keep("search")
    page.locator(".tp-card").first.focus()
    for count in (1, 2, 3):
        page.keyboard.press("c")
        page.get_by_role("heading", name=f"Confirmed {count}").wait_for(timeout=60_000)
        page.locator(".tp-card:focus").wait_for()
    page.get_by_role("button", name="Keep as a subject").click()
    page.get_by_label("Name, if there is one").fill("Seen at the plaza")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.locator(".tp-span").first.wait_for(timeout=60_000)
    page.locator(".tp-span").nth(1).dispatch_event("click")  # two may lie upon each other
    keep("subject")
    for path, whole in (("system", ".tp-curves"), ("audit", ".tp-audit tbody tr")):
        page.goto(f"{address}/{path}")
        page.locator(whole).first.wait_for(timeout=60_000)
        keep(path)


def main(folder: str, images: str) -> None:
    embedder = load_embedder(load_settings(data_dir=Path(folder)), threads=1)
    assert embedder.model_hash != MODEL_HASH
    stubs = foreseeable_loaders()
    model = LoadedModel(embedder, embedder.dim, embedder.label, embedder.calibration, embedder.model_card)
    loaders = Loaders(lambda: model, stubs.detector, stubs.judge_photo, stubs.probe)
    all_films = films()
    with world_in(Path(folder), loaders=loaders, dashboard=True) as world, sync_playwright() as playwright:
        known = seed(world, embedder, all_films)
        stop = threading.Event()
        server = uvicorn.Server(uvicorn.Config(world.app, host="127.0.0.1", port=8792, log_level="warning"))
        threads = [
            threading.Thread(target=show_live, args=(world, all_films, known, stop)),
            threading.Thread(target=server.run),
        ]
        for thread in threads:
            thread.start()
        try:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            context = browser.new_context(viewport={"width": 1280, "height": 720}, timezone_id="Europe/Berlin")
            context.add_init_script("localStorage.setItem('tapetum-theme', 'dark')")
            while not server.started:
                stop.wait(0.2)
            log_in(context, "http://127.0.0.1:8792")
            shoot(context.new_page(), "http://127.0.0.1:8792", Path(images))
            browser.close()
        finally:
            stop.set()
            server.should_exit = True
            for thread in threads:
                thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
