"""MSRL, the modality-shared refinement loss: as far from the own light's positives as from the other's.

CMFT, eqs. 11-14, which damages the symbols of PMT's MSEL (Lu et al., "Learning progressive
modality-shared transformers", AAAI 2023). Read as PMT computes it: sums over positives only, ``1 / (K - 1)``
where the row itself is left out, the mean over all rows outside.
"""

from __future__ import annotations

from torch import Tensor, cat

from models.losses._pairs import check_rows, distances, full_precision, mean_where, pairs

__all__ = ["msrl_fused_loss", "msrl_loss"]


def msrl_loss(visible: Tensor, infrared: Tensor, classes: Tensor) -> Tensor:
    """The mean over all 2R rows of ``(D_intra - D_cross)^2``, PMT's form.

    ``D_intra`` of a row is its mean distance to the others of its class in its own light, ``D_cross`` to all of
    its class in the other light. A row without another in its own light does not count.

    Args:
        visible, infrared: ``[R, D]``; classes: ``int64[R]``, of both.
    """
    check_rows(classes, visible=visible, infrared=infrared)
    by_light = [pairs(rows, classes) for rows in (visible, infrared)]
    across = distances(full_precision(visible), full_precision(infrared))
    positive, same = by_light[0].positive, by_light[0].same
    intra = cat([mean_where(found.distance, positive, dim=1) for found in by_light])
    cross = cat([mean_where(across, same, dim=1), mean_where(across, same, dim=0)])  # `same` is symmetric
    return mean_where((intra - cross).square(), positive.any(dim=1).repeat(2))


def msrl_fused_loss(fused: Tensor, classes: Tensor, visible: Tensor, infrared: Tensor) -> Tensor:
    """CMFT's form, eq. 13 to the letter: ``D_cross`` is the mean distance to the positives among fused rows.

    A fused row has no light of its own, so this asks both lights for the spread that the fusion has.

    Args:
        fused: ``[R, D']``; visible, infrared: ``[R, D]``, rows i of the same pair; classes: ``int64[R]``.
    """
    check_rows(classes, fused=fused, visible=visible, infrared=infrared)
    found = pairs(fused, classes)
    cross = mean_where(found.distance, found.positive, dim=1)
    intra = cat([mean_where(pairs(rows, classes).distance, found.positive, dim=1) for rows in (visible, infrared)])
    return mean_where((intra - cross.repeat(2)).square(), found.positive.any(dim=1).repeat(2))
