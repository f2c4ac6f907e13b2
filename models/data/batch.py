"""What a training step is given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["TrainingBatch"]


@dataclass(frozen=True)
class TrainingBatch:
    """P identities x K samples of each kind of light; row i of both halves shows the same person.

    Rows of one identity lie next to each other, R = P * K.

    Attributes:
        visible, infrared: ``float32[R, 3, H, W]``, or ``[R, N, 3, H, W]`` for clips, normalised.
        classes: ``int64[R]``, 0 to the number of training identities - 1, of both halves.
        visible_counterpart, infrared_counterpart: what stands in for the light that is missing (drawn anew for
            every row: a random channel or grey), of the same shape; None unless the recipe asks for it.
    """

    visible: Tensor
    infrared: Tensor
    classes: Tensor
    visible_counterpart: Tensor | None = None
    infrared_counterpart: Tensor | None = None

    def __post_init__(self) -> None:
        shapes = {tuple(x.shape) for x in (self.visible, self.infrared, *self.counterparts()) if x is not None}
        if len(shapes) != 1 or self.classes.shape != self.visible.shape[:1]:
            raise ValueError(f"expected halves of one shape and a class a row, got {shapes}, {self.classes.shape}")

    def counterparts(self) -> tuple[Tensor | None, Tensor | None]:
        return self.visible_counterpart, self.infrared_counterpart

    def to(self, device: torch.device) -> TrainingBatch:
        """The same batch on a device."""
        return TrainingBatch(
            *(
                None if x is None else x.to(device, non_blocking=True)  # type: ignore[arg-type]
                for x in (self.visible, self.infrared, self.classes, *self.counterparts())
            )
        )
