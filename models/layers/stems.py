"""A first layer for each kind of light in front of shared ones.

Ye et al., "Deep learning for person re-identification: A survey and outlook" (AGW), TPAMI 2021: the
pictures differ most in their raw values, so only what reads those is kept apart.
"""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor, nn

from models.types import Modality

__all__ = ["ModalityStems"]


class ModalityStems(nn.Module):
    """Two copies of a trunk's stem: ``[B, 3, H, W]`` of one kind of light -> the input of the shared stages."""

    def __init__(self, stem: nn.Module) -> None:
        super().__init__()
        self.visible = stem
        self.infrared = deepcopy(stem)

    def forward(self, pictures: Tensor, modality: Modality) -> Tensor:
        stem = self.visible if modality is Modality.VISIBLE else self.infrared
        read: Tensor = stem(pictures)
        return read

    def start_from(self, stem: nn.Module) -> None:
        """Give both stems the weights of a third."""
        for own in (self.visible, self.infrared):
            own.load_state_dict(stem.state_dict())
