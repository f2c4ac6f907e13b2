"""Pooling maps: the generalised mean, of a whole map and of horizontal parts, and a weighted sum that is learned.

Radenović et al., "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2019, eq. 3;
parts as in Sun et al., "Beyond part models", ECCV 2018 (equal horizontal stripes); the weighted sum is Chen et al.'s
"MobileFaceNets", 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DepthwisePool", "GeM", "PartPool"]


def _generalised_mean(values: Tensor, exponent: float, eps: float) -> Tensor:
    """``[..., U]`` -> ``[...]``: ``(mean_u max(x, eps)^p)^(1/p)``, the plain mean for p = 1."""
    if exponent == 1.0:  # no clamp: the plain mean also suits maps that go below zero
        return values.mean(dim=-1)
    return values.clamp_min(eps).pow(exponent).mean(dim=-1).pow(1.0 / exponent)


class PartPool(nn.Module):
    """Pool each of P equal horizontal stripes: ``[B, C, H, W]`` -> ``[B, P * C]``, part by part.

    Args:
        parts: how many stripes; must divide H (ValueError in forward otherwise).
        exponent: 1 is the mean, towards infinity the maximum.
    """

    def __init__(self, parts: int = 1, exponent: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        if parts < 1 or exponent < 1.0:
            raise ValueError(f"expected parts >= 1 and exponent >= 1, got {parts} and {exponent}")
        self.parts = parts
        self.exponent = exponent
        self.eps = eps

    def forward(self, maps: Tensor) -> Tensor:
        batch, channels, height, width = maps.shape
        if height % self.parts:
            raise ValueError(f"expected a height that {self.parts} parts divide, got {height}")
        stripes = maps.reshape(batch, channels, self.parts, height // self.parts * width)  # B C P U
        pooled = _generalised_mean(stripes.float(), self.exponent, self.eps)  # B C P
        return pooled.transpose(1, 2).reshape(batch, self.parts * channels)

    def extra_repr(self) -> str:
        return f"parts={self.parts}, exponent={self.exponent}"


class GeM(PartPool):
    """Pool the whole map: ``[B, C, H, W]`` -> ``[B, C]``. In float32, because p = 3 overflows in half."""

    def __init__(self, exponent: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__(1, exponent, eps)


class DepthwisePool(nn.Module):
    """Weigh every place of every channel: ``[B, C, H, W]`` -> ``[B, C]``, for maps of one size only.

    Starts as the mean, and tells a head from a foot, which a mean does not.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.size = (height, width)
        self.weight = nn.Parameter(torch.full((channels, 1, height, width), 1.0 / (height * width)))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        if maps.shape[2:] != self.size:
            raise ValueError(f"expected maps of {self.size[0]} x {self.size[1]}, got {maps.shape[2]} x {maps.shape[3]}")
        return (maps.float() * self.weight[:, 0]).sum(dim=(2, 3)) + self.bias
