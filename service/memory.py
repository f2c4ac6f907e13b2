"""How processes treat their memory.

Those that run for months want short pauses for the collector and a heap that stays level; those that compute want to
keep what they will ask for again.
"""

from __future__ import annotations

import ctypes
import gc

__all__ = ["keep_heap_level", "keep_large_blocks", "leave_out_what_is_loaded"]

_ARENA_MAX, _MMAP_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -4, -3, -1  # glibc's malloc.h
_HEAPS, _LARGE_BYTES, _NONE, _NEVER = 2, 1 << 20, 0, -1


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
    _set(_ARENA_MAX, _HEAPS)
    _set(_MMAP_THRESHOLD, _LARGE_BYTES)


def keep_large_blocks() -> None:
    """Have this process keep what it frees, large blocks too; to be called before a network learns or is judged.

    Each batch asks for the same hundred megabytes as the one before. glibc gives such blocks back, so that the kernel
    clears every page of them again for the next batch: a fifth of the time of training on two cores.
    """
    _set(_MMAP_MAX, _NONE)
    _set(_TRIM_THRESHOLD, _NEVER)


def _set(parameter: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(parameter, value)
