"""Boxes as corners ``x1 y1 x2 y2``, in pixels or any other unit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["intersection_over_union"]


def intersection_over_union(boxes: npt.ArrayLike, others: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The share ``float64[N, M]`` that boxes ``[N, 4]`` and ``[M, 4]`` have in common; 0 for boxes without area."""
    a, b = (np.asarray(corners, np.float64).reshape(-1, 4) for corners in (boxes, others))
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(sides, 0, None).prod(axis=2)
    areas = [np.clip(corners[:, 2:] - corners[:, :2], 0, None).prod(axis=1) for corners in (a, b)]
    together = areas[0][:, None] + areas[1][None, :] - shared
    shares: npt.NDArray[np.float64] = np.divide(shared, together, out=np.zeros_like(shared), where=together > 0)
    return shares
