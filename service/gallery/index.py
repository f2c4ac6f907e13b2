"""The exact vector index of one process: every filter is applied before the search, so nothing is missed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import structlog

from pipeline.types import FloatArray
from service.gallery.nearest import Found, Part, nearest
from service.gallery.records import GalleryFilter, to_microseconds
from service.gallery.rows import MODALITY_CODES, BoolArray, Columns, IndexRow, Segment, Tail, normalised_rows
from service.gallery.scan import Scanner

__all__ = ["IndexStats", "SearchHits", "VectorIndex"]

log = structlog.get_logger("tapetum.index")

MAX_K = 1000
TAIL_ROWS = 4096
SEGMENT_ROWS = 131_072
_SMALL_SEGMENTS = 8
_DEAD_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class SearchHits:
    """The answer to one query vector, best first: ids and cosines ``float32[K]``."""

    ids: tuple[str, ...]
    cosines: FloatArray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class IndexStats:
    """How the index stands.

    Attributes:
        rows: tracklets that can be found.
        dead: rows of outdated revisions, not yet compacted away.
        other_model: tracklets kept out because another model made their vectors.
        refused: tracklets kept out because their record is broken.
    """

    dimension: int
    model_hash: str
    rows: int
    dead: int
    segments: int
    other_model: int
    refused: int
    vector_bytes: int
    generation: int


class VectorIndex:
    """Vectors of one model in memory. Searches run in any thread, beside one writer.

    Args:
        dimension: D of the vectors.
        model_hash: vectors of other models are kept out and counted, never compared.
    """

    def __init__(self, dimension: int, model_hash: str, *, tail_rows: int = TAIL_ROWS):
        self.dimension = dimension
        self.model_hash = model_hash
        self._tail_rows = tail_rows
        self._view = threading.Lock()  # held for microseconds
        self._writing = threading.RLock()
        self._serial = 0
        self._segments: tuple[Segment, ...] = ()
        self._tail = Tail(self._next_serial(), tail_rows, dimension)
        self._where: dict[str, int] = {}  # id -> place: a million tuples would be 70 MB more
        self._camera_codes: dict[str, int] = {}
        self._other_model: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._generation = 0
        self._scanner = Scanner()
        self._begun = 0
        self._running: set[int] = set()
        self._dead: deque[tuple[int, Segment | Tail, int]] = deque()

    # -- reading ---------------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Rises whenever the content changes."""
        return self._generation

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, tracklet_id: str) -> bool:
        return tracklet_id in self._where

    def stats(self) -> IndexStats:
        with self._view:
            segments, tail = self._segments, self._tail
            stored = sum(len(s) for s in segments) + tail.count
            return IndexStats(
                dimension=self.dimension,
                model_hash=self.model_hash,
                rows=len(self._where),
                dead=stored - len(self._where),
                segments=len(segments),
                other_model=len(self._other_model),
                refused=len(self._refused),
                vector_bytes=sum(s.nbytes for s in segments) + tail.nbytes,
                generation=self._generation,
            )

    def count(self, filters: GalleryFilter) -> int:
        """How many tracklets the filter admits; `exclude_ids` is not looked at."""
        with self._search():
            return sum(int(np.count_nonzero(part.chosen)) for part in self._parts(filters))

    def search(self, vectors: FloatArray, k: int, filters: GalleryFilter | None = None) -> tuple[SearchHits, ...]:
        """The `k` nearest tracklets of each query among those the filter admits; equal cosines by id.

        Args:
            vectors: ``float32[Q, D]``, of any length but zero.

        Raises:
            ValueError: wrong dimension, NaN, infinity, a zero vector, or k out of 1..1000.
        """
        if not 1 <= k <= MAX_K:
            raise ValueError(f"k: expected 1 to {MAX_K}, got {k}")
        queries = normalised_rows(vectors, self.dimension)
        filters = filters or GalleryFilter()
        excluded = np.array(sorted(one.encode() for one in filters.exclude_ids if one in self._where), "S26")
        with self._search():
            # Ids to leave out are few: fetching that many more is exact, and cheaper than marking their rows.
            found = nearest(self._parts(filters), queries, k + len(excluded), self._scanner)
        return tuple(_top(one, excluded, k) for one in found)

    @contextmanager
    def _search(self) -> Iterator[None]:
        """While it lasts, no row is overwritten that was alive when it began."""
        with self._view:
            self._begun += 1
            number = self._begun
            self._running.add(number)
        try:
            yield
        finally:
            with self._view:
                self._running.remove(number)
                self._wipe_unlocked()

    def _parts(self, filters: GalleryFilter) -> list[Part]:
        """Every block of rows, with the living ones that the filter admits."""
        with self._view:
            blocks: list[tuple[Segment | Tail, BoolArray]] = [(s, s.alive.copy()) for s in self._segments]
            blocks.append((self._tail, self._tail.alive[: self._tail.count].copy()))
        return [Part(block, self._chosen(block, alive, filters)) for block, alive in blocks]

    def _chosen(self, block: Segment | Tail, alive: BoolArray, filters: GalleryFilter) -> BoolArray:
        """``bool[N]``: the living rows that the filter admits."""
        chosen, columns, count = alive, block.columns, len(alive)
        cameras: BoolArray | None = None
        if filters.cameras is not None or filters.exclude_cameras:
            # Codes are given before rows are written, so these cover every row of the block.
            cameras = np.array(
                [
                    (filters.cameras is None or name in filters.cameras) and name not in filters.exclude_cameras
                    for name in tuple(self._camera_codes)
                ],
                bool,
            )
        modality = None if filters.modality is None else MODALITY_CODES[filters.modality]
        if cameras is not None or modality is not None:
            chosen = chosen & block.of_kind(cameras, modality, count)
        if filters.since is not None:
            chosen = chosen & (columns.ended[:count] >= to_microseconds(filters.since))
        if filters.until is not None:
            chosen = chosen & (columns.started[:count] <= to_microseconds(filters.until))
        return chosen

    # -- writing ---------------------------------------------------------------------------------

    def revisions(self) -> dict[str, int]:
        """Every tracklet that was taken in or kept out, with its revision."""
        with self._writing:
            blocks = self._blocks()
            places = ((one, *_apart(place)) for one, place in self._where.items())
            known = {one: int(blocks[serial].columns.revision[row]) for one, serial, row in places}
            return known | self._other_model | self._refused

    def upsert(self, rows: Sequence[IndexRow]) -> int:
        """Take rows in; each replaces an older revision. Returns how many changed something."""
        with self._writing:
            fresh = self._fresh(rows)
            changed = self._keep_out(fresh)
            good, vectors = self._decode([row for row in fresh.values() if row.model == self.model_hash])
            if len(good) >= self._tail_rows:
                self._append_sealed(good, vectors)
            else:
                for row, vector in zip(good, vectors, strict=True):
                    self._append(row, vector.astype(np.float32))
            changed += len(good)
            if changed:
                self._generation += 1
                self._compact()
            return changed

    def remove(self, ids: Iterable[str]) -> int:
        """Take tracklets out. Returns how many there were."""
        with self._writing:
            removed = 0
            for one in ids:
                removed += self._kill(one) | self._forget(one)
            if removed:
                self._generation += 1
                self._compact()
            return removed

    def refuse(self, tracklet_id: str, revision: int = -1) -> None:
        """Keep a tracklet out because its record is broken."""
        with self._writing:
            self._generation += self._kill(tracklet_id) | self._forget(tracklet_id)
            self._refused[tracklet_id] = revision

    def _fresh(self, rows: Sequence[IndexRow]) -> dict[str, IndexRow]:
        """The newest of each id, where it is newer than what is here."""
        blocks = self._blocks()
        fresh: dict[str, IndexRow] = {}
        for row in rows:
            place = self._where.get(row.id)
            if place is not None:
                serial, at = _apart(place)
                known = int(blocks[serial].columns.revision[at])
            else:
                known = max(self._other_model.get(row.id, -1), self._refused.get(row.id, -1))
            earlier = fresh.get(row.id)
            if row.revision > known and (earlier is None or row.revision > earlier.revision):
                fresh[row.id] = row
        return fresh

    def _keep_out(self, fresh: dict[str, IndexRow]) -> int:
        changed = 0
        for row in fresh.values():
            if row.model != self.model_hash:
                changed += self._kill(row.id)
                self._refused.pop(row.id, None)
                self._other_model[row.id] = row.revision
        return changed

    def _decode(self, rows: Sequence[IndexRow]) -> tuple[list[IndexRow], npt.NDArray[np.float16]]:
        """Rows with a usable vector and their vectors ``float16[N, D]``; the others are refused."""
        sized = [row for row in rows if len(row.vector) == 2 * self.dimension]
        bits = np.frombuffer(b"".join(row.vector for row in sized), "<u2").reshape(len(sized), self.dimension)
        finite = ((bits & 0x7C00) != 0x7C00).all(axis=1)  # all exponent bits set: infinity or NaN
        usable = finite & ((bits & 0x7FFF) != 0).any(axis=1)
        vectors = bits.view(np.float16)
        good = [row for row, ok in zip(sized, usable.tolist(), strict=True) if ok]
        if len(good) < len(rows):
            taken = {row.id for row in good}
            for row in rows:
                if row.id not in taken:
                    log.error("tracklet without a usable vector is kept out", tracklet=row.id)
                    self.refuse(row.id, row.revision)
            vectors = vectors[usable]
        return good, vectors

    def _append(self, row: IndexRow, vector: FloatArray) -> None:
        if self._tail.full:
            self._seal()
        self._forget(row.id)
        code = self._camera_code(row.camera)
        with self._view:
            self._kill_unlocked(row.id)
            self._where[row.id] = _place(self._tail.serial, self._tail.append(row, code, vector))

    def _append_sealed(self, rows: Sequence[IndexRow], vectors: npt.NDArray[np.float16]) -> None:
        """Many rows at once go past the tail."""
        columns = Columns(len(rows))
        for at, row in enumerate(rows):
            self._forget(row.id)
            columns.write(at, row, self._camera_code(row.camera))
        segment = Segment.of(self._next_serial(), columns, vectors)
        outdated = [row.id for row in rows if row.id in self._where]
        with self._view:
            for one in outdated:
                self._kill_unlocked(one)
            self._segments = (*self._segments, segment)
        self._relocate(segment)

    def _seal(self) -> None:
        sealed = self._tail.seal(self._next_serial())
        tail = Tail(self._next_serial(), self._tail_rows, self.dimension)
        with self._view:
            self._segments = (*self._segments, sealed) if len(sealed) else self._segments
            self._tail = tail
        self._relocate(sealed)

    def _compact(self) -> None:
        """Join small segments and drop outdated rows. Searches go on meanwhile over the old segments."""
        living = {s.serial: int(s.alive.sum()) for s in self._segments}
        worn = [s for s in self._segments if living[s.serial] < (1 - _DEAD_SHARE) * len(s)]
        small = [s for s in self._segments if living[s.serial] < SEGMENT_ROWS // 2 and s not in worn]
        chosen = worn + (small if len(small) >= _SMALL_SEGMENTS else [])
        if not chosen:
            return
        groups: list[list[Segment]] = [[]]
        room = SEGMENT_ROWS
        for segment in chosen:
            if living[segment.serial] > room and groups[-1]:
                groups.append([])
                room = SEGMENT_ROWS
            groups[-1].append(segment)
            room -= living[segment.serial]
        for group in groups:
            self._merge(group)

    def _merge(self, group: list[Segment]) -> None:
        merged = Segment.joined(self._next_serial(), [(s, np.flatnonzero(s.alive)) for s in group])
        gone = {s.serial for s in group}
        with self._view:
            kept = tuple(s for s in self._segments if s.serial not in gone)
            self._segments = (*kept, merged) if len(merged) else kept
        self._relocate(merged)

    def _relocate(self, segment: Segment) -> None:
        for at, one in enumerate(segment.columns.ids.tolist()):
            self._where[one.decode()] = _place(segment.serial, at)

    def _kill(self, tracklet_id: str) -> int:
        with self._view:
            return self._kill_unlocked(tracklet_id)

    def _kill_unlocked(self, tracklet_id: str) -> int:
        place = self._where.pop(tracklet_id, None)
        if place is None:
            return 0
        serial, row = _apart(place)
        block = self._blocks()[serial]
        block.alive[row] = False
        self._dead.append((self._begun, block, row))
        self._wipe_unlocked()
        return 1

    def _wipe_unlocked(self) -> None:
        """Overwrite what died before every search that runs: an erased vector does not wait for a compaction."""
        oldest = min(self._running, default=self._begun + 1)
        while self._dead and self._dead[0][0] < oldest:
            _, block, row = self._dead.popleft()
            block.wipe(row)

    def _forget(self, tracklet_id: str) -> int:
        known = (self._other_model.pop(tracklet_id, None), self._refused.pop(tracklet_id, None))
        return int(known != (None, None))

    def _blocks(self) -> dict[int, Segment | Tail]:
        blocks: dict[int, Segment | Tail] = {s.serial: s for s in self._segments}
        blocks[self._tail.serial] = self._tail
        return blocks

    def _camera_code(self, camera: str) -> int:
        return self._camera_codes.setdefault(camera, len(self._camera_codes))

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial


def _place(serial: int, row: int) -> int:
    """Where a row is, as one number."""
    return serial << 32 | row


def _apart(place: int) -> tuple[int, int]:
    """Serial of the block, and row."""
    return place >> 32, place & 0xFFFFFFFF


def _top(found: Found, excluded: npt.NDArray[np.bytes_], k: int) -> SearchHits:
    scores, ids = found.scores, found.ids
    if len(excluded):
        kept = ~np.isin(ids, excluded)
        scores, ids = scores[kept], ids[kept]
    order = np.lexsort((ids, -scores))[:k]
    return SearchHits(tuple(one.decode() for one in ids[order].tolist()), scores[order])
