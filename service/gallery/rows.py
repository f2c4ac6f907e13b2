"""The rows of the index: columns that filters read, and blocks of vectors that are searched.

Rows are only ever appended. A sealed `Segment` never changes but for its `alive` marks and rows that no search can
see any more; the `Tail` takes new rows until it is full and is then sealed. So a search needs a lock only while it
copies the marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from models.types import Modality
from pipeline.types import FloatArray
from service.gallery.sieve import Sieve, exact_products

__all__ = ["Columns", "IndexRow", "Segment", "Tail", "normalised_rows"]

BoolArray = npt.NDArray[np.bool_]
_faiss: Any = faiss  # its stubs know neither keyword arguments nor arrays
MODALITY_CODES = {Modality.VISIBLE: 0, Modality.INFRARED: 1}
ID_LENGTH = 26
# Below so many chosen rows, gathering them is cheaper than walking the marks of all others.
_GATHER_ROWS = 256


class IndexRow(NamedTuple):
    """What the index needs of a record; `vector` is float16, little-endian; times in microseconds."""

    id: str
    revision: int
    camera: str
    modality: Modality
    started: int
    ended: int
    model: str
    vector: bytes


class Columns:
    """Parallel arrays with room for `capacity` rows."""

    __slots__ = ("camera", "ended", "ids", "modality", "revision", "started")

    def __init__(self, capacity: int):
        self.ids = np.zeros(capacity, f"S{ID_LENGTH}")
        self.camera = np.zeros(capacity, np.int32)
        self.modality = np.zeros(capacity, np.int8)
        self.revision = np.zeros(capacity, np.int64)
        self.started = np.zeros(capacity, np.int64)
        self.ended = np.zeros(capacity, np.int64)

    def write(self, at: int, row: IndexRow, camera_code: int) -> None:
        self.ids[at] = row.id.encode()
        self.camera[at] = camera_code
        self.modality[at] = MODALITY_CODES[row.modality]
        self.revision[at] = row.revision
        self.started[at] = row.started
        self.ended[at] = row.ended

    def take(self, rows: npt.NDArray[np.int64] | slice) -> Columns:
        """A copy of some rows."""
        taken = Columns(0)
        for name in self.__slots__:
            setattr(taken, name, getattr(self, name)[rows].copy())
        return taken

    def order(self) -> npt.NDArray[np.int64]:
        """The order in which what filters choose lies together: memory is read fast only in runs."""
        return np.lexsort((self.started, self.camera, self.modality))

    @classmethod
    def joined(cls, parts: list[Columns]) -> Columns:
        whole = cls(0)
        for name in cls.__slots__:
            setattr(whole, name, np.concatenate([getattr(part, name) for part in parts]))
        return whole


@dataclass(frozen=True, slots=True)
class Runs:
    """Rows in `Columns.order`, as runs of one camera and modality: ``int[R]`` each."""

    camera: npt.NDArray[np.int32]
    modality: npt.NDArray[np.int8]
    lengths: npt.NDArray[np.int64]

    @classmethod
    def of(cls, columns: Columns) -> Runs:
        camera, modality = columns.camera, columns.modality
        changes = np.flatnonzero((np.diff(camera) != 0) | (np.diff(modality) != 0)) + 1
        starts = np.concatenate([[0], changes]) if len(camera) else changes
        return cls(camera[starts], modality[starts], np.diff(starts, append=len(camera)))


@dataclass(frozen=True, slots=True)
class Segment:
    """Sealed rows.

    FAISS keeps the float16 values as they came and computes inner products of float32: the search is exact.

    Attributes:
        codes: ``float16[N, D]``, a view into FAISS' memory.
        alive: ``bool[N]``; nothing else changes but that rows which are dead for every search are overwritten.
        sieve: the same rows in int8; None where they would not be multiplied exactly.
    """

    serial: int
    columns: Columns
    runs: Runs
    codes: npt.NDArray[np.float16]
    alive: BoolArray
    sieve: Sieve | None = field(repr=False)
    faiss_index: faiss.IndexScalarQuantizer = field(repr=False)

    def __len__(self) -> int:
        return len(self.alive)

    @classmethod
    def of(cls, serial: int, columns: Columns, vectors: npt.NDArray[np.float16]) -> Segment:
        """Seal rows, in an order of our own; `vectors` is ``float16[N, D]`` and is copied."""
        order = columns.order()
        index, memory = _room(*vectors.shape)
        np.take(vectors, order, axis=0, out=memory)
        multiply = exact_products(vectors.shape[1])
        sieve = Sieve.of(memory, multiply) if multiply is not None else None
        columns = columns.take(order)
        return cls(serial, columns, Runs.of(columns), memory, np.ones(len(order), bool), sieve, index)

    @classmethod
    def joined(cls, serial: int, parts: Sequence[tuple[Segment, npt.NDArray[np.int64]]]) -> Segment:
        """Some rows of several segments as one."""
        columns = Columns.joined([segment.columns.take(rows) for segment, rows in parts])
        order = columns.order()
        index, memory = _room(len(order), parts[0][0].codes.shape[1])
        place, start = np.argsort(order), 0
        for segment, rows in parts:
            memory[place[start : start + len(rows)]] = segment.codes[rows]
            start += len(rows)
        sieves = [(segment.sieve, rows) for segment, rows in parts if segment.sieve is not None]
        sieve = Sieve.joined(sieves, order) if sieves else None
        columns = columns.take(order)
        return cls(serial, columns, Runs.of(columns), memory, np.ones(len(order), bool), sieve, index)

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + (self.sieve.nbytes if self.sieve else 0)

    def of_kind(self, cameras: BoolArray | None, modality: int | None, count: int) -> BoolArray:
        """``bool[N]``: rows of cameras whose codes are marked, and of a modality; all for None."""
        chosen = np.ones(len(self.runs.lengths), bool)
        if cameras is not None:
            chosen &= cameras[self.runs.camera]
        if modality is not None:
            chosen &= self.runs.modality == modality
        return np.repeat(chosen, self.runs.lengths)

    def vectors_of(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """``float32[N, D]``."""
        return self.codes[rows].astype(np.float32)

    def wipe(self, row: int) -> None:
        """Overwrite a row that is dead."""
        self.codes[row] = 0
        if self.sieve is not None:
            self.sieve.wipe(row)

    def search(self, queries: FloatArray, k: int, chosen: BoolArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """The best of the chosen rows: scores ``float32[Q, K]``, rows ``int64[Q, K]``, -1 where there are fewer."""
        count = int(chosen.sum())
        k = min(k, count)
        if k == 0:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        if count <= _GATHER_ROWS:
            rows = np.flatnonzero(chosen)
            scores = queries @ self.vectors_of(rows).T
            best = _best(scores, k)
            return np.take_along_axis(scores, best, axis=1), rows[best]
        if count == len(self):
            return self._result(self.faiss_index.search(queries, k))
        bits = np.packbits(chosen, bitorder="little")
        parameters = _faiss.SearchParameters(sel=_faiss.IDSelectorBitmap(bits))
        return self._result(self.faiss_index.search(queries, k, params=parameters))

    @staticmethod
    def _result(
        found: tuple[FloatArray, npt.NDArray[np.int64]],
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        return found[0], found[1]


class Tail:
    """The newest rows, still growing; vectors as ``float32[capacity, D]``, searched by one matrix product."""

    def __init__(self, serial: int, capacity: int, dimension: int):
        self.serial = serial
        self.columns = Columns(capacity)
        self.vectors = np.zeros((capacity, dimension), np.float32)
        self.alive = np.zeros(capacity, bool)
        self.count = 0

    @property
    def full(self) -> bool:
        return self.count == len(self.alive)

    @property
    def nbytes(self) -> int:
        return self.vectors.nbytes

    def of_kind(self, cameras: BoolArray | None, modality: int | None, count: int) -> BoolArray:
        """Like `Segment.of_kind`, of the first `count` rows."""
        chosen = np.ones(count, bool)
        if cameras is not None:
            chosen &= cameras[self.columns.camera[:count]]
        if modality is not None:
            chosen &= self.columns.modality[:count] == modality
        return chosen

    def vectors_of(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """``float32[N, D]``."""
        return self.vectors[rows]

    def wipe(self, row: int) -> None:
        """Overwrite a row that is dead."""
        self.vectors[row] = 0

    def append(self, row: IndexRow, camera_code: int, vector: FloatArray) -> int:
        at = self.count
        self.columns.write(at, row, camera_code)
        self.vectors[at] = vector
        self.alive[at] = True
        self.count = at + 1
        return at

    def search(self, queries: FloatArray, k: int, chosen: BoolArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Like `Segment.search`, over the first ``len(chosen)`` rows."""
        rows = np.flatnonzero(chosen)
        k = min(k, len(rows))
        scores = queries @ self.vectors[: len(chosen)].T
        if len(rows) < len(chosen):
            scores = scores[:, rows]
        best = _best(scores, k)
        return np.take_along_axis(scores, best, axis=1), rows[best]

    def seal(self, serial: int) -> Segment:
        """The living rows as a segment."""
        rows = np.flatnonzero(self.alive[: self.count])
        return Segment.of(serial, self.columns.take(rows), self.vectors[rows].astype(np.float16))


