"""What a training step is given."""

from __future__ import annotations

from collections.abc import Callable
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
        return self._mapped(lambda x: x.to(device, non_blocking=True))

    def pin_memory(self) -> TrainingBatch:
        """The same batch where a GPU can fetch it by itself; `torch.utils.data.DataLoader` asks for it."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> TrainingBatch:
        first, second = self.counterparts()
        return TrainingBatch(
            change(self.visible),
            change(self.infrared),
            change(self.classes),
            None if first is None else change(first),
            None if second is None else change(second),
        )
