"""Counts in Redis that begin anew after a while, shared by all API processes."""

from __future__ import annotations

from typing import Any

__all__ = ["count_in_window"]

# KEYS: counter. ARGV: seconds of a window. One script, for every request is counted: a transaction is five commands.
_COUNT = """
local count, left = redis.call('INCR', KEYS[1]), redis.call('TTL', KEYS[1])
if left < 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[1])
  left = ARGV[1]
end
return {count, left}
"""


def count_in_window(client: Any, key: str, window_s: int) -> tuple[int, int]:
    """Count one more under a key.

    Returns:
        How many there were in this window, and for how many seconds it goes on. May raise ``redis.RedisError``.
    """
    count, left_s = client.eval(_COUNT, 1, key, window_s)
    return int(count), max(int(left_s), 1)
