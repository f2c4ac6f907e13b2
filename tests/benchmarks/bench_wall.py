"""What the live wall costs a browser and the API for each picture, beside a page that only shows the same pictures.

``python -m tests.benchmarks.bench_wall [--cameras 16] [--fps 2] [--seconds 20]``

Pictures with two or three people in each are published as a worker does; headless Chromium, which has no GPU here,
shows them first on bare canvases and then on the wall. Told are milliseconds of processor time of the page's process
and of the API for each picture, and the wall's as a ratio of the bare page's.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright

from models.types import Modality
from pipeline.camera import LiveBox
from service.demo_clips import demo_clips
from service.live import RedisLiveView
from service.redis_server import client_for
from tests.benchmarks.bench_dashboard import PASSWORD, installed
from tests.support.cameras import wait_for
from tests.support.films import frames_of
from tests.support.opened import opened

_COUNT = """
window.pictures = 0;
window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    if (String(args[0]).includes("/api/")) this.addEventListener("message", () => window.pictures++);
  }
};
"""
_BARE = """
ids => {
  document.body.replaceChildren(...ids.map(id => Object.assign(document.createElement("canvas"), { id })));
  for (const canvas of document.body.children) canvas.style.width = "290px";
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/api/v1/live");
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send(JSON.stringify({ watch: ids }));
  socket.onmessage = async ({ data }) => {
    const length = new DataView(data).getUint32(0);
    const { camera_id } = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const picture = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
    document.getElementById(camera_id).getContext("bitmaprenderer").transferFromImageBitmap(picture);
  };
}
"""


class Cameras:
    """Publishes pictures of one of the demo's films, each camera so many a second, until it is stopped."""

    def __init__(self, url: str, ids: list[str], fps: float) -> None:
        self._view, self._ids, self._pause_s = RedisLiveView(client_for(url)), ids, 1 / (fps * len(ids))
        self._film = frames_of(demo_clips()[0].video)[:20]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _play(self) -> None:
        number, due_s = 0, time.monotonic()
        while not self._stop.wait(max(0.0, due_s - time.monotonic())):
            people = tuple(
                LiveBox((0.1 + 0.2 * i, 0.2, 0.2 + 0.2 * i, 0.7), i, 0.9, None) for i in range(2 + number % 2)
            )
            camera, image = self._ids[number % len(self._ids)], self._film[number % len(self._film)]
            self._view.publish(camera, image, people, datetime.now(UTC), Modality.VISIBLE)
            number, due_s = number + 1, due_s + self._pause_s


def _used_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def measure(page: Page, api: psutil.Process, seconds: float) -> dict[str, float]:
    """Milliseconds of processor time a picture, of the page's process and of the API."""
    children = psutil.Process().children(recursive=True)
    renderers = [p for p in children if "--type=renderer" in p.cmdline()]
    wait_for(lambda: page.evaluate("window.pictures") > 30, 30, "the first pictures")
    before, pages_s, api_s = page.evaluate("window.pictures"), _used_s(renderers), _used_s([api])
    time.sleep(seconds)
    count = page.evaluate("window.pictures") - before
    return {
        "pictures_a_second": round(count / seconds, 1),
        "page_ms": round(1000 * (_used_s(renderers) - pages_s) / count, 2),
        "api_ms": round(1000 * (_used_s([api]) - api_s) / count, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--fps", type=float, default=2.0, help="pictures a second of each camera")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    ids = [f"camera-{number:02}" for number in range(options.cameras)]
    shown: dict[str, Callable[[Page], object]] = {
        "bare": lambda page: page.evaluate(_BARE, ids),
        "wall": lambda page: page.locator(".tp-tile").first.wait_for(),
    }
    with tempfile.TemporaryDirectory() as folder, installed(Path(folder)) as place, sync_playwright() as playwright:
        place.post("/users", json={"account": "operator", "password": PASSWORD, "role": "operator", "cameras": None})
        for one in ids:
            place.post("/cameras", json={"id": one, "name": one, "url": f"rtsp://127.0.0.1:9/{one}"})
        cameras = Cameras(place.redis.url, ids, options.fps)
        try:
            told: dict[str, dict[str, float]] = {}
            for name, show in shown.items():
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
                context = opened(browser, place.url, {"account": "operator", "password": PASSWORD})
                context.add_init_script(_COUNT)
                page = context.new_page()
                page.goto(place.url if name == "wall" else f"{place.url}/login")
                show(page)
                told[name] = measure(page, psutil.Process(place.processes["api"].pid), options.seconds)
                browser.close()
            ratio = round(told["wall"]["page_ms"] / told["bare"]["page_ms"], 2)
            print(json.dumps({**told, "ratio": ratio}, indent=2))
        finally:
            cameras.stop()


if __name__ == "__main__":
    main()
