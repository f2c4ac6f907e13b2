"""Live cameras on this machine for some minutes: analysed rate, latency, what was skipped, memory.

``python -m tests.benchmarks.bench_live VIDEO [--cameras 4] [--minutes 10] [--json]``: the video is served over RTSP at
10 frames a second to so many cameras, followed by a worker and an API in processes of their own, as `tapetum serve`
runs them. Nothing is compared with a baseline here; the target is in the last column.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from tests.support.cameras import RtspServer, encode, wait_for
from tests.support.films import frames_of
from tests.support.installation import Installation


def clips(video: Path, folder: Path, count: int) -> dict[str, Path]:
    """So many H.264 files, each beginning at another place of the video."""
    frames = frames_of(video)
    found = {}
    for camera in range(count):
        begin = camera * len(frames) // count
        turned = frames[begin:] + frames[:begin]
        found[f"camera-{camera}"] = encode(folder / f"{camera}.mp4", len(turned), draw=turned.__getitem__)
    return found


def measure(place: Installation, names: list[str], minutes: float) -> dict[str, Any]:
    worker = psutil.Process(place.processes["worker"].pid)
    memory_mb, before = [], {n: place.camera(n)["health"] for n in names}
    begun = time.monotonic()
    latency: dict[str, list[float]] = {n: [] for n in names}
    while time.monotonic() - begun < 60 * minutes:
        time.sleep(5)
        memory_mb.append(worker.memory_info().rss / 2**20)
        for name in names:
            latency[name].append(place.camera(name)["health"]["latency_p95_s"])
    seconds = time.monotonic() - begun
    after = {n: place.camera(n)["health"] for n in names}
    tenth = max(1, len(memory_mb) // 10)
    return {
        "minutes": seconds / 60,
        "analysed_fps": {n: (after[n]["frames_analysed"] - before[n]["frames_analysed"]) / seconds for n in names},
        "decoded_fps": {n: (after[n]["frames_decoded"] - before[n]["frames_decoded"]) / seconds for n in names},
        "skipped": {n: after[n]["frames_skipped"] for n in names},
        "latency_p95_s_worst": {n: max(v) for n, v in latency.items()},
        "reconnects": {n: after[n]["reconnects"] for n in names},
        "tracklets": {n: after[n]["tracklets"] for n in names},
        "worker_memory_mb": {
            "first_tenth": sum(memory_mb[:tenth]) / tenth,
            "last_tenth": sum(memory_mb[-tenth:]) / tenth,
            "peak": max(memory_mb),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = RtspServer(clips(options.video, Path(folder), options.cameras)).start()
        place = Installation(Path(folder))
        try:
            place.redis.start()
            place.start("api", "worker")
            wait_for(place.ready, 180, "the API")
            place.log_in()
            for name, url in server.urls.items():
                place.post("/cameras", json={"id": name, "name": name, "url": url})
            names = list(server.urls)

            def running() -> bool:
                return all((place.camera(n)["health"] or {}).get("analysed_fps", 0) > 0 for n in names)

            wait_for(running, 180, "all cameras")
            time.sleep(15)
            result = measure(place, names, options.minutes)
        finally:
            place.close()
            server.kill()
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{'camera':<12}{'decoded/s':>10}{'analysed/s':>11}{'p95 s':>8}   skipped (target: 3/s, 1.5 s)")
    for name in names:
        print(
            f"{name:<12}{result['decoded_fps'][name]:>10.2f}{result['analysed_fps'][name]:>11.2f}"
            f"{result['latency_p95_s_worst'][name]:>8.2f}   {result['skipped'][name]}"
        )
    memory = result["worker_memory_mb"]
    print(f"worker memory MB: first tenth {memory['first_tenth']:.0f}, last tenth {memory['last_tenth']:.0f}, ", end="")
    print(f"peak {memory['peak']:.0f}; {result['minutes']:.1f} minutes")


if __name__ == "__main__":
    main()
