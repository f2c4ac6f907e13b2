"""What encryption at rest costs: loading the index, writing a record, writing and reading a picture.

    python tests/benchmarks/bench_encryption.py --records 20000 [--json]

Both sides run in turn, several rounds, each over a server and folder of its own. The best round of each counts: what
else the machine does only ever adds. Sealing and opening alone are there too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))


from pipeline.sealing import PLAIN, Sealer
from service.bench.search import DIMENSION, MODEL, records
from service.gallery import Gallery, IndexFollower, MediaStore, VectorIndex
from service.redis_server import EmbeddedRedis, client_for

SIDES = {"plain": PLAIN, "encrypted": Sealer([os.urandom(32)])}
PICTURES, PICTURE_BYTES = 100, 12_000
WRITES = 300


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def load(url: str, sealer: Sealer) -> None:
    """A first snapshot, as at the start of an API process."""
    follower = IndexFollower(client_for(url), VectorIndex(DIMENSION, MODEL), sealer)
    follower.start()
    if not follower.wait_ready(600):
        raise SystemExit("the index did not load")
    follower.stop()


def run(count: int, rounds: int) -> dict[str, dict[str, float]]:
    made = list(records(count))
    more = list(records(count + WRITES * rounds))[count:]
    jpeg = os.urandom(PICTURE_BYTES)
    times: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        servers = {side: EmbeddedRedis(Path(folder) / side) for side in SIDES}
        for side, sealer in SIDES.items():
            servers[side].start()
            gallery = Gallery(client_for(servers[side].url, timeout_s=60), sealer)
            for start in range(0, count, 500):
                gallery.put_many(made[start : start + 500])
        for number in range(rounds):
            for side, sealer in SIDES.items():
                gallery = Gallery(client_for(servers[side].url), sealer)
                media = MediaStore((Path(folder) / f"media-{side}").as_uri(), sealer)
                fresh = more[number * WRITES : (number + 1) * WRITES]
                keys = [MediaStore.key("hall", one.started_at, one.id, "0" * 32) for one in fresh[:PICTURES]]
                found = times.setdefault(side, {})
                for name, units, work in (
                    ("load the index, a record", count, lambda s=side, k=sealer: load(servers[s].url, k)),
                    ("write a record", WRITES, lambda g=gallery, f=fresh: [g.put(one) for one in f]),
                    ("write a picture", PICTURES, lambda m=media, k=keys: [m.write(key, jpeg) for key in k]),
                    ("read a picture", PICTURES, lambda m=media, k=keys: [m.read(key) for key in k]),
                ):
                    found.setdefault(name, []).append(seconds(work) / units)
        for server in servers.values():
            server.stop()
    best = {side: {name: min(t) * 1e6 for name, t in found.items()} for side, found in times.items()}
    return {
        name: {
            "plain_us": round(plain, 1),
            "encrypted_us": round(best["encrypted"][name], 1),
            "ratio": round(best["encrypted"][name] / plain, 3),
        }
        for name, plain in best["plain"].items()
    } | {what: {"encrypted_us": cost} for what, cost in bare(rounds).items()}


def bare(rounds: int) -> dict[str, float]:
    """Microseconds of one call, nothing else around it."""
    sealer, calls = SIDES["encrypted"], 2000
    found = {}
    for what, size in (("vector", 2 * DIMENSION), ("picture", PICTURE_BYTES)):
        data = os.urandom(size)
        sealed = sealer.seal(data, "here")
        for name, work in (
            ("seal", lambda d=data: sealer.seal(d, "here")),
            ("open", lambda s=sealed: sealer.open(s, "here")),
        ):
            best = min(seconds(lambda w=work: [w() for _ in range(calls)]) for _ in range(rounds))
            found[f"{name} a {what} of {size} bytes"] = round(best / calls * 1e6, 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run(options.records, options.rounds)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{'best of each':32} {'plain µs':>10} {'encrypted µs':>14} {'ratio':>7}")
    for name, row in result.items():
        print(f"{name:32} {row.get('plain_us', ''):>10} {row['encrypted_us']:>14} {row.get('ratio', ''):>7}")


if __name__ == "__main__":
    main()
