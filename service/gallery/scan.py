"""Scans of int8 codes: searches that wait for one another share one reading of memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.types import FloatArray
from service.gallery.sieve import BLOCK_ROWS, WIDTHS, QueryCodes, Sieve

if TYPE_CHECKING:
    import torch

__all__ = ["Piece", "Scan", "Scanner"]

_Wanting = list[tuple["Scan", "Piece"]]
_Job = tuple[slice, "_Wanting"]
_BLOCKS_AT_ONCE = 4

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A sieve, where its rows begin in the scores of a scan, and which of its blocks are to be read."""

    sieve: Sieve
    offset: int
    blocks: BoolArray


@dataclass(slots=True, eq=False)
class Scan:
    """One search's share of work.

    Attributes:
        scores: ``float32[Q, N]``, short of the queries' scales; what no piece covers stays as it is.
    """

    queries: QueryCodes
    pieces: Sequence[Piece]
    scores: FloatArray
    done: bool = False
    error: BaseException | None = field(default=None, repr=False)


class Scanner:
    """Runs scans: at once when none runs, else together with all that have come meanwhile.

    Reading the codes is what costs; eight queries over one reading cost two to three times as much as one.

    Args:
        threads: that read at the same time. One nearly fills the memory's bandwidth on small machines.
    """

    def __init__(self, threads: int = 1) -> None:
        self._turn = threading.Condition()
        self._waiting: list[Scan] = []
        self._busy = False
        self._helpers = ThreadPoolExecutor(threads - 1, "index-scan") if threads > 1 else None
        self._threads = threads

    def run(self, scan: Scan) -> None:
        """Fill the scores."""
        with self._turn:
            self._waiting.append(scan)
        while True:
            with self._turn:
                while self._busy and not scan.done:
                    self._turn.wait()
                if scan.done:
                    break
                group = self._group()
                self._busy = True
            error: BaseException | None = None
            try:
                self._scan(group)
            except BaseException as caught:
                error = caught
            with self._turn:
                for one in group:
                    one.done, one.error = True, error
                self._busy = False
                self._turn.notify_all()
        if scan.error is not None:
            raise scan.error

    def _group(self) -> list[Scan]:
        """Those that wait longest, as many as fit into one product; at least one."""
        room, taken = WIDTHS[-1], 0
        for scan in self._waiting:
            room -= len(scan.queries.codes)
            if room < 0 and taken:
                break
            taken += 1
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return group

    def _scan(self, group: Sequence[Scan]) -> None:
        shared: dict[int, _Wanting] = {}
        for scan in group:
            for piece in scan.pieces:
                shared.setdefault(id(piece.sieve), []).append((scan, piece))
        jobs = [job for wanting in shared.values() for job in _jobs(wanting)]
        if self._helpers is None or len(jobs) < 2 * self._threads:
            _work(jobs)
            return
        shares = [jobs[first :: self._threads] for first in range(self._threads)]
        helped = [self._helpers.submit(_work, share) for share in shares[1:]]
        _work(shares[0])
        for one in helped:
            one.result()


def _jobs(users: _Wanting) -> Iterator[_Job]:
    """The rows of one sieve that are wanted, some blocks at a time, and by whom."""
    earlier: tuple[int, _Wanting] | None = None
    for block in range(len(users[0][1].blocks) + 1):
        wanting = [(scan, piece) for scan, piece in users if block < len(piece.blocks) and piece.blocks[block]]
        if earlier is not None and (earlier[1] != wanting or block - earlier[0] == _BLOCKS_AT_ONCE):
            yield slice(earlier[0] * BLOCK_ROWS, min(block * BLOCK_ROWS, len(users[0][1].sieve.codes))), earlier[1]
            earlier = None
        if wanting and earlier is None:
            earlier = block, wanting


def _work(jobs: Sequence[_Job]) -> None:
    import torch

    stacks: dict[tuple[int, ...], torch.Tensor] = {}
    scores: dict[int, torch.Tensor] = {}
    for rows, wanting in jobs:
        key = tuple(id(scan) for scan, _ in wanting)
        if key not in stacks:
            stacks[key] = _stacked([scan.queries.codes for scan, _ in wanting])
            scores.update({id(scan): torch.from_numpy(scan.scores) for scan, _ in wanting})
        into = [scores[id(scan)][:, piece.offset + rows.start : piece.offset + rows.stop] for scan, piece in wanting]
        wanting[0][1].sieve.scan(rows, stacks[key], into)


def _stacked(codes: Sequence[npt.NDArray[np.int8]]) -> torch.Tensor:
    """Queries as ``int8[M, D]`` of a known width, filled up with zeros."""
    import torch

    whole = np.concatenate(codes)
    width = next((width for width in WIDTHS if width >= len(whole)), len(whole))
    padded = np.zeros((width, whole.shape[1]), np.int8)
    padded[: len(whole)] = whole
    return torch.from_numpy(padded)
