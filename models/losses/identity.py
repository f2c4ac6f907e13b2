"""The identity loss: cross-entropy against smoothed labels.

Szegedy et al., "Rethinking the inception architecture", CVPR 2016, eq. 7; fused attention, eq. 14.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.losses._pairs import check_rows, full_precision

__all__ = ["identity_loss"]


def identity_loss(logits: Tensor, classes: Tensor, smoothing: float = 0.1) -> Tensor:
    """Cross-entropy of ``[R, N]`` logits with ``q_y = 1 - (N - 1) / N * smoothing``, every other ``smoothing / N``.

    Raises:
        ValueError: shapes other than ``[R, N]`` and ``int64[R]``, or a smoothing outside of 0..1.
    """
    check_rows(classes, logits=logits)
    if not 0.0 <= smoothing <= 1.0:
        raise ValueError(f"smoothing: expected 0..1, got {smoothing}")
    return nn.functional.cross_entropy(full_precision(logits), classes, label_smoothing=smoothing)
