"""How fast an identity query is over many tracklets that came through a real server, and what bounds it.

The reader is this process, as an API process is one: records are written by another. The floor is the time that this
machine takes to read the index's int8 codes once, measured between the searches; whatever else runs slows down both.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import psutil
import redis
from ulid import ULID

from models.types import Modality
from pipeline.sealing import PLAIN
from pipeline.types import FloatArray
from service.gallery import Gallery, GalleryFilter, IndexFollower, TrackletRecord, VectorIndex
from service.redis_server import EmbeddedRedis, RedisServerError, client_for, describe

__all__ = ["DIMENSION", "MODEL", "SearchFigures", "measure_search", "records"]

Progress = Callable[[str, float | None], None]
DIMENSION = 512
CAMERAS = 100
MODEL = "benchmark"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
K = 50
CLIENTS = (1, 8, 32)
WRITES_PER_S = 50
_BLOCK = 10_000
_SEEN = 20  # sightings of one person
_SPREAD = 0.6  # of a person's sightings, as a share of the spread between persons
_TRUTHS = 50
_ROUNDS = 3
_FRESH = 2**40  # number of the first record that is written while searching


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """So many clients, each asking again when it has its answer. Milliseconds."""

    p50_ms: float
    p99_ms: float
    p50_writing_ms: float
    p99_writing_ms: float
    searches_per_s: float


@dataclass(frozen=True, slots=True)
class SearchFigures:
    """What was measured. The headline figures are of one client who leaves out one of a hundred cameras.

    Attributes:
        floor_ms: to read the codes once, with one thread or one a core, whichever is quicker; median.
        ratio: p50 by floor.
        recall_at_10: against exact float32, without a filter.
        faiss_flat_ms: FAISS' IndexFlatIP called directly, one query without filters, median.
        vsim_ms: the same asked of the server's vector set; None where the server has none.
        written_per_s: that came while "writing" figures were taken.
        memory_mb: of this process with the index loaded; `peak_memory_mb` while it loaded.
    """

    records: int
    p50_ms: float
    p99_ms: float
    p99_writing_ms: float
    recall_at_10: float
    floor_ms: float
    ratio: float
    bandwidth_gb_s: float
    faiss_flat_ms: float
    vsim_ms: float | None
    clients: dict[str, ClientFigures]
    filters: dict[str, dict[str, float]] = field(repr=False)
    written_per_s: float
    server: str
    fill_s: float
    load_s: float
    memory_mb: float
    peak_memory_mb: float
    cores: int
    load_average: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure_search(count: int, progress: Progress, *, searches: int = 300) -> SearchFigures:
    """Fill a server of our own, load an index from it, search.

    Args:
        searches: timed for each row of the answer.

    Raises:
        RedisServerError: there is no server program.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tapetum-bench-") as folder,
        EmbeddedRedis(Path(folder), options={"appendonly": "no"}) as server,
    ):
        found = describe(client_for(server.url))
        began = time.perf_counter()
        _fill(server.url, count, progress)
        fill_s = time.perf_counter() - began
        index = VectorIndex(DIMENSION, MODEL)
        follower = IndexFollower(client_for(server.url, timeout_s=60.0), index, PLAIN)
        progress("loading the index", None)
        follower.start()
        try:
            while not follower.wait_ready(1.0):
                progress(f"loading the index, {len(index):,} records", len(index) / count)
            memory_mb, peak_mb = _memory()
            queries = _queries(count, 512)
            progress("searching", None)
            alone, floors, flats = _beside_the_floor(index, count, queries, searches)
            writer = _Writer(server.url)
            try:
                clients, written_per_s = _crowds(index, writer, queries, searches, progress)
            finally:
                writer.close()
            filtered = {
                name: _percentiles(_timed(_asking(index, chosen), queries[:100]))
                for name, chosen in _filters(count).items()
            }
            progress("comparing with exact float32", None)
            recall = _recall(index, count, queries[:_TRUTHS])
            vsim_ms = _vsim(client_for(server.url, timeout_s=60.0), count, queries, progress)
        finally:
            follower.stop()
        floor_ms = float(np.median(floors)) * 1000
        figures = _percentiles(alone)
        return SearchFigures(
            records=count,
            p50_ms=figures["p50_ms"],
            p99_ms=figures["p99_ms"],
            p99_writing_ms=clients["1"].p99_writing_ms,
            recall_at_10=recall,
            floor_ms=floor_ms,
            ratio=figures["p50_ms"] / floor_ms,
            bandwidth_gb_s=count * DIMENSION / floor_ms / 1e6,
            faiss_flat_ms=float(np.median(flats)) * 1000,
            vsim_ms=vsim_ms,
            clients=clients,
            filters=filtered,
            written_per_s=written_per_s,
            server=f"{found.product} {found.version}",
            fill_s=fill_s,
            load_s=follower.stats().load_s,
            memory_mb=memory_mb,
            peak_memory_mb=peak_mb,
            cores=os.cpu_count() or 1,
            load_average=os.getloadavg()[0],
        )


