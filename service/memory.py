"""How the processes that run for months treat their memory: short pauses for the collector, a heap that stays level."""

from __future__ import annotations

import ctypes
import gc

__all__ = ["keep_heap_level", "leave_out_what_is_loaded"]

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # glibc's malloc.h
_HEAPS, _LARGE_BYTES = 2, 1 << 20


def leave_out_what_is_loaded() -> None:
    """Have the collector never again look at what this process holds now; to be called once it is ready to work.

    Libraries are hundreds of thousands of objects that stay. Every full collection walks them all, which stops all
    threads for a quarter of a second; without them it takes a fraction of that.
    """
    gc.collect()
    gc.freeze()


def keep_heap_level() -> None:
    """Have all threads share two heaps, and blocks above a megabyte go back when they are freed; to be called first.

    glibc gives each thread a heap of its own, up to eight a core, and each keeps the most it ever held at one time. It
    also learns to keep large blocks there. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, _HEAPS)
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
