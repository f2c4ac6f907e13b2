"""Batch-hard triplets: each anchor with its farthest positive and its nearest negative.

Hermans et al., "In defense of the triplet loss", 2017, eq. 5; CMFT, eqs. 7-10 (whose brackets lost their "+").
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from torch import Tensor

from models.losses._pairs import mean_where, pairs

__all__ = ["batch_hard_triplet", "cross_loss"]


def batch_hard_triplet(features: Tensor, classes: Tensor, margin: float = 0.3) -> Tensor:
    """``mean_i [max_{y_j = y_i} D_ij - min_{y_k != y_i} D_ik + margin]_+`` of ``[R, D]`` rows, ``int64[R]`` classes.

    An anchor that is alone is its own farthest positive, at distance 0, as the equation has it; with one class
    in the batch there is nothing to compare and the loss is 0.
    """
    found = pairs(features, classes)
    far = found.distance.masked_fill(~found.same, float("-inf")).amax(dim=1)
    counted = found.negative.any(dim=1)
    near = found.distance.masked_fill(~found.negative, float("inf")).amin(dim=1)
    near = near.masked_fill(~counted, 0.0)
    return mean_where((far - near + margin).clamp_min(0.0), counted)


def cross_loss(features: Sequence[Tensor], classes: Tensor, margin: float = 0.1) -> Tensor:
    """CMFT's L_cross, eq. 10: the sum of batch-hard triplets within each matrix (visible, infrared, fused).

    Args:
        features: matrices ``[R, D]``, each of its own D, whose rows i show the same person.
        classes: ``int64[R]``, of every matrix.
    """
    if not features:
        raise ValueError("features: expected at least one matrix, got none")
    return reduce(Tensor.add, (batch_hard_triplet(rows, classes, margin) for rows in features))
