"""What every objective is, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from models.data.batch import TrainingBatch
from models.losses import (
    adaptive_weight_triplet,
    batch_hard_triplet,
    identity_loss,
    squared_weighted_triplet,
    supervised_contrastive,
    weighted_gaps,
    weighted_regularised_triplet,
)
from models.reid.heads import HeadOutput
from models.training.processes import of_all_processes

__all__ = ["TRIPLETS", "Objective", "RetrievalOptions", "Rows", "chosen", "joined"]

TRIPLETS = ("hard", "adaptive", "weighted", "squared")
_MARGINS = {"hard": 0.3, "adaptive": 1.0}


class Objective(Protocol):
    """From a batch to the terms of a loss; a recipe's stages say what each weighs.

    Attributes:
        terms: the names it can calculate.
        counterparts: whether batches must come with counterparts.
    """

    @property
    def terms(self) -> tuple[str, ...]: ...

    @property
    def counterparts(self) -> bool: ...

    def __call__(
        self, network: nn.Module, batch: TrainingBatch, wanted: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        """Run the network on a batch.

        Args:
            wanted: the terms to calculate, all if None; the others cost nothing beyond the forward.

        Returns:
            scalars by name; a name that is not among `terms` is a detached figure worth logging.
        """
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of several heads, one after the other, for losses that compare them all."""

    features: Tensor
    embeddings: Tensor
    logits: Tensor
    classes: Tensor


def joined(heads: Sequence[HeadOutput], classes: Tensor) -> Rows:
    """Stack heads ``[R, D]`` whose rows i show the same person. ValueError for a network without a classifier."""
    logits = [head.logits for head in heads if head.logits is not None]
    if len(logits) != len(heads):
        raise ValueError("expected a network with a classifier (identities > 0), got one without")
    features, embeddings = ([getattr(head, name) for head in heads] for name in ("feature", "embedding"))
    return Rows(torch.cat(features), torch.cat(embeddings), torch.cat(logits), classes.repeat(len(heads)))


@dataclass(frozen=True, slots=True)
class RetrievalOptions:
    """The identity loss and the triplet, as every recipe may choose them in its table ``[objective]``.

    Attributes:
        smoothing: of the identity loss's labels; fused attention is the only one of the papers that smooths.
        triplet: ``hard`` (batch-hard), ``adaptive`` (weighted sums and a hinge), ``weighted`` (weighted sums and a
            softplus) or ``squared`` (the same of squares).
        margin: of the first two, which have one; None for 0.3 and 1.0. Features before batch norm have no fixed
            length; 1.0 suits those.
    """

    smoothing: float = 0.0
    triplet: str = "hard"
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.triplet not in TRIPLETS:
            raise ValueError(f"triplet: expected {', '.join(TRIPLETS)}, got {self.triplet!r}")
        if not 0.0 <= self.smoothing <= 1.0:
            raise ValueError(f"smoothing: expected 0..1, got {self.smoothing}")
        if self.margin is not None and not self.margin >= 0.0:
            raise ValueError(f"margin: expected at least 0, got {self.margin}")

    def identity(self, rows: Rows) -> Tensor:
        return identity_loss(rows.logits, rows.classes, self.smoothing)

    def compare(self, rows: Rows) -> Tensor:
        """The chosen triplet over all rows. Under several processes each mines its own rows, as the field does."""
        features, classes = rows.features, rows.classes
        if self.triplet == "weighted":
            return weighted_regularised_triplet(features, classes)
        if self.triplet == "squared":
            return squared_weighted_triplet(features, classes)
        margin = _MARGINS[self.triplet] if self.margin is None else self.margin
        if self.triplet == "adaptive":
            return adaptive_weight_triplet(features, classes, margin)
        return batch_hard_triplet(features, classes, margin)

    def contrast(self, rows: Rows, temperature: float, among: float = 0.5) -> Tensor:
        """Supervised contrast after the necks, of rows whose first half is visible and whose second is infrared.

        The share `among` of it among all rows, the rest across the lights. Rows of all processes are compared: unlike a
        triplet's hardest, it wants as many people as there are.
        """
        lights = torch.arange(2, device=rows.classes.device).repeat_interleave(len(rows.classes) // 2)
        embeddings, classes, lights = map(of_all_processes, (rows.embeddings, rows.classes, lights))
        among_all = supervised_contrastive(embeddings, classes, temperature)
        across = supervised_contrastive(embeddings, classes, temperature, lights)
        return among * among_all + (1 - among) * across

    def figures(self, rows: Rows) -> dict[str, Tensor]:
        """The mean magnitude of the weighted gaps for the squared triplet, whose slope grows with it."""
        if self.triplet != "squared":
            return {}
        with torch.no_grad():
            gaps, _ = weighted_gaps(rows.features, rows.classes)
            return {"mean_gap": gaps.abs().mean()}


def chosen(terms: Mapping[str, Callable[[], Tensor]], wanted: Collection[str] | None) -> dict[str, Tensor]:
    """Calculate the wanted terms and no others."""
    return {name: term() for name, term in terms.items() if wanted is None or name in wanted}
