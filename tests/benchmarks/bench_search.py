"""How long a search takes over many tracklets that came through a real Redis, and that it is exact.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_search.py --records 100000 [--json]

Prints the time of loading the index, and per filter how many tracklets it leaves, the time of a search on one
core (median and 95th percentile), whether all answers agree with numpy, and FAISS' flat index beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

# The number of threads must be in the environment before these are imported.
import faiss  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
from ulid import ULID  # noqa: E402

from models.types import Modality  # noqa: E402
from service.gallery import Gallery, GalleryFilter, IndexFollower, TrackletRecord, VectorIndex  # noqa: E402
from service.redis_server import EmbeddedRedis, client_for, describe  # noqa: E402

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DIMENSION = 512
CAMERAS = 100
MODEL = "benchmark"
K = 50


def records(count: int, random: np.random.Generator) -> Iterator[TrackletRecord]:
    """Clustered vectors, as persons seen several times are; one tracklet a second over all cameras."""
    persons = random.standard_normal((max(1, count // 20), DIMENSION)).astype(np.float32)
    for number in range(count):
        vector = persons[number % len(persons)] + 0.6 * random.standard_normal(DIMENSION).astype(np.float32)
        start = BEGIN + timedelta(seconds=number)
        milliseconds = int(start.timestamp() * 1000)
        yield TrackletRecord(
            id=str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + number.to_bytes(10, "big"))),
            revision=1,
            camera_id=f"camera-{int(random.integers(CAMERAS))}",
            track_id=number,
            modality=Modality.INFRARED if random.random() < 0.4 else Modality.VISIBLE,
            started_at=start,
            ended_at=start + timedelta(seconds=8),
            closed=True,
            frame_count=20,
            quality=0.8,
            model_hash=MODEL,
            vector=vector / np.linalg.norm(vector),
        )


def cameras(count: int) -> frozenset[str]:
    return frozenset(f"camera-{n}" for n in range(count))


def filters(count: int) -> dict[str, GalleryFilter]:
    middle = BEGIN + timedelta(seconds=count / 2)
    return {
        "none": GalleryFilter(),
        "all but one camera": GalleryFilter(exclude_cameras=cameras(1)),
        "visible": GalleryFilter(modality=Modality.VISIBLE),
        "half of the cameras": GalleryFilter(cameras=cameras(50)),
        "infrared, 50 cameras": GalleryFilter(cameras=cameras(50), modality=Modality.INFRARED),
        "last tenth of time": GalleryFilter(since=BEGIN + timedelta(seconds=0.9 * count)),
        "5 cameras": GalleryFilter(cameras=cameras(5)),
        "1 camera": GalleryFilter(cameras=cameras(1)),
        "1 camera, 2 minutes": GalleryFilter(cameras=cameras(1), since=middle, until=middle + timedelta(minutes=2)),
    }


def percentiles(times_s: list[float]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(times_s, [50, 95, 99]) * 1000
    return {"p50_ms": round(p50, 2), "p95_ms": round(p95, 2), "p99_ms": round(p99, 2)}


def timed(call, repeats: int) -> list[float]:
    times = []
    for number in range(repeats + 3):
        began = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - began)
    return times[3:]


def measure(
    index: VectorIndex, everything: list[TrackletRecord], repeats: int, random: np.random.Generator
) -> list[dict]:
    vectors = np.stack([r.vector for r in everything])
    ids = np.array([r.id for r in everything])
    queries = random.standard_normal((repeats + 3, 1, DIMENSION)).astype(np.float32)
    # Half of the queries are near somebody, as real ones are.
    near = random.integers(len(vectors), size=len(queries) // 2)
    queries[: len(near), 0] = vectors[near] + 0.02 * queries[: len(near), 0]
    rows = []
    for name, chosen in filters(len(everything)).items():
        times = timed(lambda n, f=chosen: index.search(queries[n], K, f), repeats)
        admitted = np.array([chosen.admits(r) for r in everything])
        exact = all(
            agrees(index.search(queries[n], K, chosen)[0], queries[n, 0], vectors[admitted], ids[admitted])
            for n in range(20)
        )
        rows.append({"filter": name, "left": int(admitted.sum()), **percentiles(times), "exact": exact})
    return rows


def agrees(hits, query: np.ndarray, vectors: np.ndarray, ids: np.ndarray) -> bool:
    """Whether the hits are numpy's in float64; neighbours that float32 cannot tell apart may change places."""
    scores = vectors.astype(np.float64) @ (query / np.linalg.norm(query)).astype(np.float64)
    best = np.sort(scores)[::-1][:K]
    score_of = dict(zip(ids.tolist(), scores.tolist(), strict=True))
    own = np.array([score_of[one] for one in hits.ids])
    return len(set(hits.ids)) == len(best) and bool(np.abs(own - best).max(initial=0.0) < 1e-6)


