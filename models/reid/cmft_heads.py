"""What CMFT puts on top of its streams and of its fusion: pooling and embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, cat, nn, zeros

from models.layers.ccf import CrossModalFusion
from models.layers.gem import DepthwisePool, PartPool
from models.reid.backbones import StageMaps
from models.reid.heads import frame_mean

__all__ = ["FusionTrunk", "StreamHead"]


class StreamHead(nn.Module):
    """One stream's maps -> its feature: pooled levels side by side, averaged over frames, one linear layer.

    ``offset`` (zero in a fresh head) is subtracted before the linear layer: what all pictures share.

    Args:
        channels: of each level.
        levels: stages to pool, parts: stripes of each level.
        size: height and width of the maps, to weigh each place of them instead (`DepthwisePool`).
    """

    offset: Tensor

    def __init__(
        self,
        channels: dict[int, int],
        levels: Sequence[int],
        parts: Sequence[int],
        exponent: float,
        dim: int,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.pools = nn.ModuleList(
            PartPool(count, exponent) if size is None else DepthwisePool(channels[level], *size)
            for level, count in zip(levels, parts, strict=True)
        )
        self.pooled_dim = sum(channels[level] * count for level, count in zip(levels, parts, strict=True))
        self.register_buffer("offset", zeros(self.pooled_dim))
        self.project = nn.Linear(self.pooled_dim, dim, bias=False)

    def start_from(self, released: Mapping[str, Tensor]) -> None:
        """Take a released head's ``pool.*`` and, where the dimensions are its own, ``project.weight``.

        Raises:
            ValueError: a head of another shape.
        """
        pool = {name.removeprefix("pool."): value for name, value in released.items() if name.startswith("pool.")}
        own = self.pools[0].state_dict()
        if len(self.pools) != 1 or {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in pool.items()}:
            raise ValueError("expected a stream head of one depthwise pool over maps of the released head's size")
        self.pools[0].load_state_dict(pool)
        weight = released["project.weight"]
        if weight.shape == self.project.weight.shape:
            self.project.load_state_dict({"weight": weight})

    def pool(self, maps: StageMaps) -> Tensor:
        """Maps of F frames -> ``[F, pooled_dim]``."""
        return cat([pool(maps[level]) for level, pool in zip(self.levels, self.pools, strict=True)], dim=1)

    def forward(self, maps: StageMaps, frames: int) -> Tensor:
        feature: Tensor = self.project(frame_mean(self.pool(maps), frames) - self.offset)
        return feature


class FusionTrunk(nn.Module):
    """The cascade of CCFs over several stages and the head on the last one.

    The last CCF works on stage 5 reduced to `final_width` (the paper's S6); the earlier ones, on
    `stages`, at `width`.
    """

    def __init__(
        self,
        channels: dict[int, int],
        strides: dict[int, int],
        stages: Sequence[int],
        *,
        width: int,
        final_width: int,
        heads: int,
        branches: int,
        literal_product: bool,
        bias: bool,
        dim: int,
    ) -> None:
        super().__init__()
        self.stages = (*stages, 5)
        self.fusions = nn.ModuleList()
        previous_width: int | None = None
        for index, stage in enumerate(self.stages):
            last = index == len(self.stages) - 1
            here = final_width if last else width
            self.fusions.append(
                CrossModalFusion(
                    channels[stage],
                    here,
                    previous_width=previous_width,
                    pool=strides[stage] // strides[self.stages[index - 1]] if index else 1,
                    heads=heads,
                    branches=branches,
                    literal_product=literal_product,
                    bias=bias,
                )
            )
            previous_width = here
        self.project = nn.Linear(final_width * branches, dim, bias=False)

    def forward(self, visible: StageMaps, infrared: StageMaps, frames: int) -> Tensor:
        fused: Tensor | None = None
        grid: tuple[int, int] | None = None
        for stage, fusion in zip(self.stages, self.fusions, strict=True):
            fused = fusion(visible[stage], infrared[stage], fused, grid)
            grid = (visible[stage].shape[2], visible[stage].shape[3])
        assert fused is not None  # noqa: S101 - there is always the last stage
        feature: Tensor = self.project(frame_mean(fused.mean(dim=1), frames))
        return feature
