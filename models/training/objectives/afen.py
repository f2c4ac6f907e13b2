"""AFEN: identity loss and enhanced squared weighted regularised triplet, unit weights (paper, eqs. 5-9)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from models.data.batch import TrainingBatch
from models.reid.afen import AfenOutput
from models.training.objectives.base import RetrievalOptions, chosen, joined

__all__ = ["AfenObjective"]


@dataclass(frozen=True, slots=True)
class AfenObjective(RetrievalOptions):
    """Both lights' rows in one; with the squared triplet, ``mean_gap`` is logged: a loss that stalls shows there."""

    triplet: str = "squared"
    terms: ClassVar[tuple[str, ...]] = ("id", "triplet")
    counterparts: ClassVar[bool] = False

    def __call__(
        self, network: nn.Module, batch: TrainingBatch, wanted: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        output: AfenOutput = network(batch.visible, batch.infrared)
        rows = joined((output.visible, output.infrared), batch.classes)
        terms = {"id": lambda: self.identity(rows), "triplet": lambda: self.compare(rows)}
        return chosen(terms, wanted) | self.figures(rows)