def _room(count: int, dimension: int) -> tuple[faiss.IndexScalarQuantizer, npt.NDArray[np.float16]]:
    """An index of `count` rows to be filled in, and its memory ``float16[N, D]``."""
    index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.codes.resize(count * dimension * 2)
    index.ntotal = count
    memory = faiss.rev_swig_ptr(index.codes.data(), count * dimension * 2)
    return index, memory.view(np.float16).reshape(count, dimension)


def normalised_rows(vectors: FloatArray, dimension: int) -> FloatArray:
    """Queries made unit length.

    Raises:
        ValueError: the shape is not ``[Q, D]`` with at least one row, or a row is zero or not finite.
    """
    if vectors.ndim != 2 or len(vectors) == 0 or vectors.shape[1] != dimension:
        raise ValueError(f"query vectors: expected shape (Q, {dimension}) with Q >= 1, got {vectors.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(norms).all():
        raise ValueError("query vectors: expected finite numbers, got NaN or infinity")
    if (norms < 1e-6).any():
        raise ValueError("query vectors: expected a direction, got a zero vector")
    return np.ascontiguousarray(vectors / norms, np.float32)


def _best(scores: FloatArray, k: int) -> npt.NDArray[np.int64]:
    if k >= scores.shape[1]:
        return np.tile(np.arange(scores.shape[1]), (len(scores), 1))
    return np.argpartition(-scores, k - 1, axis=1)[:, :k]
