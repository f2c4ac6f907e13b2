"""Median-enhanced channel and spatial attention (MECS, eqs. 1-4 of the AFEN paper).

The kernel sizes are those of the published module that the paper builds on: a 5x5 base and three pairs
of strips. As there, neither the sum of three sigmoids (0 to 3) nor the spatial map (no sigmoid) is
bounded by 1, which throws a pretrained trunk off. What is added to the input is therefore scaled
by a learned number that starts at zero; ``literal`` gives the equations as printed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MedianChannelAttention", "MedianEnhancedAttention", "MultiScaleSpatialAttention", "global_median"]

_STRIPS = (7, 11, 21)


def global_median(maps: Tensor) -> Tensor:
    """``[B, C, H, W]`` -> ``[B, C, 1, 1]``: the lower median of all places, as `torch.median` defines it.

    With an even number of places (18 x 9 = 162) that is the smaller of the two in the middle, not their mean.
    Taken as the largest of the smaller half, because inference engines know top-k and no median.
    """
    places = maps.flatten(2)
    smaller_half = places.topk((places.shape[2] - 1) // 2 + 1, dim=2, largest=False, sorted=False).values
    return smaller_half.amax(dim=2)[:, :, None, None]


class MedianChannelAttention(nn.Module):
    """``[B, C, H, W]`` -> weights ``[B, C, 1, 1]`` in 0..3 (eq. 1): sigmoids of mean, maximum and median, added.

    Args:
        reduction: r; the one MLP for all three goes C -> C / r -> C.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1))

    def forward(self, maps: Tensor) -> Tensor:
        pooled = (maps.mean(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True), global_median(maps))
        return sum((torch.sigmoid(self.mlp(values)) for values in pooled), start=torch.zeros_like(pooled[0]))


class MultiScaleSpatialAttention(nn.Module):
    """``[B, C, H, W]`` -> an unbounded map of the same shape (eq. 3 and the convolution of eq. 4).

    Depthwise: a 5x5 base, on it strips of 7, 11 and 21 places across and along, all added to the base; then one
    1x1 over the channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.base = self._depthwise(channels, 5, 5)
        self.strips = nn.ModuleList(
            self._depthwise(channels, *kernel) for length in _STRIPS for kernel in ((1, length), (length, 1))
        )
        self.mix = nn.Conv2d(channels, channels, 1)

    @staticmethod
    def _depthwise(channels: int, height: int, width: int) -> nn.Conv2d:
        return nn.Conv2d(channels, channels, (height, width), padding=(height // 2, width // 2), groups=channels)

    def forward(self, maps: Tensor) -> Tensor:
        base = self.base(maps)
        weights: Tensor = self.mix(sum((strip(base) for strip in self.strips), start=base))
        return weights


class MedianEnhancedAttention(nn.Module):
    """``[B, C, H, W]`` -> the same shape: ``F + scale * (F'' - F)``, F'' being eqs. 1-4.

    Args:
        reduction: of the channel attention.
        literal: return F'' itself, as the paper prints it.
    """

    def __init__(self, channels: int, reduction: int = 4, *, literal: bool = False) -> None:
        super().__init__()
        self.channel = MedianChannelAttention(channels, reduction)
        self.spatial = MultiScaleSpatialAttention(channels)
        self.scale = None if literal else nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor) -> Tensor:
        weighed = self.channel(maps) * maps  # eq. 2
        out: Tensor = self.spatial(weighed) * weighed  # eq. 4
        return out if self.scale is None else maps + self.scale * (out - maps)
