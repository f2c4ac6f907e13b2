"""A probability as people read it, the same on pages and in terminals."""

from __future__ import annotations

__all__ = ["likelihood"]


def likelihood(probability: float) -> str:
    """In per cent; never 0 or 100, which nobody can promise."""
    if probability > 0.99:
        return ">99%"
    return "<1%" if probability < 0.01 else f"{probability:.0%}"
