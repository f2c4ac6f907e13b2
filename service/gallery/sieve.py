"""Int8 codes beside the vectors: a scan of half the bytes that says which rows may be among the best.

Nothing is lost by it. A row ``x`` is kept as ``s * c + e``: a scale, int8 codes, and what they leave out, whose
length is known. For a query ``q = t * d + f``, quantised alike, the scan gives ``s * t * (c . d)``, computed
exactly, which differs from ``q . x`` by at most ``|e| * |q| + |f| * |s * c|``. So every row is known to within that
much, and those that could be among the best are looked at again in full.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import structlog

from pipeline.types import FloatArray

if TYPE_CHECKING:
    import torch

    Products = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Of ``int8[M, D]`` and ``int8[N, D]`` every row with every row: ``[M, N]``."""

__all__ = ["QueryCodes", "Sieve", "exact_products", "quantised"]

log = structlog.get_logger("tapetum.index")

Int8Array = npt.NDArray[np.int8]
BLOCK_ROWS = 16_384  # 8 MB of codes at D = 512, half a millisecond: what a filter leaves out whole is not read
WIDTHS = (
    1,
    8,
    16,
    32,
)  # queries in one product: two cost about as much as eight, and the library plans each width anew
_QUANTISED_AT_ONCE = 4096
_WIDENED_AT_ONCE = 1 << 20  # numbers: 4 MB as float32; at 16 MB a product takes twice as long
# Memory ``float32[rows, D]``, as much as there were products at the same time.
_rooms: defaultdict[tuple[int, int], list[torch.Tensor]] = defaultdict(list)
# Products and scales are rounded to float32; relative to the lengths of both vectors.
ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class QueryCodes:
    """Unit queries as codes ``int8[Q, D]``; scales and lengths of what they leave out ``float32[Q]``."""

    codes: Int8Array
    scales: FloatArray
    errors: FloatArray

    @classmethod
    def of(cls, queries: FloatArray) -> QueryCodes:
        """Of unit queries ``float32[Q, D]``."""
        return cls(*quantised(queries))


@dataclass(frozen=True, slots=True)
class Sieve:
    """The codes of a segment's rows.

    Attributes:
        codes: ``int8[N, D]``.
        scales: ``float32[N]``.
        multiply: what `exact_products` gave.
        tensors: codes and scales as torch sees them.
        errors: ``float32[N]``, lengths of what the codes leave out.
        reach: no row is longer, neither as it came nor as its codes say.
    """

    codes: Int8Array
    scales: FloatArray
    errors: FloatArray
    reach: float
    multiply: Products = field(repr=False)
    tensors: tuple[torch.Tensor, torch.Tensor] = field(repr=False)

    @classmethod
    def of(cls, vectors: npt.NDArray[np.float16], multiply: Products) -> Sieve:
        """Of rows ``float16[N, D]``."""
        count, dimension = vectors.shape
        codes, scales, errors = np.empty((count, dimension), np.int8), np.empty(count, "f4"), np.empty(count, "f4")
        reach = 0.0
        for start in range(0, count, _QUANTISED_AT_ONCE):
            some = slice(start, start + _QUANTISED_AT_ONCE)
            rows = vectors[some].astype(np.float32)
            codes[some], scales[some], errors[some] = quantised(rows)
            reach = max(reach, float((lengths(rows) + errors[some]).max()))
        return cls._over(codes, scales, errors, reach, multiply)

    @classmethod
    def joined(cls, parts: Sequence[tuple[Sieve, npt.NDArray[np.int64]]], order: npt.NDArray[np.int64]) -> Sieve:
        """Rows of several, put one behind the other and then in the given order."""
        dimension = parts[0][0].codes.shape[1]
        codes = np.empty((len(order), dimension), np.int8)
        place = np.argsort(order)
        start = 0
        for sieve, rows in parts:
            codes[place[start : start + len(rows)]] = sieve.codes[rows]
            start += len(rows)
        scales = np.concatenate([sieve.scales[rows] for sieve, rows in parts])[order]
        errors = np.concatenate([sieve.errors[rows] for sieve, rows in parts])[order]
        reach = max(sieve.reach for sieve, _ in parts)
        return cls._over(codes, scales, errors, reach, parts[0][0].multiply)

    @classmethod
    def _over(cls, codes: Int8Array, scales: FloatArray, errors: FloatArray, reach: float, multiply: Products) -> Sieve:
        import torch

        tensors = torch.from_numpy(codes), torch.from_numpy(scales)
        return cls(codes, scales, errors, reach, multiply, tensors)

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.scales.nbytes + self.errors.nbytes

    def wipe(self, row: int) -> None:
        """Overwrite a row."""
        self.codes[row] = 0
        self.scales[row] = self.errors[row] = 0.0

    def scan(self, rows: slice, queries: torch.Tensor, into: Sequence[torch.Tensor]) -> None:
        """Write the products of some rows, short of the queries' scales, into ``float32[Q, rows]`` one by one.

        Args:
            queries: ``int8[M, D]``, M no less than all Q together, and best one of `WIDTHS`.
        """
        import torch

        codes, scales = self.tensors
        products = self.multiply(queries, codes[rows])
        start = 0
        for out in into:
            torch.mul(products[start : start + len(out)], scales[rows], out=out)
            start += len(out)


