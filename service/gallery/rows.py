"""The rows of the index: columns that filters read, and blocks of vectors that are searched.

Rows are only ever appended. A sealed `Segment` never changes but for its `alive` marks; the `Tail` takes new
rows until it is full and is then sealed. So a search needs a lock only while it copies the marks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from models.types import Modality
from pipeline.types import FloatArray

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
class Segment:
    """Sealed rows.

    FAISS keeps the float16 values as they came and computes inner products of float32: the search is exact.

    Attributes:
        codes: ``float16[N, D]``, a view into FAISS' memory.
        alive: ``bool[N]``, the only thing that changes.
    """

    serial: int
    columns: Columns
    codes: npt.NDArray[np.float16]
    alive: BoolArray
    faiss_index: faiss.IndexScalarQuantizer = field(repr=False)

    def __len__(self) -> int:
        return len(self.alive)

    @classmethod
    def of(cls, serial: int, columns: Columns, vectors: npt.NDArray[np.float16]) -> Segment:
        """Seal rows, in an order of our own; `vectors` is ``float16[N, D]`` and is copied."""
        count, dimension = vectors.shape
        order = columns.order()
        columns, vectors = columns.take(order), vectors[order]
        index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index.add_sa_codes(np.ascontiguousarray(vectors, "<f2").view(np.uint8))
        memory = faiss.rev_swig_ptr(index.codes.data(), count * dimension * 2)
        return cls(serial, columns, memory.view(np.float16).reshape(count, dimension), np.ones(count, bool), index)

    def search(self, queries: FloatArray, k: int, chosen: BoolArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """The best of the chosen rows: scores ``float32[Q, K]``, rows ``int64[Q, K]``, -1 where there are fewer."""
        count = int(chosen.sum())
        k = min(k, count)
        if k == 0:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        if count <= _GATHER_ROWS:
            rows = np.flatnonzero(chosen)
            scores = queries @ self.codes[rows].astype(np.float32).T
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
