"""The feature refinement module (FRM) inside AFEN's feature enhancement: edges and bodies apart, then together.

Qasim et al., "FANet: Feature amplification network for semantic segmentation in cluttered background",
arXiv 2407.09379. AFEN's prose puts the concatenation before the depthwise convolution; a depthwise
convolution does not mix channels, so that is the same, and FANet's order is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.layers.channel_norm import ChannelNorm

__all__ = ["FeatureRefinement"]


class FeatureRefinement(nn.Module):
    """``[B, C, H, W]`` -> the same shape.

    A blurred copy Q of F (depthwise 3x3 at stride 2, bilinearly back to F's own size, so odd sizes are no
    matter) splits it: ``R = F - Q`` holds the edges, ``S = F * Q`` what is there at both scales.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blur = nn.Conv2d(channels, channels, 3, 2, 1, groups=channels)
        self.high = self._branch(channels)
        self.low = self._branch(channels)
        self.project = nn.Conv2d(2 * channels, channels, 1)

    @staticmethod
    def _branch(channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.GELU(), nn.Conv2d(channels, channels, 3, padding=1, groups=channels), ChannelNorm(channels)
        )

    def forward(self, maps: Tensor) -> Tensor:
        blurred = nn.functional.interpolate(self.blur(maps), size=maps.shape[2:], mode="bilinear", align_corners=False)
        refined: Tensor = self.project(torch.cat((self.high(maps - blurred), self.low(maps * blurred)), dim=1))
        return refined
