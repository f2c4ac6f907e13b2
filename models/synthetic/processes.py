"""Drawing in several processes, each with one thread."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["in_processes"]

_T = TypeVar("_T")
_R = TypeVar("_R")


def in_processes(do: Callable[[_T], _R], tasks: Sequence[_T], jobs: int) -> Iterator[_R]:
    """What each task comes to, as it ends; `jobs` processes with one thread each, or this one."""
    if jobs == 1 or len(tasks) < 2:
        yield from map(do, tasks)
        return
    with _one_thread_each():
        pool = ProcessPoolExecutor(min(jobs, len(tasks)), multiprocessing.get_context("spawn"))
        running: set[Future[_R]] = set()
        queue = iter(tasks)
        try:
            for task in queue:
                running.add(pool.submit(do, task))
                if len(running) >= 2 * jobs:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started meanwhile draw and multiply with one thread each: more only wait for each other."""
    names = ("LP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
