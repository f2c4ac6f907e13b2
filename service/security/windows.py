"""Counts in Redis that begin anew after a while, shared by all API processes."""

from __future__ import annotations

from typing import Any

__all__ = ["count_in_window"]


def count_in_window(client: Any, key: str, window_s: int) -> tuple[int, int]:
    """Count one more under a key.

    Returns:
        How many there were in this window, and for how many seconds it goes on. May raise ``redis.RedisError``.
    """
    with client.pipeline(transaction=True) as pipe:
        pipe.set(key, 0, ex=window_s, nx=True)
        pipe.incr(key)
        pipe.ttl(key)
        _, count, left_s = pipe.execute()
    return int(count), max(int(left_s), 1)
