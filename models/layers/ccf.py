"""Cross-modal cross-scale fusion (CCF), the heart of CMFT (eqs. 1-6 of the paper).

Read with its slips mended: eq. 2 has the transposed key, eq. 4 concatenates ``[Z12; Z21]``, eq. 5's
residual is outside the attention. Eq. 6 multiplies by a map of another width and another number of
tokens; here that map is pooled to this stage's grid, split into its two halves, and each half goes
through a linear layer to this stage's width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["CrossAttention", "CrossModalFusion"]


class CrossAttention(nn.Module):
    """Multi-head attention of one map to another, eqs. 1-3: ``[B, M, d]`` x ``[B, M', d]`` -> ``[B, M, d]``."""

    def __init__(self, width: int, heads: int = 8, *, bias: bool = True) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"expected a width that {heads} heads divide, got {width}")
        self.heads = heads
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, width, bias=bias)
        self.value = nn.Linear(width, width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def _split(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        return tokens.reshape(batch, count, self.heads, width // self.heads).transpose(1, 2)  # B h M d/h

    def forward(self, asking: Tensor, asked: Tensor) -> Tensor:
        attended = nn.functional.scaled_dot_product_attention(
            self._split(self.query(asking)), self._split(self.key(asked)), self._split(self.value(asked))
        )
        mixed: Tensor = self.out(attended.transpose(1, 2).reshape(asking.shape))
        return mixed


class _Gate(nn.Module):
    """``g_s`` of eq. 6: the previous fusion, pooled to this grid and brought to this width."""

    def __init__(self, previous_width: int, width: int, pool: int, *, literal: bool, bias: bool) -> None:
        super().__init__()
        self.pool = pool
        self.literal = literal
        self.to_width = nn.Linear(previous_width, width, bias=bias)

    def forward(self, half: Tensor, half_grid: tuple[int, int], grid: tuple[int, int]) -> Tensor:
        if self.pool > 1:
            batch, _, channels = half.shape
            maps = half.transpose(1, 2).reshape(batch, channels, *half_grid)
            missing = [self.pool * here - there for here, there in zip(grid, half_grid, strict=True)]
            if any(missing):  # a strided convolution rounds an odd side up
                maps = nn.functional.pad(maps, (0, missing[1], 0, missing[0]), mode="replicate")
            half = nn.functional.avg_pool2d(maps, self.pool).flatten(2).transpose(1, 2)
        gate: Tensor = self.to_width(half)
        return gate if self.literal else 1 + torch.tanh(gate)


class CrossModalFusion(nn.Module):
    """One CCF: two maps of the same stage and the fusion of the stage before -> this stage's fusion.

    Args:
        channels: C of the two maps.
        width: d, the width the fusion works at; where it differs from C a linear layer for each map
            reduces it first (the paper does so in the final CCF, 2048 -> 1024).
        previous_width: d of the stage before, None for the first CCF (whose gate is 1).
        pool: tokens of the stage before a side, for one of this stage.
        branches: 2 gives ``Z_fus`` (eq. 4), ``[B, M, 2d]``; 1 only ``Z_12``, ``[B, M, d]`` (the paper's S6F).
        literal_product: eq. 6 as printed, ``Z * gate``; otherwise ``Z * (1 + tanh(gate))``, so that an
            untrained gate does not kill the features.
        bias: False leaves out every bias and the affine part of the layer norms: what the paper counts.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        previous_width: int | None = None,
        pool: int = 1,
        heads: int = 8,
        branches: int = 2,
        literal_product: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if branches not in (1, 2):
            raise ValueError(f"expected 1 or 2 branches, got {branches}")
        if branches == 1 and previous_width is not None:
            raise ValueError("expected no earlier fusion with one branch: there is no second half to gate with")
        self.branches = branches
        self.pool = pool
        self.out_width = width * branches
        self.reduce = nn.ModuleList(
            nn.Linear(channels, width, bias=bias) if channels != width else nn.Identity() for _ in range(2)
        )
        self.gates = nn.ModuleList(
            _Gate(previous_width, width, pool, literal=literal_product, bias=bias)
            for _ in range(2 if previous_width is not None else 0)
            if previous_width is not None
        )
        self.attention = nn.ModuleList(CrossAttention(width, heads, bias=bias) for _ in range(branches))
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=bias) for _ in range(branches))
        self.mix: nn.Module | None = None
        self.mix_norm: nn.Module | None = None
        if branches == 2:
            self.mix = nn.Linear(2 * width, 2 * width, bias=bias)
            self.mix_norm = nn.LayerNorm(2 * width, elementwise_affine=bias)

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        previous: Tensor | None = None,
        previous_grid: tuple[int, int] | None = None,
    ) -> Tensor:
        """Fuse ``[B, C, H, W]`` with ``[B, C, H, W]``.

        Args:
            previous: ``[B, H' * W', 2 d_previous]``; given exactly when there are gates.
            previous_grid: its H' and W'; ``H * pool`` and ``W * pool`` by default, one less where that was odd.

        Returns:
            ``[B, H * W, branches * d]``.
        """
        if (previous is not None) != bool(len(self.gates)):
            raise ValueError("expected the earlier fusion exactly when previous_width was given")
        grid = (first.shape[2], first.shape[3])
        tokens = [
            reduce(maps.flatten(2).transpose(1, 2))  # B M d
            for reduce, maps in zip(self.reduce, (first, second), strict=True)
        ]
        if previous is not None:
            halves = previous.chunk(2, dim=-1)
            before = previous_grid or (grid[0] * self.pool, grid[1] * self.pool)
            tokens = [
                z * gate(half, before, grid) for z, gate, half in zip(tokens, self.gates, halves, strict=True)
            ]  # eq. 6
        crossed = [
            norm(attend(tokens[i], tokens[1 - i]) + tokens[i])  # eq. 5
            for i, (attend, norm) in enumerate(zip(self.attention, self.norms, strict=True))
        ]
        if self.mix is None or self.mix_norm is None:
            alone: Tensor = crossed[0]
            return alone
        both = torch.cat(crossed, dim=-1)
        fused: Tensor = self.mix_norm(self.mix(both) + both)  # eq. 4
        return fused