# -- what is written -----------------------------------------------------------------------------


def _vectors(block: int, count: int) -> FloatArray:
    """``float32[count, D]``: persons that are seen several times each, as one block of the gallery."""
    random = np.random.default_rng([1, block])
    persons = random.standard_normal((_BLOCK // _SEEN, DIMENSION), np.float32)
    vectors = persons[np.arange(count) % len(persons)]
    vectors += np.float32(_SPREAD) * random.standard_normal((count, DIMENSION), np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _blocks(count: int) -> Iterator[tuple[int, FloatArray]]:
    """The number of the first record of each block, and the block's vectors."""
    for start in range(0, count, _BLOCK):
        yield start, _vectors(start // _BLOCK, min(_BLOCK, count - start))


def _record(number: int, vector: FloatArray, started: datetime | None = None) -> TrackletRecord:
    started = started or BEGIN + timedelta(seconds=number)
    milliseconds = int(started.timestamp() * 1000)
    mixed = (number * 2_654_435_761) >> 7
    return TrackletRecord(
        id=str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + number.to_bytes(10, "big"))),
        revision=1,
        camera_id=f"camera-{mixed % CAMERAS}",
        track_id=number,
        modality=Modality.INFRARED if mixed // CAMERAS % 5 < 2 else Modality.VISIBLE,
        started_at=started,
        ended_at=started + timedelta(seconds=8),
        closed=True,
        frame_count=20,
        quality=0.8,
        model_hash=MODEL,
        vector=vector,
    )


def _queries(gallery: int, count: int) -> FloatArray:
    """``float32[count, 1, D]``: new sightings of persons who are in the gallery."""
    blocks = -(-gallery // _BLOCK)
    random = np.random.default_rng(2)
    queries = np.empty((count, 1, DIMENSION), np.float32)
    for block in range(min(blocks, 16)):
        persons = np.random.default_rng([1, block]).standard_normal((_BLOCK // _SEEN, DIMENSION), np.float32)
        mine = queries[block :: min(blocks, 16), 0]
        mine[:] = persons[np.arange(len(mine)) % len(persons)]
        mine += np.float32(_SPREAD) * random.standard_normal(mine.shape, np.float32)
    return queries


def _fill(url: str, count: int, progress: Progress) -> None:
    written = multiprocessing.get_context("spawn").Value("q", 0)
    writer = multiprocessing.get_context("spawn").Process(target=_write_all, args=(url, count, written), daemon=True)
    writer.start()
    while writer.is_alive():
        writer.join(1.0)
        progress(f"writing {written.value:,} of {count:,} records", written.value / count)
    if writer.exitcode:
        raise RedisServerError("the records could not be written; the lines above say why")


def records(count: int) -> Iterator[TrackletRecord]:
    """Sightings of persons who are seen several times each, one a second over all cameras."""
    for start, vectors in _blocks(count):
        yield from (_record(start + n, vector) for n, vector in enumerate(vectors))


def _write_all(url: str, count: int, written: Any) -> None:
    gallery = Gallery(client_for(url, timeout_s=60.0), PLAIN)
    all_records = records(count)
    while batch := list(islice(all_records, 500)):
        gallery.put_many(batch)
        written.value += len(batch)


def _write_on(url: str, on: Any, written: Any) -> None:
    """Write `WRITES_PER_S` tracklets a second whenever told to."""
    gallery = Gallery(client_for(url, timeout_s=60.0), PLAIN)
    vectors = _vectors(_FRESH, 2000)
    next_s = time.monotonic()
    while on.wait():
        number = written.value
        gallery.put(_record(_FRESH + number, vectors[number % len(vectors)], datetime.now(UTC)))
        written.value = number + 1
        next_s = max(next_s + 1 / WRITES_PER_S, time.monotonic() - 1.0)
        time.sleep(max(0.0, next_s - time.monotonic()))


# -- what is measured ----------------------------------------------------------------------------


def _asking(index: VectorIndex, filters: GalleryFilter | None = None) -> Callable[[FloatArray], object]:
    return lambda query: index.search(query, K, filters or ALL_BUT_ONE)


def _filters(count: int) -> dict[str, GalleryFilter]:
    def cameras(count: int) -> frozenset[str]:
        return frozenset(f"camera-{n}" for n in range(count))

    middle = BEGIN + timedelta(seconds=count / 2)
    return {
        "none": GalleryFilter(),
        "all but one camera": ALL_BUT_ONE,
        "visible": GalleryFilter(modality=Modality.VISIBLE),
        "half of the cameras": GalleryFilter(cameras=cameras(CAMERAS // 2)),
        "5 cameras": GalleryFilter(cameras=cameras(5)),
        "last tenth of time": GalleryFilter(since=BEGIN + timedelta(seconds=0.9 * count)),
        "1 camera, 20 minutes": GalleryFilter(cameras=cameras(1), since=middle, until=middle + timedelta(minutes=20)),
    }


ALL_BUT_ONE = GalleryFilter(exclude_cameras=frozenset({"camera-0"}))


def _beside_the_floor(
    index: VectorIndex, count: int, queries: FloatArray, searches: int
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of searches by one client, of reading the codes once, and of FAISS flat, turn by turn."""
    flat = faiss.IndexFlatIP(DIMENSION)
    for _, vectors in _blocks(count):
        flat.add(vectors)
    codes = np.ones(count * DIMENSION // 8, np.uint64)
    alone, flats = [], []
    floors: dict[int, list[float]] = {threads: [] for threads in {1, os.cpu_count() or 1}}
    with ThreadPoolExecutor(max(floors)) as pool:

        def read(threads: int) -> None:
            list(pool.map(np.max, np.array_split(codes, threads)))

        for number in range(searches):
            query = queries[number % len(queries)]
            alone += _timed(_asking(index), [query])
            if number % 3 == 0:
                for threads, seconds in floors.items():
                    seconds += _timed(read, [threads])
            if number % 15 == 0:
                flats += _timed(lambda q: flat.search(q, K), [query])
    return alone, min(floors.values(), key=np.median), flats


def _crowds(
    index: VectorIndex, writer: _Writer, queries: FloatArray, searches: int, progress: Progress
) -> tuple[dict[str, ClientFigures], float]:
    """Several clients at once, without and with writing, turn by turn; and how much was written a second."""
    clients: dict[str, ClientFigures] = {}
    came, writing_s = 0, 0.0
    for count in CLIENTS:
        progress(f"{count} clients", None)
        idle: list[float] = []
        busy: list[float] = []
        idle_s = 0.0
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            idle += _crowd(index, queries, count, searches // _ROUNDS)
            idle_s += time.perf_counter() - began
            with writer.writing():
                before, began = writer.written, time.perf_counter()
                busy += _crowd(index, queries, count, searches // _ROUNDS)
                writing_s += time.perf_counter() - began
                came += writer.written - before
        quiet, loud = _percentiles(idle), _percentiles(busy)
        clients[str(count)] = ClientFigures(
            quiet["p50_ms"], quiet["p99_ms"], loud["p50_ms"], loud["p99_ms"], len(idle) / idle_s
        )
    return clients, came / writing_s


def _crowd(index: VectorIndex, queries: FloatArray, clients: int, searches: int) -> list[float]:
    each = -(-max(searches, 3 * clients) // clients)

    def client(number: int) -> list[float]:
        mine = [queries[(number * each + n) % len(queries)] for n in range(each)]
        return _timed(_asking(index), mine)

    with ThreadPoolExecutor(clients) as pool:
        return [seconds for one in pool.map(client, range(clients)) for seconds in one]


class _Writer:
    """Another process that writes while it is told to."""

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._on, self._written = context.Event(), context.Value("q", 0)
        arguments = (url, self._on, self._written)
        self._process = context.Process(target=_write_on, args=arguments, daemon=True)
        self._process.start()

    @property
    def written(self) -> int:
        return int(self._written.value)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While it lasts, the process writes; it has begun."""
        before = self.written
        self._on.set()
        try:
            while self.written == before:
                if not self._process.is_alive():
                    raise RedisServerError("nothing could be written while searching; the lines above say why")
                time.sleep(0.05)
            yield
        finally:
            self._on.clear()

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def _recall(index: VectorIndex, count: int, queries: FloatArray) -> float:
    """The share of the ten that exact float32 finds; what was written meanwhile is left out by its time."""
    scores = np.zeros((len(queries), 0), np.float32)
    numbers = np.zeros((len(queries), 0), np.int64)
    unit = queries[:, 0] / np.linalg.norm(queries[:, 0], axis=1, keepdims=True)
    for start, vectors in _blocks(count):
        scores = np.concatenate([scores, unit @ vectors.T], axis=1)
        numbers = np.concatenate([numbers, np.tile(np.arange(start, start + len(vectors)), (len(unit), 1))], axis=1)
        best = np.argsort(-scores, axis=1)[:, :10]
        scores, numbers = np.take_along_axis(scores, best, 1), np.take_along_axis(numbers, best, 1)
    nothing = np.zeros(DIMENSION, np.float32) + 1
    found = 0
    until = GalleryFilter(until=BEGIN + timedelta(seconds=count))
    for query, truth in zip(queries, numbers, strict=True):
        ids = {_record(int(number), nothing).id for number in truth}
        found += len(ids & set(index.search(query, 10, until)[0].ids))
    return found / numbers.size


def _vsim(client: redis.Redis, count: int, queries: FloatArray, progress: Progress) -> float | None:
    """Milliseconds of VSIM over the same vectors, median; None where the server knows no vector sets."""
    vectors_key = "vectors"
    try:
        client.vset().vcard(vectors_key)
    except redis.ResponseError:
        return None
    for start, vectors in _blocks(count):
        progress(f"filling a vector set, {start:,} of {count:,}", start / count)
        with client.pipeline(transaction=False) as pipe:
            for number, vector in enumerate(vectors, start):
                pipe.vset().vadd(vectors_key, vector.tobytes(), str(number))
            pipe.execute()
    asked = [query.tobytes() for query in queries[:100]]
    return _percentiles(_timed(lambda blob: client.vset().vsim(vectors_key, blob, count=K), asked))["p50_ms"]


def _timed(call: Callable[[Any], object], arguments: Iterable[Any]) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for argument in arguments:
        began = time.perf_counter()
        call(argument)
        seconds.append(time.perf_counter() - began)
    return seconds


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return {"p50_ms": float(p50), "p99_ms": float(p99)}


def _memory() -> tuple[float, float]:
    """Resident megabytes now, and at most so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return psutil.Process().memory_info().rss / 2**20, peak
