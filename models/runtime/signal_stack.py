"""Keeps a library from exchanging the stack that signal handlers of this thread run on.

OpenVINO's CPU plugin gives the thread that loads it an alternate signal stack of the size the kernel needs at least,
and frees that memory with the plugin. Python's handlers (SIGTERM, SIGINT, SIGCHLD of data loaders) run on it: there is
no room for them on it, and none at all once it is freed. Seen as segmentation faults when a child process ended.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["signal_stack_kept"]


class _Stack(ctypes.Structure):
    """``stack_t`` of sigaltstack(2) on Linux."""

    _fields_ = (("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Whatever is called inside, this thread has the signal stack afterwards that it had before."""
    if sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None)
    before = _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
