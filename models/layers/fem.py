"""The feature enhancement module (FEM) of AFEN: FANet's block without its context branch.

Qasim et al., "FANet: Feature amplification network for semantic segmentation in cluttered background",
arXiv 2407.09379, which AFEN's section 3.2 retells.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.layers.channel_norm import ChannelNorm
from models.layers.frm import FeatureRefinement

__all__ = ["ConvMlp", "FeatureEnhancement", "ReducedFeatureEnhancement"]


class ConvMlp(nn.Module):
    """``[B, C, H, W]`` -> the same shape: widen, ``x + GELU(DW3x3 x)``, narrow."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        hidden = channels * expansion
        self.widen = nn.Conv2d(channels, hidden, 1)
        self.neighbours = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.narrow = nn.Conv2d(hidden, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        wide = self.widen(maps)
        out: Tensor = self.narrow(wide + nn.functional.gelu(self.neighbours(wide)))
        return out


class FeatureEnhancement(nn.Module):
    """``[B, C, H, W]`` -> the same shape, at full width. C must be even.

    Convolutional embedding, half the channels, FRM, all the channels again, added to the input; then a ConvMLP,
    added as well.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels % 2:
            raise ValueError(f"expected an even number of channels, got {channels}")
        half = channels // 2
        self.norm = ChannelNorm(channels)
        self.embed = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.GELU(), ChannelNorm(channels)
        )
        self.compress = nn.Sequential(nn.Conv2d(channels, half, 1), nn.GELU(), ChannelNorm(half))
        self.refine = FeatureRefinement(half)
        self.restore = nn.Conv2d(half, channels, 1)
        self.mlp_norm = ChannelNorm(channels)
        self.mlp = ConvMlp(channels)

    def forward(self, maps: Tensor) -> Tensor:
        embedded = self.norm(maps)
        embedded = embedded + self.embed(embedded)
        maps = maps + self.restore(self.refine(self.compress(embedded)))
        out: Tensor = maps + self.mlp(self.mlp_norm(maps))
        return out


class ReducedFeatureEnhancement(nn.Module):
    """``[B, C, H, W]`` -> the same shape: FEM at `width` channels, its answer added to the map.

    At the 2048 channels of a ResNet's last stage the ConvMLP alone would have 34 M parameters. The way back
    starts at zero, so that a pretrained trunk begins undisturbed.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, 1)
        self.enhance = FeatureEnhancement(width)
        self.expand = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.expand.weight)
        if self.expand.bias is not None:
            nn.init.zeros_(self.expand.bias)

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = maps + self.expand(self.enhance(self.reduce(maps)))
        return out
