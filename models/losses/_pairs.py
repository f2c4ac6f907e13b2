"""What the losses of pairs share: checked rows, their distances, and means over some of the entries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Pairs", "check_rows", "distances", "full_precision", "mean_where", "pairs"]


def full_precision(values: Tensor) -> Tensor:
    """Half precisions as float32; float32 and float64 as they are."""
    return values if values.dtype == torch.float64 else values.float()


def check_rows(classes: Tensor, **features: Tensor) -> None:
    """Raise ValueError unless every matrix is floating ``[R, D]`` and the classes are ``int64[R]``."""
    if classes.dim() != 1 or classes.dtype != torch.int64:
        raise ValueError(f"classes: expected int64[R], got {classes.dtype}{list(classes.shape)}")
    for name, rows in features.items():
        if rows.dim() != 2 or len(rows) != len(classes) or not rows.is_floating_point():
            raise ValueError(f"{name}: expected floating [{len(classes)}, D], got {rows.dtype}{list(rows.shape)}")


def distances(rows: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances ``[R, S]`` of ``[R, D]`` to ``[S, D]``.

    From the differences, not from the expanded square, so that near-duplicates keep their digits; the gradient
    of a distance of 0 is 0.
    """
    return torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist")


@dataclass(frozen=True, slots=True)
class Pairs:
    """All pairs of R rows.

    Attributes:
        distance: ``[R, R]``, Euclidean.
        same: ``bool[R, R]``, one class, the row itself included.
        positive: the same without the row itself.
        negative: two classes.
    """

    distance: Tensor
    same: Tensor
    positive: Tensor
    negative: Tensor


def pairs(features: Tensor, classes: Tensor) -> Pairs:
    """Compare every row with every row. ValueError for shapes other than ``[R, D]`` and ``int64[R]``."""
    check_rows(classes, features=features)
    rows = full_precision(features)
    same = classes[:, None] == classes[None, :]
    itself = torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    return Pairs(distances(rows, rows), same, same & ~itself, ~same)


def mean_where(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """The mean of the marked entries, over all of them or along one axis; 0 where none is marked."""
    marked = torch.where(mask, values, 0.0)
    if dim is None:
        return marked.sum() / mask.sum().clamp_min(1)
    return marked.sum(dim) / mask.sum(dim).clamp_min(1)
