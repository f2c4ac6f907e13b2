"""The pre-norm transformer block.

Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021; eqs. 2 and 3 of the fused-attention paper.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.layers.ccf import CrossAttention

__all__ = ["LAYER_NORM_EPS", "ViTBlock"]

LAYER_NORM_EPS = 1e-6
"""What vision transformers were trained with; torch's own default is ten times as much."""


class ViTBlock(nn.Module):
    """Attention of all tokens to all, then two linear layers a token, each added to its input.

    ``[B, M, d]`` -> ``[B, M, d]``: ``y = z + MSA(LN(z))``, ``y + FFN(LN(y))``.

    Args:
        width: d.
        heads: of the attention; must divide d.
        expansion: hidden width of FFN, in d.
    """

    def __init__(self, width: int, heads: int, expansion: int = 4) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.attention = CrossAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        normalised = self.norm1(tokens)
        tokens = tokens + self.attention(normalised, normalised)
        out: Tensor = tokens + self.feed_forward(self.norm2(tokens))
        return out
