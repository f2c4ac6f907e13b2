"""Two branches of tokens that tell each other through their class tokens what they saw.

Chen et al., "CrossViT: Cross-attention multi-scale vision transformer for image classification", ICCV
2021; eqs. 5-8 of the fused-attention paper. Its eq. 8 puts the *other* branch's patches into the
output; as in CrossViT itself, a branch keeps its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.layers.ccf import CrossAttention
from models.layers.vit import LAYER_NORM_EPS, ViTBlock

__all__ = ["ClassTokenFusion", "MultiScaleBlock"]


def _to_width(width: int, out: int) -> nn.Sequential:
    """P and B of eqs. 5 and 8: layer norm, GELU, linear."""
    return nn.Sequential(nn.LayerNorm(width, eps=LAYER_NORM_EPS), nn.GELU(), nn.Linear(width, out))


class ClassTokenFusion(nn.Module):
    """One branch's class token asks the other branch's patches (eqs. 5-7), at the other branch's width.

    With ``c = P(own class token)`` and ``z = [c; other patches]``: ``y = c + MHA(LN(c), LN(z))``, back through B.
    Only the class token is a query, and no feed-forward layer follows.

    Args:
        width: d of the asking branch.
        other_width: d of the branch that is asked, where the attention works.
        heads: of the branch that is asked.
    """

    def __init__(self, width: int, other_width: int, heads: int) -> None:
        super().__init__()
        self.project = _to_width(width, other_width)
        self.norm = nn.LayerNorm(other_width, eps=LAYER_NORM_EPS)
        self.attention = CrossAttention(other_width, heads)
        self.project_back = _to_width(other_width, width)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """``[B, 1 + M, d]`` and ``[B, 1 + M', d']``, class tokens first -> the new own class token ``[B, 1, d]``."""
        token = self.project(own[:, :1])
        seen = self.norm(torch.cat((token, other[:, 1:]), dim=1))  # B 1+M' d'
        told: Tensor = self.project_back(token + self.attention(seen[:, :1], seen))
        return told


class MultiScaleBlock(nn.Module):
    """Each branch by itself for a while, then both class tokens ask the other branch.

    Args:
        widths: d of the fine and of the coarse branch.
        depths: `ViTBlock`s of each.
        heads: of each branch's attention.
    """

    def __init__(self, widths: tuple[int, int], depths: tuple[int, int], heads: tuple[int, int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(ViTBlock(width, count) for _ in range(depth)))
            for width, depth, count in zip(widths, depths, heads, strict=True)
        )
        self.fusions = nn.ModuleList(ClassTokenFusion(widths[i], widths[1 - i], heads[1 - i]) for i in range(2))

    def forward(self, tokens: Sequence[Tensor]) -> list[Tensor]:
        """Fine and coarse tokens, ``[B, 1 + M, d]`` each with the class token first -> the same shapes."""
        if len(tokens) != 2:
            raise ValueError(f"expected the tokens of two branches, got {len(tokens)}")
        alone = [branch(z) for branch, z in zip(self.branches, tokens, strict=True)]
        return [
            torch.cat((fusion(alone[i], alone[1 - i]), alone[i][:, 1:]), dim=1) for i, fusion in enumerate(self.fusions)
        ]
