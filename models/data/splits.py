"""Which training identities are held out to choose epochs by."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["HELD_OUT", "check_validation", "hold_out"]

HELD_OUT = "held-out"
_WAYS = (HELD_OUT, "none")
_SEED = 20  # fixed: a validation part that changes between runs could be chosen by its result


def check_validation(validation: str, fraction: float = 0.1) -> None:
    """ValueError unless `validation` is ``held-out`` or ``none`` and the fraction lies between 0 and 1."""
    if validation not in _WAYS:
        raise ValueError(f"validation: expected {' or '.join(_WAYS)}, got {validation!r}")
    if not 0 < fraction < 1:
        raise ValueError(f"validation_fraction: expected more than 0 and less than 1, got {fraction}")


def hold_out(identities: Iterable[int], validation: str, fraction: float) -> frozenset[int]:
    """About `fraction` of the identities, at least one of two or more; the same ones for the same identities.

    Nobody for ``validation="none"``. Raises ValueError as `check_validation` does.
    """
    check_validation(validation, fraction)
    people = sorted(set(identities))
    if validation != HELD_OUT or len(people) < 2:
        return frozenset()
    count = min(max(1, round(len(people) * fraction)), len(people) - 1)
    return frozenset(np.random.default_rng(_SEED).permutation(people)[:count].tolist())
