"""What ends every network: frames averaged, batch-norm neck, classifier; and how clips become rows of frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.layers.bnneck import BNNeck

__all__ = ["HeadOutput", "NeckAndClassifier", "fold", "frame_mean", "unit_vectors"]


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """What the losses take from one head, for R clips.

    Attributes:
        feature: ``[R, D]`` before batch norm, for triplet-like losses.
        embedding: ``[R, D]`` after batch norm, not normalised.
        logits: ``[R, identities]`` for the identity loss, None for a network without a classifier.
    """

    feature: Tensor
    embedding: Tensor
    logits: Tensor | None

    def split(self, rows: int) -> list[HeadOutput]:
        """The same in chunks of `rows` rows, for kinds of light that went through the network together."""
        features, embeddings = torch.split(self.feature, rows), torch.split(self.embedding, rows)
        logits = [None] * len(features) if self.logits is None else torch.split(self.logits, rows)
        return [HeadOutput(*parts) for parts in zip(features, embeddings, logits, strict=True)]


def frame_mean(values: Tensor, frames: int) -> Tensor:
    """``[B * N, D]`` -> ``[B, D]``."""
    return values if frames == 1 else values.reshape(-1, frames, values.shape[1]).mean(dim=1)


def unit_vectors(embeddings: Tensor, frames: int) -> Tensor:
    """What a network of single pictures embeds by: each frame's vector of unit length, a clip's the mean of them.

    ``[B * N, D]`` -> ``[B, D]`` of unit length.
    """
    unit = nn.functional.normalize(embeddings.float(), dim=1)
    return unit if frames == 1 else nn.functional.normalize(frame_mean(unit, frames), dim=1)


class NeckAndClassifier(nn.Module):
    """Feature -> `HeadOutput`. The classifier is shared by all kinds, which is what aligns them."""

    def __init__(self, dim: int, kinds: tuple[str, ...], identities: int, *, shared_neck: bool) -> None:
        super().__init__()
        self.neck = BNNeck(dim, kinds, shared=shared_neck)
        self.classifier: nn.Linear | None = None
        if identities:
            self.classifier = nn.Linear(dim, identities, bias=False)
            nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, feature: Tensor, kind: str) -> HeadOutput:
        embedding: Tensor = self.neck(feature, kind)
        return HeadOutput(feature, embedding, None if self.classifier is None else self.classifier(embedding))


def fold(pictures: Tensor, frames: int | None = None) -> tuple[Tensor, int]:
    """``[B, 3, H, W]`` -> itself and 1; ``[B, N, 3, H, W]`` -> ``[B * N, 3, H, W]`` and N.

    Args:
        frames: the only N above 1 that is taken; None takes any.

    Raises:
        ValueError: another rank, number of channels or length of clip.
    """
    if pictures.dim() == 4 and pictures.shape[1] == 3:
        return pictures, 1
    if pictures.dim() == 5 and pictures.shape[2] == 3:
        if frames is not None and pictures.shape[1] not in (1, frames):
            raise ValueError(f"expected clips of 1 or {frames} frames, got {pictures.shape[1]}")
        return pictures.flatten(0, 1), pictures.shape[1]
    raise ValueError(f"expected [B, 3, H, W] or [B, N, 3, H, W], got {list(pictures.shape)}")
