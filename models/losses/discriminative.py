"""MDL, the modality discriminative loss: near to the own centre, far from the closer strangers.

CMFT, eqs. 15-17, read as PMT's DCL (Lu et al., AAAI 2023) computes it: the prefactor of eq. 16 is
``1 / (2K (P - 1))``, and eq. 17 divides by the mean distance of those negatives that are closer to the
centre than that dynamic margin. Two weak spots of PMT's code are mended: it yields NaN when no
negative is closer than the margin, and it takes an exact duplicate of a centre for a masked entry.
"""

from __future__ import annotations

import torch
from torch import Tensor, cat

from models.losses._pairs import check_rows, distances, full_precision, mean_where

__all__ = ["mdl_loss"]

_SMALLEST_DISTANCE = 1e-6  # of the negatives; below, all features coincide and the quotient says nothing


def mdl_loss(visible: Tensor, infrared: Tensor, classes: Tensor) -> Tensor:
    """Mean distance to the own centre over mean distance of the centre's closer negatives.

    The centre of a class is the mean of all its rows in both lights. Its negatives are the rows of other classes
    that are closer to it than its negatives are on average; all of them, if none is (they are equally far). With
    one class in the batch the loss is 0.

    Args:
        visible, infrared: ``[R, D]``; classes: ``int64[R]``, of both.
    """
    check_rows(classes, visible=visible, infrared=infrared)
    rows = full_precision(cat((visible, infrared)))
    labels = classes.repeat(2)
    present, member = torch.unique(labels, return_inverse=True)
    counts = torch.bincount(member, minlength=len(present))
    centres = rows.new_zeros(len(present), rows.shape[1]).index_add(0, member, rows) / counts[:, None]
    to_centre = distances(centres, rows)
    own = present[:, None] == labels[None, :]
    margin = mean_where(to_centre, ~own, dim=1)
    closer = ~own & (to_centre < margin[:, None])
    closer = torch.where(closer.any(dim=1, keepdim=True), closer, ~own)
    near = mean_where(to_centre, own, dim=1).mean()
    far = mean_where(to_centre, closer, dim=1).mean()
    quotient = near / far.clamp_min(_SMALLEST_DISTANCE)
    return quotient if len(present) > 1 else near * 0.0
