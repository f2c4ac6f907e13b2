"""Times of searches as counts by length, so that the percentiles of several processes can be told together."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["latency_name", "percentile"]

_LEAST_S = 0.000_25
_STEPS = 8
"""To a doubling: a percentile is at most 9 % too high."""


def latency_name(seconds: float) -> str:
    """Which class a time belongs to."""
    return str(max(0, math.ceil(_STEPS * math.log2(max(seconds, _LEAST_S) / _LEAST_S))))


def percentile(counts: Mapping[str, float], share: float) -> float | None:
    """The time in seconds that `share` of the counted ones stay under, by class; None where none was counted."""
    total = sum(counts.values())
    if total <= 0:
        return None
    so_far = 0.0
    by_class = sorted((int(name), count) for name, count in counts.items() if name.isdecimal())
    for one, count in by_class:
        so_far += count
        if so_far >= share * total:
            return float(_LEAST_S * 2.0 ** (one / _STEPS))
    return None
