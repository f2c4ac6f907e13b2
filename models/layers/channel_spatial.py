"""Channel attention, then spatial attention (CSA, eqs. 9-12 of the fused-attention paper).

Woo et al., "CBAM: Convolutional block attention module", ECCV 2018, which decides where the paper's
text cannot be built: it pools H x W to 1 x 1 before the spatial attention, which leaves no place to
weigh, and its eq. 12 adds where the text concatenates.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ChannelAttention", "ChannelSpatialAttention", "SpatialAttention"]


class ChannelAttention(nn.Module):
    """``[B, C, H, W]`` -> ``[B, C, 1, 1]`` in 0..1: ``sigmoid(MLP(mean_HW) + MLP(max_HW))``, one MLP for both (eq. 10).

    Args:
        channels: C.
        reduction: r, the hidden layer has C / r channels, at least one.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.ReLU(), nn.Conv2d(hidden, channels, 1, bias=False)
        )

    def forward(self, maps: Tensor) -> Tensor:
        mean, largest = maps.mean(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.mlp(mean) + self.mlp(largest))


class SpatialAttention(nn.Module):
    """``[B, C, H, W]`` -> ``[B, 1, H, W]`` in 0..1: ``sigmoid(conv7x7[mean_C; max_C])`` (eq. 12 as CBAM has it)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        pooled = torch.cat((maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)), dim=1)  # B 2 H W
        return torch.sigmoid(self.conv(pooled))


class ChannelSpatialAttention(nn.Module):
    """``[B, C, H, W]`` -> the same shape: weighed by channel (eq. 9), then by place (eq. 11).

    An untrained one weighs everything by about a quarter.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention()

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.channel(maps) * maps
        weighed: Tensor = self.spatial(maps) * maps
        return weighed
