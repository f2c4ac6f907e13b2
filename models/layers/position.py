"""Position embeddings learned on one grid of patches, brought to another."""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor

__all__ = ["resample_positions"]


def resample_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Bicubic interpolation of a square grid's embeddings; the class token's, the first, stays as it is.

    Smoothed where the grid gets coarser (a person's 24 x 12 patches are fewer across than 20 x 20), as
    timm does it, which holds the released weights.

    Args:
        positions: ``[1, 1 + S * S, d]``.
        grid: rows and columns wanted.

    Returns:
        ``[1, 1 + rows * columns, d]``, the same values for the same grid.

    Raises:
        ValueError: another rank, or a number of patches that is no square.
    """
    if positions.dim() != 3 or len(positions) != 1 or positions.shape[1] < 2:
        raise ValueError(f"expected position embeddings [1, 1 + S * S, d], got {list(positions.shape)}")
    count, width = positions.shape[1] - 1, positions.shape[2]
    side = isqrt(count)
    if side * side != count:
        raise ValueError(f"expected position embeddings of a square grid, got {count} patches")
    if grid == (side, side):
        return positions
    maps = positions[:, 1:].float().reshape(1, side, side, width).permute(0, 3, 1, 2)  # 1 d S S
    resized = torch.nn.functional.interpolate(maps, size=grid, mode="bicubic", align_corners=False, antialias=True)
    return torch.cat((positions[:, :1], resized.flatten(2).transpose(1, 2).to(positions.dtype)), dim=1)
