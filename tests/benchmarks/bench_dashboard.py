"""The dashboard under load: searching while cameras are analysed, memory of the web process, what a closed tab frees.

``python -m tests.benchmarks.bench_dashboard [--minutes 30] [--cameras 16] [--tracklets 100000] [--tabs 5]``

Redis, the API, a worker with its real networks and an RTSP server that plays the demo's films are processes of their
own, as `tapetum serve` runs them; the tabs are pages of headless Chromium on the same machine. All but one tab show the
live wall, in a browser of their own; in the last, somebody clicks a person, changes a chip twice, judges three times,
and begins anew. The same is asked over REST from here. Once a minute one of the walls is closed and another opened, and
new sightings come into the gallery all the time, as from a worker with cores enough (`--arriving`).

The same interactions are measured first with few sightings and no worker, and then with all sightings and no worker:
the baselines of the same run. The aim is a 95th percentile below 300 ms under load, memory that stays, and streams
that end with their tab.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Browser, BrowserContext, Error, sync_playwright

from service.commands.serve import WORKER_NICENESS
from service.gallery import Gallery, MediaStore
from service.redis_server import client_for
from tests.support.cameras import RtspServer, wait_for
from tests.support.crowded import Crowd, streams
from tests.support.installation import Installation
from tests.support.opened import Operator, opened, wall

DIMENSION = 256  # of the shipped model
FEW = 2000
FPS, STRETCH_S = 10, 15
SAMPLE_S, TAB_S = 10.0, 60.0
PASSWORD = "a-password-for-tests"


@dataclass
class Times:
    """Milliseconds of each interaction, by what was done."""

    found: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, ms: float) -> None:
        self.found.setdefault(name, []).append(ms)

    def summary(self) -> dict[str, Any]:
        return {name: _percentiles(ms) for name, ms in sorted(self.found.items()) if ms}


def say(text: str) -> None:
    """Where the run is, which takes its time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _percentiles(ms: list[float]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(ms, (50, 95, 99))
    return {"count": len(ms), "p50": round(p50, 1), "p95": round(p95, 1), "p99": round(p99, 1), "worst": round(max(ms))}


class Memory:
    """Resident memory of some processes over time."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self.samples: list[dict[str, float]] = []
        self._begun = time.monotonic()
        self._due_s = 0.0

    def look(self) -> None:
        """Take a sample if it is time for one."""
        now = time.monotonic() - self._begun
        if now >= self._due_s:
            self._due_s = now + SAMPLE_S
            found = {name: round(p.memory_info().rss / 2**20, 1) for name, p in self._processes.items()}
            self.samples.append({"at_s": round(now, 1), **found})
            if len(self.samples) % 6 == 1:
                say(f"memory, MB: {found}")

    def summary(self) -> dict[str, Any]:
        return {name: self._slope(name) for name in self._processes}

    def _slope(self, name: str) -> dict[str, float]:
        """MB an hour over the last two thirds, with its standard error from means of a minute, which hang together
        less than samples do."""
        at_h = np.array([s["at_s"] for s in self.samples]) / 3600
        mb = np.array([s[name] for s in self.samples])
        late = at_h >= at_h[-1] / 3
        minute = (at_h[late] * 60).astype(int)
        x = np.array([at_h[late][minute == m].mean() for m in np.unique(minute)])
        y = np.array([mb[late][minute == m].mean() for m in np.unique(minute)])
        told = {"first_mb": float(mb[0]), "last_mb": float(mb[-1]), "peak_mb": float(mb.max())}
        if len(x) > 3:
            slope, offset = np.polyfit(x, y, 1)
            spread = np.sqrt(((y - slope * x - offset) ** 2).sum() / (len(x) - 2))
            told |= {"mb_per_h": float(slope), "error_mb_per_h": float(spread / np.sqrt(((x - x.mean()) ** 2).sum()))}
        return {key: round(value, 1) for key, value in told.items()}


class Cpu:
    """Cores that some processes, and what each has started but the others of them, have used since the beginning."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._before = {name: self._used(pid) for name, pid in pids.items()}
        self._begun = time.monotonic()

    def _used(self, pid: int) -> float:
        total, others = 0.0, set(self._pids.values()) - {pid}
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            if process.pid in others:
                continue
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def summary(self) -> dict[str, float]:
        wall_s = time.monotonic() - self._begun
        return {name: round((self._used(pid) - self._before[name]) / wall_s, 2) for name, pid in self._pids.items()}


class Streams:
    """What is open between the pages and the web process."""

    def __init__(self, place: Installation) -> None:
        self._place = place

    def now(self) -> dict[str, int]:
        api = psutil.Process(self._place.processes["api"].pid)
        connections = [c for c in api.net_connections("tcp") if c.status == psutil.CONN_ESTABLISHED]
        lines = self._place.client.get("/metrics").text.splitlines()
        figures = {line.split()[0]: line.split()[-1] for line in lines if line.startswith("tapetum_")}
        return {
            "connections": sum(c.laddr.port == self._place.port for c in connections),
            "live_viewers": int(float(figures["tapetum_live_viewers"])),
            "pages": int(float(figures["tapetum_dashboard_pages"])),
            "cameras_watched": len(client_for(self._place.redis.url).pubsub_channels("tapetum:live:*")),
        }


def ask_once(place: Installation, times: Times, started: int) -> None:
    """The same interactions over REST: somebody of the newest, one light only, two verdicts."""

    def timed(name: str, act: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        answer = act()
        times.add(name, 1000 * (time.perf_counter() - begun))
        return answer

    newest = place.get("/tracklets", limit=50)["items"]
    one = newest[started % len(newest)]["id"]
    question: dict[str, Any] = {"examples": [{"tracklet_id": one}], "k": 50}
    timed("click", lambda: place.post("/searches", json=question))
    narrowed = {**question, "filters": {"modality": "infrared"}}
    made = timed("chip", lambda: place.post("/searches", json=narrowed))
    matches = made["matches"]
    for verdict in ("confirm", "reject"):
        if not matches:
            break
        path = f"/api/v1/searches/{made['id']}/feedback/{matches[0]['tracklet']['id']}"
        answer = timed("verdict", lambda path=path, verdict=verdict: place.client.put(path, json={"verdict": verdict}))
        assert answer.status_code == 200, answer.text
        matches = answer.json()["matches"]


def interact(
    place: Installation, operator: Operator, seconds: float, between: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Search again and again, in the page and over REST by turns."""
    page = {name: Times() for name in ("wire_ms", "shown_ms", "pictures_ms")}
    rest, begun, rounds, lost, begun_anew = Times(), time.monotonic(), 0, [], 0
    while time.monotonic() - begun < seconds:
        try:
            if len(lost) > begun_anew:
                operator.begin_anew()
                begun_anew = len(lost)
            for name, told in operator.search_once(between):
                for which, times in page.items():
                    times.add(name, told[which])
                    times.add("all", told[which])
        except Error as error:  # the page was loaded anew, say, because its socket was silent for too long
            lost.append(str(error).splitlines()[0])
            say(f"an interaction was lost: {lost[-1]}")
            between()
            continue
        ask_once(place, rest, rounds)
        rounds += 1
        between()
    rest.found["all"] = [ms for found in rest.found.values() for ms in found]
    told = {which: times.summary() for which, times in page.items()}
    return {"searches": rounds, "lost": lost, "rest_ms": rest.summary(), **told}


class Walls:
    """Tabs that show all cameras; from time to time one is closed and another opened."""

    def __init__(self, browser: Browser, address: str, login: dict[str, str]) -> None:
        self._browser, self._address, self._login = browser, address, login
        self._open: list[BrowserContext] = []
        self.lost: list[str] = []
        self._due_s = time.monotonic() + TAB_S

    def open(self, count: int) -> None:
        for _ in range(count):
            self._open.append(opened(self._browser, self._address, self._login))
            wall(self._open[-1], self._address)

    def turn(self) -> None:
        if self._open and time.monotonic() > self._due_s:
            self._due_s = time.monotonic() + TAB_S
            self._open.pop(0).close()
            try:
                self.open(1)
            except Error as error:
                self.lost.append(str(error).splitlines()[0])
                say(f"a wall was not there in time: {self.lost[-1]}")

    def close(self, count: int | None = None) -> None:
        while self._open and count != 0:
            self._open.pop().close()
            count = None if count is None else count - 1


class Arrivals:
    """New sightings, so many a minute, in pieces as small as the turns allow."""

    def __init__(self, crowd: Crowd, a_minute: float) -> None:
        self._crowd, self._a_minute = crowd, a_minute
        self._begun, self._written = time.monotonic(), 0

    def turn(self) -> None:
        due = int((time.monotonic() - self._begun) * self._a_minute / 60) - self._written
        if due > 0:
            self._crowd.write(due, days=0)
            self._written += due


@contextlib.contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    place = Installation(folder, rate_limit_per_minute="100000")
    try:
        place.redis.start()
        place.start("api")
        wait_for(place.ready, 300, "the API")
        place.log_in()
        yield place
    finally:
        place.close()


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    say("films")
    server = RtspServer(streams(folder, options.cameras, fps=FPS, seconds=STRETCH_S)).start()
    with installed(folder) as place, sync_playwright() as playwright:
        place.post("/users", json={"account": "operator", "password": PASSWORD, "role": "operator", "cameras": None})
        login = {"account": "operator", "password": PASSWORD}
        model = place.get("/system")["model"]["hash"]
        crowd = Crowd(
            Gallery(client_for(place.redis.url)), MediaStore(str(folder / "media")), model, DIMENSION, options.cameras
        )
        browser, watching = (
            playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"]) for _ in range(2)
        )
        try:
            result: dict[str, Any] = {"options": {k: str(v) for k, v in vars(options).items()}, "cores": os.cpu_count()}
            streams_now = Streams(place)
            result["streams"] = {"before": streams_now.now()}
            crowd.write(FEW, own=FEW)
            wait_for(lambda: place.get("/system")["gallery_size"] >= FEW, 120, "the first sightings")
            seen = opened(browser, place.url, login)
            operator = Operator(wall(seen, place.url), place.url)
            interact(place, operator, 10)  # what is done the first time is slower
            say("baseline: few sightings, no worker")
            result["small_idle"] = interact(place, operator, options.baseline_s)
            say("writing sightings")
            crowd.write(options.tracklets - FEW)
            wait_for(lambda: place.get("/system")["gallery_size"] >= options.tracklets, 600, "all sightings")
            say("baseline: all sightings, no worker")
            result["large_idle"] = interact(place, operator, options.baseline_s)
            for name, url in server.urls.items():
                place.post("/cameras", json={"id": name, "name": name.replace("-", " "), "url": url})
            place.start("worker", niceness=WORKER_NICENESS)
            wait_for(lambda: all(_live(place, name) for name in server.urls), 300, "all cameras")
            walls = Walls(watching, place.url, login)
            walls.open(options.tabs - 1)
            assert server.process is not None
            pids = {"web": place.processes["api"].pid, "worker": place.processes["worker"].pid}
            pids |= {"redis": place.redis.pid, "cameras": server.process.pid, "bench_and_chromium": os.getpid()}
            arrivals = Arrivals(crowd, options.arriving)
            memory, cpu = Memory({name: pids[name] for name in ("web", "worker")}), Cpu(pids)
            before = {name: place.camera(name)["health"] for name in server.urls}
            begun = time.monotonic()

            def between() -> None:
                memory.look()
                arrivals.turn()
                walls.turn()

            say(f"under load for {options.minutes:g} minutes")
            result["streams"]["open"] = streams_now.now()
            result["load_average_at_begin"] = os.getloadavg()
            result["sightings_at_begin"] = place.get("/system")["gallery_size"]
            result["loaded"] = interact(place, operator, 60 * options.minutes, between)
            result["sightings_at_end"] = place.get("/system")["gallery_size"]
            result["walls_lost"] = walls.lost
            result["load_average"] = os.getloadavg()
            result["cores_used"] = cpu.summary()
            wall_s = time.monotonic() - begun
            after = {name: place.camera(name)["health"] for name in server.urls}
            for rate, counter in (("decoded_fps", "frames_decoded"), ("analysed_fps", "frames_analysed")):
                found = [(after[n][counter] - before[n][counter]) / wall_s for n in server.urls]
                result[rate] = {"mean": round(float(np.mean(found)), 2), "least": round(min(found), 2)}
            result["memory"] = memory.summary()
            result["memory_samples"] = memory.samples
            result["streams"]["open_at_the_end"] = streams_now.now()
            walls.close(1)
            time.sleep(30)  # a page is kept for 20 s, for a browser that comes back
            result["streams"]["one_tab_closed"] = streams_now.now()
            walls.close()
            seen.close()
            time.sleep(30)
            result["streams"]["all_tabs_closed"] = streams_now.now()
            result["web_mb_after_all_closed"] = round(psutil.Process(pids["web"]).memory_info().rss / 2**20, 1)
            result["errors_in_logs"] = {n: place.log(n).count("Traceback") for n in ("api", "worker")}
            if any(result["errors_in_logs"].values()):
                result["first_error"] = {
                    n: place.log(n)[place.log(n).find("Traceback") - 300 :][:2500]
                    for n, count in result["errors_in_logs"].items()
                    if count
                }
            return result
        finally:
            browser.close()
            watching.close()
            server.kill()


def _live(place: Installation, camera: str) -> bool:
    return (place.camera(camera)["health"] or {}).get("frames_analysed", 0) > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--baseline-s", type=float, default=60.0)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--tracklets", type=int, default=100_000)
    parser.add_argument("--tabs", type=int, default=5)
    parser.add_argument("--arriving", type=float, default=30, help="sightings a minute besides the worker's own")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(options, Path(folder))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
