"""How long it takes from a tracklet in the gallery to an alert, over the event stream and at a webhook.

``python -m tests.benchmarks.bench_alerts [--entries 100] [--per-second 20] [--seconds 60] [--processes 2] [--json]``

Redis and the API processes are processes of their own, as `tapetum serve` runs them; reader, target and the writer of
tracklets are here. Vectors have the size of the shipped model's and are random, so that each tracklet is held against
all entries; one in five shows somebody who is watched for. The clock is this machine's, from before the tracklet is
written (so writing it counts) until the alert is read. The target is the 95th percentile below one second.
"""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
from ulid import ULID

from models.types import Modality
from service.gallery import Gallery, TrackletRecord
from service.redis_server import client_for
from tests.support.cameras import talker, wait_for
from tests.support.installation import Installation
from tests.support.webhooks import Target

WATCHED_FOR = 5  # one tracklet in so many
CAMERAS = 10
DIMENSION = 256  # of the shipped model


class Figures:
    """When each tracklet was written, and when it was told of by each way."""

    def __init__(self) -> None:
        self.written: dict[str, float] = {}
        self.told: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def tell(self, way: str, tracklet_id: str) -> None:
        with self._lock:
            self.told.setdefault(way, {}).setdefault(tracklet_id, time.monotonic())

    def count(self, way: str) -> int:
        with self._lock:
            return len(self.told.get(way, {}))

    def of(self, way: str) -> dict[str, Any]:
        found = self.told.get(way, {})
        seconds = [found[one] - self.written[one] for one in found if one in self.written]
        p50, p95 = np.percentile(seconds, (50, 95)) * 1000
        return {
            "alerts": len(seconds),
            "p50_ms": round(p50),
            "p95_ms": round(p95),
            "worst_ms": round(1000 * max(seconds)),
        }


class Crowd:
    """People, each a direction; what a camera sees of one is near it."""

    def __init__(self, client: Any, model_hash: str) -> None:
        self._gallery, self._model = Gallery(client), model_hash
        self._rng = np.random.default_rng(7)
        self._tracks = 0

    def person(self) -> np.ndarray:
        return self._unit(self._rng.standard_normal(DIMENSION))

    def seen(self, person: np.ndarray) -> TrackletRecord:
        self._tracks += 1
        now = datetime.now(UTC)
        noisy = person + 0.1 * self._unit(self._rng.standard_normal(DIMENSION))
        return TrackletRecord(
            id=str(ULID()),
            revision=1,
            camera_id=f"camera-{self._tracks % CAMERAS}",
            track_id=self._tracks,
            modality=Modality.VISIBLE,
            started_at=now - timedelta(seconds=2),
            ended_at=now,
            closed=False,
            frame_count=12,
            quality=0.8,
            model_hash=self._model,
            vector=self._unit(noisy),
        )

    def put(self, record: TrackletRecord) -> None:
        self._gallery.put(record)

    @staticmethod
    def _unit(vector: np.ndarray) -> np.ndarray:
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


def read_stream(url: str, headers: dict[str, str], figures: Figures, ready: threading.Event) -> None:
    stream = httpx.stream("GET", f"{url}/api/v1/alerts/stream", headers=headers, timeout=60)
    with suppress(httpx.HTTPError), stream as response:  # the API ends first
        for line in response.iter_lines():
            if line.startswith("retry"):
                ready.set()
            elif line.startswith("data: "):
                figures.tell("stream", json.loads(line[6:])["tracklet_id"])


def watch_for(place: Installation, people: list[np.ndarray], crowd: Crowd) -> None:
    """An entry for each, made of a sighting."""
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for number, person in enumerate(people):
        record = crowd.seen(person)
        crowd.put(record)
        body = {"name": f"Person {number}", "reason": "A benchmark", "examples": [{"tracklet_id": record.id}]}
        place.post("/watchlist", json={**body, "threshold": 0.9, "expires_at": until})


def write(crowd: Crowd, people: list[np.ndarray], per_s: float, seconds: float, figures: Figures) -> int:
    """So many tracklets a second. Returns how many of them show somebody who is watched for."""
    begun, wanted = time.monotonic(), 0
    with ThreadPoolExecutor(4) as writers:
        for number in range(int(per_s * seconds)):
            time.sleep(max(0.0, begun + number / per_s - time.monotonic()))
            watched = number % WATCHED_FOR == 0
            record = crowd.seen(people[wanted % len(people)] if watched else crowd.person())
            if watched:
                wanted += 1
                figures.written[record.id] = time.monotonic()
            writers.submit(crowd.put, record)
    return wanted


def run(entries: int, per_s: float, seconds: float, processes: int, folder: Path) -> dict[str, Any]:
    figures, hook = Figures(), Target()
    places = [Installation(folder, webhook_allow_loopback="true") for _ in range(processes)]
    place = places[0]
    place.redis.start()
    try:
        for one in places:
            one.start("api")
            wait_for(one.ready, 300, "the API")
        place.log_in()
        client = client_for(place.redis.url)
        crowd = Crowd(client, place.get("/system")["model"]["hash"])
        people = [crowd.person() for _ in range(entries)]
        watch_for(place, people, crowd)
        headers = {"Authorization": place.client.headers["Authorization"]}
        ready = threading.Event()
        threading.Thread(target=read_stream, args=(place.url, headers, figures, ready), daemon=True).start()
        assert ready.wait(30)
        with talker(hook.speak) as port:
            place.post("/webhooks", json={"name": "A benchmark", "url": f"http://127.0.0.1:{port}/"})
            threading.Thread(target=follow, args=(hook, figures), daemon=True).start()
            wanted = write(crowd, people, per_s, seconds, figures)
            for way in ("stream", "webhook"):
                wait_for(lambda way=way: figures.count(way) >= wanted, 60, f"the last alert by {way}")
        raised = sum(1 for _ in client.scan_iter("tapetum:alert:*"))
        return {
            "entries": entries,
            "tracklets_per_s": per_s,
            "processes": processes,
            "watched": wanted,
            "raised": raised,
            "stream": figures.of("stream"),
            "webhook": figures.of("webhook"),
        }
    finally:
        for one in places[1:]:
            one.client.close()
            one.kill("api", signal.SIGTERM)
        place.close()


def follow(hook: Target, figures: Figures) -> None:
    """Note what the target has got."""
    done = 0
    while True:
        for _, body in hook.got[done:]:
            done += 1
            figures.tell("webhook", json.loads(body)["data"]["tracklet_id"])
        time.sleep(0.002)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100)
    parser.add_argument("--per-second", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(options.entries, options.per_second, options.seconds, options.processes, Path(folder))
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(
        "{entries} entries, {tracklets_per_s:g} tracklets/s, {processes} API processes: "
        "{watched} sightings of watched people, {raised} alerts".format(**result)
    )
    for way in ("stream", "webhook"):
        print(
            "{0:8} p50 {p50_ms} ms, p95 {p95_ms} ms, worst {worst_ms} ms (target: p95 < 1000)".format(
                way, **result[way]
            )
        )


if __name__ == "__main__":
    main()
