"""Keeps a process' index equal to Redis: a snapshot, then every change, and again from the start when in doubt."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import redis
import structlog

from pipeline.sealing import PLAIN, Sealer
from service.gallery.feed import Feed, FeedLostError
from service.gallery.index import VectorIndex
from service.gallery.rows import IndexRow
from service.gallery.store import GalleryUnavailable

__all__ = ["FollowerStats", "IndexFollower"]

log = structlog.get_logger("tapetum.index")

LOAD_ROWS = 32_768
_WAIT_MS = 500
_CHECK_S = 2.0
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class FollowerStats:
    """How the following goes.

    Attributes:
        ready: the first snapshot is complete; searches before that may miss tracklets.
        connected: Redis answered last time; otherwise the index answers as it was.
        resyncs: snapshots taken, the first one included.
        load_s: seconds that the last snapshot took.
    """

    ready: bool
    connected: bool
    position: str
    resyncs: int
    load_s: float


class IndexFollower:
    """A thread that keeps a `VectorIndex` equal to Redis. The old content stays searchable during a resync."""

    def __init__(self, client: redis.Redis, index: VectorIndex, sealer: Sealer = PLAIN):
        self.index = index
        self._feed = Feed(client, sealer, index.model_hash)
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._position = "0-0"
        self._run_id = ""
        self._connected = False
        self._resyncs = 0
        self._load_s = 0.0

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="index-follower", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join(timeout_s)

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait for the first complete snapshot."""
        return self._ready.wait(timeout_s)

    def stats(self) -> FollowerStats:
        return FollowerStats(self._ready.is_set(), self._connected, self._position, self._resyncs, self._load_s)

    def _run(self) -> None:
        synced, pause_s = False, 0.1
        while not self._stop.is_set():
            try:
                if not synced:
                    self._resync()
                    synced, pause_s = True, 0.1
                self._follow()
            except FeedLostError as lost:
                log.warning("the index is read again from Redis", reason=str(lost))
                synced = False
            except GalleryUnavailable as away:
                if self._connected or pause_s == 0.1:
                    log.warning("the index answers as it is, Redis is away", reason=str(away))
                self._connected = synced = False
                self._stop.wait(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            except Exception:
                # A defect here must not end the following for good.
                log.exception("the index could not be updated and is read again")
                synced = False
                self._stop.wait(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def _follow(self) -> None:
        """Apply changes until told to stop."""
        checked_s = time.monotonic()
        while not self._stop.is_set():
            changes = self._feed.changes(self._position, wait_ms=_WAIT_MS)
            if changes:
                self._apply({c.id: c.op for c in changes})
                self._position = changes[-1].position
            if time.monotonic() - checked_s > _CHECK_S:
                checked_s = time.monotonic()
                self._feed.check(self._position)
                if self._feed.run_id() != self._run_id:
                    raise FeedLostError("the server was started again")

    def _apply(self, changes: dict[str, str]) -> None:
        """The newest operation of each id; what is stored now counts, not what was when the entry was made."""
        self.index.remove([one for one, op in changes.items() if op == "delete"])
        self._take_in([one for one, op in changes.items() if op != "delete"])

    def _take_in(self, ids: Sequence[str]) -> None:
        found = self._feed.rows(ids)
        while batch := list(islice(found, LOAD_ROWS)):
            rows: list[IndexRow] = []
            for one, row in batch:
                if isinstance(row, IndexRow):
                    rows.append(row)
                elif row is None:
                    self.index.remove([one])
                else:
                    log.error(
                        "record cannot be understood and is kept out of the index", tracklet=one, reason=str(row)[:200]
                    )
                    self.index.refuse(one)
            self.index.upsert(rows)

    def _resync(self) -> None:
        """Make the index equal to Redis, fetching only what differs."""
        started_s = time.monotonic()
        run_id, position = self._feed.run_id(), self._feed.position()
        if known := self.index.revisions():
            stored = {one for batch in self._feed.ids() for one in batch}
            self._take_in(list(self._differing(stored, known)))
            self.index.remove(known.keys() - stored)
        else:  # nothing to compare with: a million ids need not be in memory twice
            ids = chain.from_iterable(self._feed.ids())
            while batch := list(islice(ids, LOAD_ROWS)):
                self._take_in(batch)
        self._run_id, self._position, self._connected = run_id, position, True
        self._resyncs += 1
        self._load_s = time.monotonic() - started_s
        self._ready.set()
        log.info("index read from Redis", rows=len(self.index), seconds=round(self._load_s, 2))

    def _differing(self, stored: set[str], known: dict[str, int]) -> Iterator[str]:
        yield from stored - known.keys()
        common = sorted(stored & known.keys())
        for one, revision in zip(common, self._feed.revisions(common), strict=True):
            if revision != known[one]:
                if revision < known[one]:
                    self.index.remove([one])  # the server went back to an earlier state, and so do we
                yield one
