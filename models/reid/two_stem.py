"""What AFEN and TACAFNet share: AGW's trunk with a stem for each kind of light, and heads for both halves of a batch.

Ye et al., "Deep learning for person re-identification: A survey and outlook" (AGW), TPAMI 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from models.layers.stems import ModalityStems
from models.reid.backbones import create_backbone
from models.reid.backbones.base import STAGES
from models.reid.heads import HeadOutput, NeckAndClassifier, fold
from models.types import Modality

__all__ = ["HalvesHead", "TwoStemTrunk", "fold_halves"]

_BOTH = "both"


class TwoStemTrunk(nn.Module):
    """Modality-specific stems, then shared stages 2 to 5 (ResNet's layer1 to layer4).

    Attributes:
        channels, strides: what each stage gives, by its number.
    """

    def __init__(self, backbone: str, *, last_stride: int, stride_in_1x1: bool) -> None:
        super().__init__()
        self._build = partial(create_backbone, backbone, last_stride=last_stride, stride_in_1x1=stride_in_1x1)
        self.shared = self._build()
        self.stems = ModalityStems(self.shared.detach_stem())
        self.channels: dict[int, int] = self.shared.channels
        self.strides: dict[int, int] = self.shared.strides

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Fill both stems and the shared stages from one released state. ValueError if it does not fit."""
        released = self._build()
        released.load_imagenet(dict(state))
        self.stems.start_from(released.detach_stem())
        self.shared.load_state_dict(released.state_dict())

    def forward(self, halves: Mapping[Modality, Tensor], after: Mapping[int, nn.Module] | None = None) -> Tensor:
        """Pictures ``[F, 3, H, W]`` by kind of light -> the last stage's maps of them all, in that order.

        Args:
            after: what to apply to a stage's map before the next stage, by the stage's number.
        """
        x = torch.cat([self.stems(pictures, modality) for modality, pictures in halves.items()])
        for stage in STAGES:
            x = self.shared.run_stage(stage, x)
            if after is not None and stage in after:
                x = after[stage](x)
        return x


class HalvesHead(nn.Module):
    """Neck and classifier for a batch whose first half is visible and whose second is infrared.

    Args:
        neck_per_modality: batch norm for each kind of light; otherwise one for all rows together, as in AGW.
        training_kinds: further necks in front of the same classifier, for features that only training has and
            that must not move the statistics a query is embedded by.
    """

    def __init__(
        self, dim: int, identities: int, *, neck_per_modality: bool, training_kinds: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self._kind = {m: m.value if neck_per_modality else _BOTH for m in Modality}
        kinds = (*dict.fromkeys(self._kind.values()), *training_kinds)
        self.out = NeckAndClassifier(dim, kinds, identities, shared_neck=False)

    def forward(self, features: Tensor, training_kind: str | None = None) -> tuple[HeadOutput, HeadOutput]:
        """``[2 R, D]`` -> the visible and the infrared rows."""
        rows = len(features) // 2
        if training_kind is None and self._kind[Modality.VISIBLE] != _BOTH:
            visible = self.out(features[:rows], self._kind[Modality.VISIBLE])
            infrared = self.out(features[rows:], self._kind[Modality.INFRARED])
        else:
            visible, infrared = self.out(features, training_kind or _BOTH).split(rows)
        return visible, infrared

    def embed(self, features: Tensor, modality: Modality) -> Tensor:
        """``[B, D]`` of one kind of light -> after batch norm, not normalised."""
        embedding: Tensor = self.out.neck(features, self._kind[modality])
        return embedding


def fold_halves(visible: Tensor, infrared: Tensor) -> tuple[dict[Modality, Tensor], int]:
    """Both halves of a training batch as frames ``[R * N, 3, H, W]``, and N. ValueError unless of one shape."""
    if visible.shape != infrared.shape:
        raise ValueError(f"expected halves of one shape, got {list(visible.shape)} and {list(infrared.shape)}")
    seen, frames = fold(visible)
    return {Modality.VISIBLE: seen, Modality.INFRARED: fold(infrared)[0]}, frames
