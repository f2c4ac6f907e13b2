"""The demo as a user starts it, and who is who in its films: a stored picture is found again by its pixels."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx2 as httpx
import numpy as np
from support.installation import free_port

from models.boxes import intersection_over_union
from models.synthetic.clip_files import CameraClip, read_truth
from pipeline.types import Image
from service.demo_clips import demo_clips

READY_S = 300.0


class Film:
    """One camera's film, small and grey, and its true boxes."""

    SCALE = 2

    def __init__(self, clip: CameraClip) -> None:
        self.clip, self._truth = clip, read_truth(clip)
        capture, frames = cv2.VideoCapture(str(clip.video)), []
        while (read := capture.read())[0]:
            frames.append(self._small(read[1]))
        self._frames = np.stack(frames)

    def _small(self, image: Any) -> Any:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        size = max(1, image.shape[1] // self.SCALE), max(1, image.shape[0] // self.SCALE)
        return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)

    def who(self, crop: Image, box: list[float]) -> int | None:
        """The person in a picture that was cut out at a box; None where the truth has nobody there."""
        small = self._small(crop)
        x, y = (max(0, round(v / self.SCALE)) for v in box[:2])
        there = self._frames[:, y : y + small.shape[0], x : x + small.shape[1]]
        small = small[: there.shape[1], : there.shape[2]].astype(np.int16)
        frame = int(np.abs(there - small).mean(axis=(1, 2)).argmin()) + 1
        near = np.flatnonzero(np.abs(self._truth.frame - frame) <= 1)
        shared = intersection_over_union(np.array([box]), self._truth.boxes[near])[0]
        return int(self._truth.identity[near[shared.argmax()]]) if shared.max(initial=0.0) > 0.4 else None

    def photo_of(self, who: int) -> tuple[bytes, float]:
        """A frame, as PNG, in which somebody stands free and large, and how far from the left the person is, 0 to 1."""
        truth, best, chosen = self._truth, -1.0, 0
        for row in np.flatnonzero(truth.identity == who):
            others = (truth.frame == truth.frame[row]) & (truth.identity != who)
            free = 1 - intersection_over_union(truth.boxes[[row]], truth.boxes[others]).max(initial=0.0)
            size = free**4 * float(truth.visibility[row]) * float(truth.boxes[row, 3] - truth.boxes[row, 1])
            if size > best:
                best, chosen = size, int(row)
        capture = cv2.VideoCapture(str(self.clip.video))
        for _ in range(int(truth.frame[chosen])):
            ok, frame = capture.read()
            assert ok
        x1, _, x2, _ = truth.boxes[chosen]
        return cv2.imencode(".png", frame)[1].tobytes(), float(x1 + x2) / 2 / self.clip.width_px


class Demo:
    """``tapetum demo`` in a process of its own, and its API with the administrator's login."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=f"{self.url}/api/v1", timeout=60)
        self._log = folder / "demo.log"
        environment = {k: v for k, v in os.environ.items() if k != "TAPETUM_REDIS_URL"}
        environment |= {"TAPETUM_DATA_DIR": str(folder), "TAPETUM_PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "demo"], env=environment, stdout=log, stderr=log
            )
        self._films: dict[str, Film] = {}
        self._known: dict[str, int | None] = {}

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_ready(self) -> None:
        deadline_s = time.monotonic() + READY_S
        while "is ready" not in self.log():
            ended = self.process.poll() is not None or time.monotonic() > deadline_s
            assert not ended, self.log()[-3000:]
            time.sleep(0.2)
        found = re.search(r"User admin, password (\S+)", self.log())
        assert found, self.log()[-3000:]
        self.password = found[1]
        answer = self.client.post("/session", json={"account": "admin", "password": self.password})
        self.client.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, json: dict[str, Any]) -> Any:
        answer = self.client.post(path, json=json)
        assert answer.is_success, answer.text
        return answer.json()

    def film(self, camera: str) -> Film:
        if camera not in self._films:
            self._films[camera] = Film(next(clip for clip in demo_clips() if clip.id == camera))
        return self._films[camera]

    def who(self, tracklet_id: str) -> int | None:
        """The person whom a sighting shows, in most of its pictures; it does not change while it grows.

        None too for one that is on its way from the worker to the gallery.
        """
        if tracklet_id not in self._known:
            answer = self.client.get(f"/tracklets/{tracklet_id}")
            if answer.status_code == 404:
                return None
            found = answer.json()
            seen = Counter(self._in(found["camera_id"], crop) for crop in found["crops"])
            self._known[tracklet_id] = seen.most_common(1)[0][0] if seen else None
        return self._known[tracklet_id]

    def _in(self, camera: str, crop: dict[str, Any]) -> int | None:
        data = np.frombuffer(self.client.get(f"{self.url}{crop['url']}").content, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert image is not None
        return self.film(camera).who(np.asarray(image, np.uint8), crop["box"])

    def seen_on(self, *cameras: str) -> dict[int, list[str]]:
        """Ids of the sightings of each person on some cameras, so far."""
        found: dict[int, list[str]] = {}
        for camera in cameras:
            for item in self.get("/tracklets", camera=camera, limit=200)["items"]:
                who = self.who(item["id"])
                if who is not None:
                    found.setdefault(who, []).append(item["id"])
        return found

    def close(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """Started, ready, and ended as by Ctrl-C."""
    demo = Demo(folder)
    try:
        demo.wait_ready()
        yield demo
    finally:
        demo.close()
