"""CMFT: identity, L_cross, MSRL and MDL over the families of rows that the pseudo-counterpart makes.

Mukhtar and Khan, eqs. 7-17, with these readings:

- Three features X of eq. 10: what the visible stream, the infrared stream and the fusion make. Each compares
  all rows that went through it: visible clips with their counterparts and infrared clips with theirs, because
  a query of either light is embedded that way. True pairs are a third family, which a query never belongs
  to; they carry the identity loss and L^Fus alone, the term ``pair``.
- The identity loss is, like L_cross, the sum over X; so is the supervised contrast, which is ours.
- Lights that share a stream have one feature X less, and no counterparts in it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from models.data.batch import TrainingBatch
from models.losses import cross_loss, mdl_loss, msrl_fused_loss, msrl_loss
from models.reid.cmft import CmftOutput
from models.reid.heads import HeadOutput
from models.training.objectives.base import RetrievalOptions, Rows, chosen, joined

__all__ = ["REFINEMENTS", "CmftObjective"]

REFINEMENTS = ("streams", "fused", "literal")


@dataclass(frozen=True, slots=True)
class CmftObjective(RetrievalOptions):
    """Its terms: ``id``, ``cross``, ``msrl``, ``mdl``, ``pair`` and ``contrast``.

    Attributes:
        margin: 0.1 in the paper.
        refine: what MSRL and MDL compare. ``streams``: each light's clips by their own stream, PMT's form.
            ``fused``: each light's fused clips, PMT's form. ``literal``: eq. 13 as printed, with D^cross among
            the fused pairs; MDL as for ``streams``.
        temperature: of ``contrast``.
        among: share of ``contrast`` that compares all rows; the rest compares across the lights only.
        counterparts: whether batches come with randomly drawn ones; without them a fusion is shown grey copies, and
            lights that share a stream need none.
    """

    margin: float | None = 0.1
    refine: str = "streams"
    temperature: float = 0.1
    among: float = 0.5
    counterparts: bool = True
    terms: ClassVar[tuple[str, ...]] = ("id", "cross", "msrl", "mdl", "pair", "contrast")

    def __post_init__(self) -> None:
        RetrievalOptions.__post_init__(self)
        if self.refine not in REFINEMENTS:
            raise ValueError(f"refine: expected {', '.join(REFINEMENTS)}, got {self.refine!r}")
        if not self.temperature > 0:
            raise ValueError(f"temperature: expected above 0, got {self.temperature}")
        if not 0.0 <= self.among <= 1.0:
            raise ValueError(f"among: expected 0..1, got {self.among}")

    def __call__(
        self, network: nn.Module, batch: TrainingBatch, wanted: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        output: CmftOutput = network(
            batch.visible, batch.infrared, batch.visible_counterpart, batch.infrared_counterpart
        )
        by_feature = self._by_feature(output, batch.classes)
        terms = {
            "id": lambda: _sum([self.identity(rows) for rows in by_feature]),
            "cross": lambda: self._cross(by_feature),
            "msrl": lambda: self._msrl(output, batch.classes),
            "mdl": lambda: mdl_loss(*self._compared(output), batch.classes),
            "pair": lambda: self._pair(output, batch.classes),
            "contrast": lambda: _sum([self.contrast(rows, self.temperature, self.among) for rows in by_feature]),
        }
        return chosen(terms, wanted)

    @staticmethod
    def _by_feature(output: CmftOutput, classes: Tensor) -> list[Rows]:
        if output.visible_counterpart is None or output.infrared_counterpart is None:
            found = [joined((output.visible, output.infrared), classes)]
        else:
            found = [
                joined((output.visible, output.infrared_counterpart), classes),
                joined((output.visible_counterpart, output.infrared), classes),
            ]
        if output.fused_visible is not None and output.fused_infrared is not None:
            found.append(joined((output.fused_visible, output.fused_infrared), classes))
        return found

    def _cross(self, by_feature: list[Rows]) -> Tensor:
        if self.triplet == "hard" and self.margin is not None:
            return cross_loss([rows.features for rows in by_feature], by_feature[0].classes, self.margin)
        return _sum([self.compare(rows) for rows in by_feature])

    def _compared(self, output: CmftOutput) -> tuple[Tensor, Tensor]:
        if self.refine == "fused":
            return _fused(output.fused_visible).feature, _fused(output.fused_infrared).feature
        return output.visible.feature, output.infrared.feature

    def _msrl(self, output: CmftOutput, classes: Tensor) -> Tensor:
        if self.refine == "literal":
            return msrl_fused_loss(_fused(output.fused_pair).feature, classes, *self._compared(output))
        return msrl_loss(*self._compared(output), classes)

    def _pair(self, output: CmftOutput, classes: Tensor) -> Tensor:
        rows = joined((_fused(output.fused_pair),), classes)
        return self.identity(rows) + self.compare(rows)


def _sum(terms: list[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _fused(head: HeadOutput | None) -> HeadOutput:
    if head is None:
        raise ValueError("this objective needs fused features: expected a network with fusion, got one without")
    return head
