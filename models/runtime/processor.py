"""What this machine's processor can do, as far as the choice of an engine depends on it."""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
from pathlib import Path

__all__ = ["available_threads", "has_bf16", "has_int8_dot", "installed"]


def available_threads() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed(package: str) -> bool:
    """Whether a package can be found, without importing it."""
    return importlib.util.find_spec(package) is not None


def has_bf16() -> bool:
    """Products of bfloat16 in hardware."""
    return bool(_flags() & {"avx512_bf16", "amx_bf16", "bf16"})


def has_int8_dot() -> bool:
    """Sums of eight-bit products in 32 bits. Without, they saturate or are slow."""
    return bool(_flags() & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


@functools.cache
def _flags() -> frozenset[str]:
    """The processor's features as Linux names them; empty elsewhere, where nothing is taken for granted."""
    if platform.system() != "Linux":
        return frozenset()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, values = line.partition(":")
        if name.strip().lower() in {"flags", "features"}:
            return frozenset(values.split())
    return frozenset()