def while_writing(gallery: Gallery, index: VectorIndex, begin: int, repeats: int, random: np.random.Generator) -> dict:
    """The same search while 50 tracklets a second come in through Redis."""
    stop = threading.Event()
    fresh = list(records(2000, np.random.default_rng(9)))
    written = [0]

    def write() -> None:
        next_s = time.monotonic()
        for record in fresh:
            if stop.is_set():
                return
            gallery.put(record)
            written[0] += 1
            next_s += 0.02
            time.sleep(max(0.0, next_s - time.monotonic()))

    queries = random.standard_normal((repeats + 3, 1, DIMENSION)).astype(np.float32)
    chosen = GalleryFilter(cameras=cameras(50), modality=Modality.INFRARED)
    writer = threading.Thread(target=write)
    writer.start()
    began = time.monotonic()
    times = timed(lambda n: index.search(queries[n], K, chosen), repeats)
    rate = written[0] / (time.monotonic() - began)
    stop.set()
    writer.join()
    return {"filter": "infrared, 50 cameras, while writing", "written_per_s": round(rate, 1), **percentiles(times)}


def run(count: int, repeats: int) -> dict:
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder)) as server:
        client = client_for(server.url, timeout_s=60)
        found = describe(client)
        gallery = Gallery(client)
        everything = list(records(count, random))
        began = time.perf_counter()
        for start in range(0, count, 500):
            gallery.put_many(everything[start : start + 500])
        write_s = time.perf_counter() - began

        memory = psutil.Process().memory_info().rss
        index = VectorIndex(DIMENSION, MODEL)
        follower = IndexFollower(client_for(server.url), index)
        began = time.perf_counter()
        follower.start()
        if not follower.wait_ready(600):
            raise SystemExit("the index did not load")
        load_s = time.perf_counter() - began
        memory = psutil.Process().memory_info().rss - memory

        rows = measure(index, everything, repeats, random)
        writing = while_writing(gallery, index, count, repeats, random)
        follower.stop()
        flat = faiss.IndexFlatIP(DIMENSION)
        flat.add(np.stack([r.vector for r in everything]))
        queries = random.standard_normal((repeats + 3, 1, DIMENSION)).astype(np.float32)
        floor = percentiles(timed(lambda n: flat.search(queries[n], K), repeats))
        stats = index.stats()
        client.close()
        return {
            "records": count,
            "dimension": DIMENSION,
            "server": f"{found.product} {found.version}",
            "threads": faiss.omp_get_max_threads(),
            "write_records_per_s": round(count / write_s),
            "load_s": round(load_s, 2),
            "index_memory_mb": round(memory / 2**20),
            "segments": stats.segments,
            "searches": rows,
            "while_writing": writing,
            "faiss_flat_unfiltered": floor,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    result = run(options.records, options.repeats)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print("{records} records of {dimension} values, {server}, {threads} thread".format(**result))
    print("written at {write_records_per_s}/s; loaded in {load_s} s, {index_memory_mb} MB".format(**result))
    print(f"{'filter':38} {'left':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}  exact")
    flat = {"filter": "FAISS flat called directly, no filter", **result["faiss_flat_unfiltered"]}
    for row in [*result["searches"], result["while_writing"], flat]:
        left, exact = row.get("left", ""), row.get("exact", "")
        print(f"{row['filter']:38} {left:>8} {row['p50_ms']:>8} {row['p95_ms']:>8} {row['p99_ms']:>8}  {exact}")


if __name__ == "__main__":
    main()
