"""Supervised contrastive loss: each row finds those of its class among all rows.

Khosla et al., "Supervised contrastive learning", NeurIPS 2020, eq. 2 (L_out).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.losses._pairs import check_rows, full_precision, mean_where

__all__ = ["supervised_contrastive"]


def supervised_contrastive(
    features: Tensor, classes: Tensor, temperature: float = 0.1, groups: Tensor | None = None
) -> Tensor:
    """``-mean_i mean_{p in P(i)} log (exp(s_ip / t) / sum_{a in A(i)} exp(s_ia / t))`` with cosines s.

    Args:
        features: ``[R, D]``, of any length.
        classes: ``int64[R]``.
        temperature: t.
        groups: ``int64[R]``; where given, rows are compared with those of other groups only (kinds of light, say).
            Otherwise A(i) is every other row.

    Rows without a positive do not count; with none at all the loss is 0.
    """
    check_rows(classes, features=features)
    if not temperature > 0:
        raise ValueError(f"temperature: expected above 0, got {temperature}")
    unit = nn.functional.normalize(full_precision(features), dim=1)
    compared = ~torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    if groups is not None:
        compared = groups[:, None] != groups[None, :]
    positive = compared & (classes[:, None] == classes[None, :])
    with torch.autocast(unit.device.type, enabled=False):
        cosines = unit @ unit.T
    scores = (cosines / temperature).masked_fill(~compared, -1e9)
    chances = scores - scores.logsumexp(dim=1, keepdim=True)
    return -mean_where(mean_where(chances, positive, dim=1), positive.any(dim=1))
