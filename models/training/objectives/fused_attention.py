"""Fused attention: label-smoothed identity loss and adaptive-weight triplet, unit weights (paper, eqs. 14-15)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from models.data.batch import TrainingBatch
from models.reid.fused_attention import FusedAttentionOutput
from models.training.objectives.base import RetrievalOptions, chosen, joined

__all__ = ["FusedAttentionObjective"]


@dataclass(frozen=True, slots=True)
class FusedAttentionObjective(RetrievalOptions):
    """Visible, infrared and grey rows count alike: grey copies are further pictures of the same people."""

    triplet: str = "adaptive"
    terms: ClassVar[tuple[str, ...]] = ("id", "triplet")
    counterparts: ClassVar[bool] = False

    def __call__(
        self, network: nn.Module, batch: TrainingBatch, wanted: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        output: FusedAttentionOutput = network(batch.visible, batch.infrared)
        heads = [head for head in (output.visible, output.infrared, output.grey) if head is not None]
        rows = joined(heads, batch.classes)
        terms = {"id": lambda: self.identity(rows), "triplet": lambda: self.compare(rows)}
        return chosen(terms, wanted) | self.figures(rows)
