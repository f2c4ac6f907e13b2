"""TACAFNet: identity losses of the whole, the parts and what was rebuilt; a triplet; the dense triplet.

The paper gives no equations; terms and weights are this project's reading (see the network's header).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.data.batch import TrainingBatch
from models.losses import dense_triplet
from models.reid.heads import HeadOutput
from models.reid.tacafnet import DenseMaps, TacafnetOutput
from models.training.objectives.base import RetrievalOptions, chosen, joined

__all__ = ["TacafnetObjective", "other_person"]


@dataclass(frozen=True, slots=True)
class TacafnetObjective(RetrievalOptions):
    """Its terms:

    - ``id``: of the whole pictures.
    - ``id_parts``: the mean over the parts, those that asked the other light's picture included.
    - ``id_reconstructed``: of what CMAAM rebuilt.
    - ``triplet``: of the whole pictures.
    - ``dense``: the dense triplet of both lights, their mean.

    Attributes:
        dense_margin: of the dense triplet.
    """

    triplet: str = "weighted"
    dense_margin: float = 0.3
    terms: ClassVar[tuple[str, ...]] = ("id", "id_parts", "id_reconstructed", "triplet", "dense")
    counterparts: ClassVar[bool] = False

    def __call__(
        self, network: nn.Module, batch: TrainingBatch, wanted: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        dense = wanted is None or "dense" in wanted
        negatives = other_person(batch.classes) if dense else None
        output: TacafnetOutput = network(batch.visible, batch.infrared, negatives)
        rows = joined((output.visible, output.infrared), batch.classes)
        parts = (
            *output.visible_parts,
            *output.infrared_parts,
            *output.visible_pair_parts,
            *output.infrared_pair_parts,
        )
        terms = {
            "id": lambda: self.identity(rows),
            "id_parts": lambda: self.identity(joined(parts, batch.classes)),
            "id_reconstructed": lambda: self.identity(
                joined(_both(output.visible_reconstructed, output.infrared_reconstructed), batch.classes)
            ),
            "triplet": lambda: self.compare(rows),
            "dense": lambda: self._dense(output.visible_dense, output.infrared_dense),
        }
        return chosen(terms, wanted) | self.figures(rows)

    def _dense(self, visible: DenseMaps | None, infrared: DenseMaps | None) -> Tensor:
        if visible is None or infrared is None:
            raise ValueError("the term dense: expected a network with cmaam, got one without")
        first, second = (
            dense_triplet(maps.own, maps.positive, maps.negative, maps.mask, self.dense_margin)
            for maps in (visible, infrared)
        )
        return (first + second) / 2


def _both(visible: HeadOutput | None, infrared: HeadOutput | None) -> tuple[HeadOutput, HeadOutput]:
    if visible is None or infrared is None:
        raise ValueError("the term id_reconstructed: expected a network with cmaam, got one without")
    return visible, infrared


def other_person(classes: Tensor) -> Tensor:
    """For each row the next one, round the batch, that shows somebody else: ``int64[R]`` -> ``int64[R]``.

    Which people lie next to each other in a batch is drawn, so this needs no draw of its own.

    Raises:
        ValueError: all rows show one person.
    """
    places = torch.arange(len(classes), device=classes.device)
    ahead = (places[None, :] - places[:, None]) % max(len(classes), 1)
    ahead = ahead.masked_fill(classes[None, :] == classes[:, None], len(classes))
    nearest, rows = ahead.min(dim=1)
    if bool((nearest == len(classes)).any()):
        raise ValueError("expected at least two people in a batch, got one")
    return rows