def quantised(vectors: FloatArray) -> tuple[Int8Array, FloatArray, FloatArray]:
    """Codes ``int8[N, D]``, scales and lengths of the rest ``float32[N]`` of rows ``float32[N, D]``."""
    scales = np.maximum(vectors.max(axis=1), -vectors.min(axis=1)) / np.float32(127)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    rounded = vectors / scales[:, None]
    np.rint(rounded, out=rounded)
    codes = rounded.astype(np.int8)
    rounded *= scales[:, None]
    rounded -= vectors
    return codes, scales, lengths(rounded)


def lengths(vectors: FloatArray) -> FloatArray:
    """``float32[N]`` of rows ``float32[N, D]``."""
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", vectors, vectors)), np.float32)


def _integer_products(queries: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """``int32[M, N]``. Reads the codes once where the processor multiplies int8 (VNNI, AMX)."""
    import torch

    return torch._int_mm(queries, codes.T)


def _float_products(queries: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """``float32[M, N]``, some rows at a time, which a cache holds widened. Every sum below 2**24 is exact."""
    import torch

    count, dimension = codes.shape
    at_once = max(1, _WIDENED_AT_ONCE // dimension)
    factors, found = queries.float(), torch.empty((len(queries), count))
    try:
        room = _rooms[at_once, dimension].pop()  # new memory comes page by page, for twice the time
    except IndexError:
        room = torch.empty((at_once, dimension))
    for start in range(0, count, at_once):
        some = codes[start : start + at_once]
        widened = room[: len(some)].copy_(some)
        torch.mm(factors, widened.T, out=found[:, start : start + len(some)])
    room.zero_()  # what is erased is not kept here
    _rooms[at_once, dimension].append(room)
    return found


@cache
def exact_products(dimension: int) -> Products | None:
    """The quicker way on this processor to multiply codes of a dimension as integers do; None if there is none.

    Some processors saturate on the way; without int8 instructions torch takes three times as long for one query over
    integers as over floats, and twenty times for 32.
    """
    took_s = {}
    for products in (_integer_products, _float_products):
        try:
            _check(products, dimension)
            took_s[products] = _seconds(products, dimension)
        except (ImportError, AttributeError, RuntimeError) as error:
            name = products.__name__.strip("_")
            log.info("a way to multiply int8 codes is left out", way=name, reason=str(error)[:200])
    if not took_s:
        log.warning("no exact int8 products on this machine, searches read all vectors")
    return min(took_s, key=took_s.__getitem__, default=None)


def _check(products: Products, dimension: int) -> None:
    """Raises RuntimeError unless the products are what integers give."""
    import torch

    random = np.random.default_rng(0)
    for width in WIDTHS:
        one = random.integers(-127, 128, (width, dimension), dtype=np.int8)
        other = random.integers(-127, 128, (64, dimension), dtype=np.int8)
        one[0], other[:2] = 127, np.array([[127], [-127]], np.int8)
        one[0, 0] = 126  # a sum that is odd: beyond 2**24 a float skips it
        got = products(torch.from_numpy(one), torch.from_numpy(other)).numpy()
        if not np.array_equal(got.astype(np.int64), one.astype(np.int64) @ other.astype(np.int64).T):
            raise RuntimeError("a product is not exact")


def _seconds(products: Products, dimension: int) -> float:
    """Of processor time, for one query over a block: the least of some."""
    import torch

    query, codes = torch.ones((1, dimension), dtype=torch.int8), torch.ones((BLOCK_ROWS, dimension), dtype=torch.int8)
    took_s = []
    for _ in range(4):  # the first one plans
        begun = time.thread_time()
        products(query, codes)
        took_s.append(time.thread_time() - begun)
    return min(took_s)
