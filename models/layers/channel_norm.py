"""Layer norm of a map: over the channels of each place."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["ChannelNorm"]


class ChannelNorm(nn.LayerNorm):
    """``[B, C, H, W]`` -> the same shape; every place gets mean 0 and spread 1 over its C channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, maps: Tensor) -> Tensor:
        normalised: Tensor = super().forward(maps.permute(0, 2, 3, 1))  # B H W C
        return normalised.permute(0, 3, 1, 2)
