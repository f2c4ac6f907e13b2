"""How long to leave a camera alone after it failed."""

from __future__ import annotations

import random

__all__ = ["SHORT_OUTAGE_S", "backoff_s"]

SHORT_OUTAGE_S = 60.0
LONGEST_WAIT_S, LONGEST_WAIT_AT_FIRST_S = 30.0, 4.0


def backoff_s(attempt: int, outage_s: float, persistent: bool, rng: random.Random) -> float:
    """How long to wait before the next attempt: exponential with full jitter, so that a hundred cameras that
    return together do not return in step. While an outage is short the wait is, too: back within 10 s."""
    longest_s = LONGEST_WAIT_S if outage_s > SHORT_OUTAGE_S or persistent else LONGEST_WAIT_AT_FIRST_S
    wait_s = rng.uniform(0.0, min(longest_s, 0.5 * 2.0 ** min(attempt, 10)))
    # A wrong password tried too often locks the account on many cameras.
    return max(wait_s, 5.0 if persistent else 0.1)
