"""Triplets of weighted sums: every positive and negative counts, the hard ones most.

The weights are AGW's (Ye et al., "Deep learning for person re-identification", TPAMI 2021, eqs. 11-12):
``w^p_ij = softmax_j(d_ij)`` over the anchor's positives, ``w^n_ik = softmax_k(-d_ik)`` over its negatives;
the gradient goes through them. Three losses shape the gap between the two sums:

- a hinge: fused attention, eq. 15, with the hinge and the weights that its print lost;
- ``log(1 + e^u)``: AGW's weighted regularised triplet;
- ``log(1 + e^(sign(u) u^2))``: AFEN, eqs. 6-8 (channel-augmented joint learning, ICCV 2021).
"""

from __future__ import annotations

from torch import Tensor, finfo, nn

from models.losses._pairs import mean_where, pairs

__all__ = [
    "adaptive_weight_triplet",
    "squared_weighted_triplet",
    "weighted_gaps",
    "weighted_regularised_triplet",
]


def _expected(values: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """``sum_j softmax_j(scores) * values`` over the marked entries of each row; 0 where none is marked."""
    weights = scores.masked_fill(~mask, finfo(scores.dtype).min).softmax(dim=1)  # finite: a row may have no mark
    return (weights * values).masked_fill(~mask, 0.0).sum(dim=1)


def weighted_gaps(features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """AFEN's u, eq. 7: how much farther the weighted positives are than the weighted negatives.

    Its mean magnitude is worth logging: the slope of `squared_weighted_triplet` grows with it.

    Args:
        features: ``[R, D]``; classes: ``int64[R]``.

    Returns:
        u ``[R]``, and ``bool[R]``: which anchors count, those with a positive other than itself and a negative.
    """
    found = pairs(features, classes)
    far = _expected(found.distance, found.distance, found.positive)
    near = _expected(found.distance, -found.distance, found.negative)
    return far - near, found.positive.any(dim=1) & found.negative.any(dim=1)


def adaptive_weight_triplet(features: Tensor, classes: Tensor, margin: float = 1.0) -> Tensor:
    """``mean_i [u_i + margin]_+``. The margin of 1 suits features of free length; unit ones take about 0.3."""
    gaps, counted = weighted_gaps(features, classes)
    return mean_where((gaps + margin).clamp_min(0.0), counted)


def weighted_regularised_triplet(features: Tensor, classes: Tensor) -> Tensor:
    """``mean_i log(1 + e^{u_i})``: no margin to choose."""
    gaps, counted = weighted_gaps(features, classes)
    return mean_where(nn.functional.softplus(gaps), counted)


def squared_weighted_triplet(features: Tensor, classes: Tensor) -> Tensor:
    """``mean_i log(1 + e^{sign(u_i) u_i^2})``, AFEN's L_sq.

    Unclamped: softplus does not overflow, and a clamp would take the gradient from just the worst anchors. That
    gradient is ``2 |u|`` at most, so gradients are to be clipped.
    """
    gaps, counted = weighted_gaps(features, classes)
    return mean_where(nn.functional.softplus(gaps * gaps.abs()), counted)
