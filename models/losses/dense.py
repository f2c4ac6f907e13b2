"""The dense triplet: a place of one light's map against what the other light rebuilt of it.

Park et al., "Learning by aligning" (LbA), ICCV 2021, eqs. 8-9; TACAFNet's CMAAM.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.losses._pairs import full_precision

__all__ = ["dense_triplet"]


def dense_triplet(own: Tensor, positive: Tensor, negative: Tensor, mask: Tensor, margin: float = 0.3) -> Tensor:
    """``mean_{r,u} m_ru [ |own - positive|_ru - |own - negative|_ru + margin ]_+``, distances over channels.

    Args:
        own: ``[R, C, U]``, one light's map with its U places in a row.
        positive, negative: the same shape, rebuilt from the other light's map of the same and of another person.
        mask: ``[R, U]``, how much a place counts, 0..1.

    Raises:
        ValueError: other shapes.
    """
    maps = {tuple(x.shape) for x in (own, positive, negative)}
    if own.dim() != 3 or len(maps) != 1 or mask.shape != (own.shape[0], own.shape[2]):
        raise ValueError(f"expected maps of one shape [R, C, U] and a mask [R, U], got {maps} and {list(mask.shape)}")
    own, positive, negative, mask = (full_precision(x) for x in (own, positive, negative, mask))
    # torch gives the norm of a zero vector the gradient 0
    gap = (own - positive).norm(dim=1) - (own - negative).norm(dim=1) + margin
    return (mask * nn.functional.relu(gap)).mean()
