"""The nearest of chosen rows, exactly: what a scan of int8 codes cannot rule out is compared in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.types import FloatArray
from service.gallery.rows import BoolArray, Segment, Tail
from service.gallery.scan import Piece, Scan, Scanner
from service.gallery.sieve import BLOCK_ROWS, ROUNDING, QueryCodes

__all__ = ["Found", "Part", "nearest"]

IntArray = npt.NDArray[np.int64]
_RUN = 64  # rows under one peak
# When this share of the rows stays possible, or so few rows that it hardly matters, reading them all is quicker.
_MOST_SHARE, _FEW = 16, 8192
# A row looked up by itself costs as much as scanning so many.
_GATHER_COST = 32


@dataclass(frozen=True, slots=True)
class Part:
    """A block of rows, and which of them are meant: ``bool[N]``, shorter than a tail that has grown meanwhile."""

    block: Segment | Tail
    chosen: BoolArray


@dataclass(frozen=True, slots=True)
class Found:
    """Rows that hold the nearest ones, in no order: scores ``float32[K]``, ids ``bytes[K]``."""

    scores: FloatArray
    ids: npt.NDArray[np.bytes_]


def nearest(parts: Sequence[Part], queries: FloatArray, k: int, scanner: Scanner) -> list[Found]:
    """For each unit query ``float32[Q, D]`` the `k` nearest, and possibly more."""
    found: list[list[Found]] = [[] for _ in queries]
    scanned: list[tuple[Part, BoolArray]] = []
    for part in parts:
        count = int(np.count_nonzero(part.chosen))
        if count == 0:
            continue
        if isinstance(part.block, Segment) and part.block.sieve is not None:
            blocks = np.logical_or.reduceat(part.chosen, np.arange(0, len(part.chosen), BLOCK_ROWS))
            if count * _GATHER_COST > int(blocks.sum()) * BLOCK_ROWS:
                scanned.append((part, blocks))
                continue
        for answer, one in zip(found, _in_full(part, queries, k), strict=True):
            answer.append(one)
    if scanned:
        sieved = _Sieved(scanned, queries, scanner)
        for number, answer in enumerate(found):
            answer += sieved.nearest(number, k, np.concatenate([one.scores for one in answer] or [np.zeros(0, "f4")]))
    return [
        Found(np.concatenate([one.scores for one in answer]), np.concatenate([one.ids for one in answer]))
        if answer
        else Found(np.zeros(0, np.float32), np.zeros(0, "S26"))
        for answer in found
    ]


def _in_full(part: Part, queries: FloatArray, k: int) -> Iterator[Found]:
    scores, rows = part.block.search(queries, k, part.chosen)
    return (Found(s, part.block.columns.ids[r]) for s, r in zip(scores, rows, strict=True))


class _Sieved:
    """Segments after a scan: the scores, short of the query's scale, of all chosen rows one behind the other."""

    def __init__(self, scanned: Sequence[tuple[Part, BoolArray]], queries: FloatArray, scanner: Scanner) -> None:
        self._parts = [part for part, _ in scanned]
        self._queries = queries
        sizes = [-(-len(part.chosen) // _RUN) * _RUN for part in self._parts]
        self._ends = np.cumsum(sizes)
        starts = (self._ends - sizes).tolist()
        self._starts = starts
        self._codes = QueryCodes.of(queries)
        self._scores = np.empty((len(queries), int(self._ends[-1])), np.float32)
        sieves = [part.block.sieve for part in self._parts if isinstance(part.block, Segment)]
        pieces = [
            Piece(sieve, start, blocks)
            for sieve, start, (_, blocks) in zip(sieves, starts, scanned, strict=True)
            if sieve is not None
        ]
        scanner.run(Scan(self._codes, pieces, self._scores))
        for part, start, end in zip(self._parts, starts, self._ends.tolist(), strict=True):
            count = len(part.chosen)
            np.copyto(self._scores[:, start : start + count], -np.inf, where=~part.chosen)
            self._scores[:, start + count : end] = -np.inf
        self._pieces = pieces
        self._reach = max(piece.sieve.reach for piece in pieces)
        self._worst = max(float(piece.sieve.errors.max()) for piece in pieces)

    def nearest(self, number: int, k: int, known: FloatArray) -> list[Found]:
        """Of one query; `known` are scores of rows elsewhere."""
        scores, query, scale = self._scores[number], self._queries[number], self._codes.scales[number]
        peaks = scores.reshape(-1, _RUN).max(axis=1)
        likely = self._likely(scores, peaks, k)
        if self._too_many(likely):
            return self._all_in_full(number, k)
        exact = self._compare(likely, query)
        known = np.concatenate([known, *(one.scores for one in exact)])
        if len(known) < k:
            return exact  # there are no others
        # Nothing below this can be among the best: k rows above it are known.
        kth = np.partition(known, len(known) - k)[len(known) - k]
        least = kth - (self._codes.errors[number] + 2 * ROUNDING) * self._reach
        runs = np.flatnonzero(peaks * scale + self._worst >= least)
        possible = (runs[:, None] * _RUN + np.arange(_RUN)).ravel()
        possible = possible[scores[possible] > -np.inf]
        possible = possible[scores[possible] * scale + self._errors(possible) >= least]
        possible = possible[~np.isin(possible, likely, assume_unique=True)]
        if self._too_many(possible):
            return self._all_in_full(number, k)
        return exact + self._compare(possible, query)

    def _likely(self, scores: FloatArray, peaks: FloatArray, k: int) -> IntArray:
        """At least `k` rows with the highest scores, or all."""
        among = peaks if len(peaks) >= 4 * k and np.count_nonzero(peaks > -np.inf) >= k else scores
        if k < len(among):
            least = np.partition(among, len(among) - k)[len(among) - k]
            if least > -np.inf:
                return np.flatnonzero(scores >= least)
        return np.flatnonzero(scores > -np.inf)

    def _too_many(self, rows: IntArray) -> bool:
        return len(rows) > max(_FEW, len(self._scores[0]) // _MOST_SHARE)

    def _by_part(self, rows: IntArray) -> Iterator[tuple[int, IntArray]]:
        """Rising rows of the scores as the number of each part and its own rows."""
        cuts = [0, *np.searchsorted(rows, self._ends).tolist()]
        for number, start in enumerate(self._starts):
            some = rows[cuts[number] : cuts[number + 1]]
            if len(some):
                yield number, some - start

    def _errors(self, rows: IntArray) -> FloatArray:
        found = [self._pieces[number].sieve.errors[own] for number, own in self._by_part(rows)]
        return np.concatenate(found or [np.zeros(0, np.float32)])

    def _compare(self, rows: IntArray, query: FloatArray) -> list[Found]:
        """Rows compared in full. Equal vectors get equal scores, wherever they lie."""
        found = []
        for number, own in self._by_part(rows):
            block = self._parts[number].block
            vectors = block.vectors_of(own)
            found.append(Found(np.einsum("nd,d->n", vectors, query), block.columns.ids[own]))
        return found

    def _all_in_full(self, number: int, k: int) -> list[Found]:
        query = self._queries[number : number + 1]
        return [one for part in self._parts for one in _in_full(part, query, k)]
