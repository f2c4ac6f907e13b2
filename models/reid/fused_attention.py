"""Fused attention: CrossViT with channel and spatial attention.

Huang and Shen, "Cross-modal person re-identification based on fused attention and feature
enhancement" (in Chinese).

Pictures of both kinds of light and grey copies of the visible ones go through one two-branch CrossViT
(`models.layers.crossvit`); its patch tokens, back in their places, through channel and spatial
attention (`models.layers.channel_spatial`); the feature is what the class tokens and the weighed maps of
both branches say.

Where the paper is silent or contradicts itself:
- It names both CrossViT and AGW's ResNet as its base and shows no place where they would meet. This is
  CrossViT alone, as its figure draws it, at IBM's "small" by default.
- Both branches see the same picture: 288 x 144 is a multiple of both patches, so CrossViT's resize for
  the coarse branch falls away.
- Feature: ``[CLS_F; CLS_C; GeM(M''_F); GeM(M''_C)]``, 1152 dimensions for "small" and 576 for "tiny". All are
  served: the vector that the triplet loss shaped, after batch norm and of unit length.
- Tokens end in a layer norm, so about half of their entries are below zero. GeM with p > 1 has to clamp
  them there, which throws away what they say and their gradient. `pooling_exponent` is therefore 1, the
  plain mean; 3 gives what the other networks do behind a ReLU. Not measured on the paper's data.
- Patch embeddings for each kind of light, everything else shared. A grey copy goes through the infrared
  one: it stands in for a night picture, and is for infrared what infrared's own grey copy is, itself.
- Grey copies are extra rows of the training forward with their own output; a query never needs one.
- One batch-norm neck for all rows together, as the paper's base has it.
- No dropout and no stochastic depth: the paper names none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import lcm
from typing import Any

import torch
from torch import Tensor, nn

from models.layers.channel_spatial import ChannelSpatialAttention
from models.layers.gem import GeM
from models.layers.grey import GreyCounterpart
from models.preprocessing import Preprocessing
from models.registry import register_model
from models.reid.fused_attention_trunk import PATCHES_PX, SIZES, CrossViT
from models.reid.heads import HeadOutput, NeckAndClassifier, fold, frame_mean, unit_vectors
from models.reid.two_stem import fold_halves
from models.types import Modality

__all__ = ["FusedAttention", "FusedAttentionOptions", "FusedAttentionOutput"]

_ALL = "all"


@dataclass(frozen=True, slots=True)
class FusedAttentionOptions:
    """Everything that shapes a fused-attention network; plain values, kept in the checkpoint.

    Attributes:
        size: ``tiny`` or ``small``, of the CrossViT.
        attention: channel and spatial attention on the maps; without it they are pooled as they are.
        grey: the training forward adds grey copies of the visible rows.
        pooling_exponent: p of GeM; 1 is the mean, above 1 clamps at zero first.
        identities: size of the classifier, 0 for none.
    """

    size: str = "small"
    attention: bool = True
    grey: bool = True
    pooling_exponent: float = 1.0
    identities: int = 0

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"size: expected {' or '.join(SIZES)}, got {self.size!r}")
        if self.identities < 0:
            raise ValueError(f"expected identities >= 0, got {self.identities}")


@dataclass(frozen=True, slots=True)
class FusedAttentionOutput:
    """A training forward of R visible and R infrared rows that show the same identities.

    Attributes:
        visible, infrared: the rows themselves.
        grey: the visible rows without their colour; None where the options leave them out.
    """

    visible: HeadOutput
    infrared: HeadOutput
    grey: HeadOutput | None


class FusedAttention(nn.Module):
    """The network. Input is what `preprocessing` makes, by default 288 x 144."""

    name = "fused_attention"
    frames = 1

    def __init__(self, options: FusedAttentionOptions, preprocessing: Preprocessing) -> None:
        """ValueError for pictures that a patch of 12 or 16 px does not divide."""
        super().__init__()
        height, width = preprocessing.height_px, preprocessing.width_px
        step = lcm(*PATCHES_PX)
        if height % step or width % step:
            raise ValueError(
                f"fused_attention: expected multiples of {step} px, which patches of 12 and 16 px divide, "
                f"got {height} x {width}"
            )
        self.config = options
        self.preprocessing = preprocessing
        self.counterpart = GreyCounterpart(preprocessing)
        size = SIZES[options.size]
        fine, coarse = ((height // patch, width // patch) for patch in PATCHES_PX)
        self.trunk = CrossViT(size, (fine, coarse))
        self.attention = nn.ModuleList(
            ChannelSpatialAttention(channels) if options.attention else nn.Identity() for channels in size.widths
        )
        self.pool = GeM(options.pooling_exponent)
        self.embedding_dim = 2 * sum(size.widths)
        self.out = NeckAndClassifier(self.embedding_dim, (_ALL,), options.identities, shared_neck=True)

    @property
    def options(self) -> dict[str, Any]:
        return asdict(self.config)

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Start from timm's ``crossvit_tiny_240`` or ``crossvit_small_240``. ValueError if they do not fit."""
        self.trunk.load_released(state)

    def trunk_parameters(self) -> list[nn.Parameter]:
        """What `load_pretrained` fills."""
        return list(self.trunk.parameters())

    def forward(self, visible: Tensor, infrared: Tensor) -> FusedAttentionOutput:
        """Train on aligned halves: row i of both shows the same identity.

        Args:
            visible, infrared: ``[R, 3, H, W]``, or clips ``[R, N, 3, H, W]`` whose frames' features are averaged.
        """
        halves, frames = fold_halves(visible, infrared)
        shown = [(pictures, modality) for modality, pictures in halves.items()]
        if self.config.grey:
            shown.append((self.counterpart(halves[Modality.VISIBLE]), Modality.INFRARED))
        outputs = self.out(frame_mean(self._features(shown), frames), _ALL).split(len(visible))
        return FusedAttentionOutput(outputs[0], outputs[1], outputs[2] if self.config.grey else None)

    def embed(self, pictures: Tensor, modality: Modality) -> Tensor:
        """Embed pictures or clips of one kind of light; see `models.registry.ReidNetwork`.

        Raises:
            ValueError: another rank, number of channels or size of picture.
        """
        folded, frames = fold(pictures)
        return unit_vectors(self.out.neck(self._features([(folded, modality)]), _ALL), frames)

    def _features(self, shown: list[tuple[Tensor, Modality]]) -> Tensor:
        """All pictures, one kind of light after the other -> ``[F, D]`` before batch norm."""
        fine, coarse = (
            torch.cat([self.trunk.tokens(pictures, modality, branch) for pictures, modality in shown])
            for branch in range(len(PATCHES_PX))
        )
        branches = self.trunk((fine, coarse))
        pooled = [self.pool(weigh(out.maps)) for weigh, out in zip(self.attention, branches, strict=True)]
        return torch.cat([*(out.class_token for out in branches), *pooled], dim=1)


@register_model(FusedAttention.name)
def fused_attention(*, preprocessing: Preprocessing | None = None, **options: Any) -> FusedAttention:
    """Build a `FusedAttention` from `FusedAttentionOptions` by name; TypeError names an unknown option."""
    return FusedAttention(FusedAttentionOptions(**options), preprocessing or Preprocessing(height_px=288, width_px=144))
