"""The batch-norm neck between the feature of the triplet losses and the feature of the classifier.

Luo et al., "Bag of tricks and a strong baseline for deep person re-identification", CVPRW 2019.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["BNNeck"]


class BNNeck(nn.Module):
    """``[B, D]`` -> ``[B, D]``: batch norm without a trained shift, so that the origin stays in the middle.

    One neck for each kind of light keeps that light's own mean and spread, which removes the part of
    the modality gap that is a mere offset; kinds that are given the same neck share them.

    Args:
        dim: D.
        kinds: names of the necks, e.g. ``("visible", "infrared")``.
        shared: one batch norm for all kinds.
    """

    def __init__(self, dim: int, kinds: tuple[str, ...] = ("all",), *, shared: bool = False) -> None:
        super().__init__()
        self._slot = {kind: "all" if shared else kind for kind in kinds}
        self.norms = nn.ModuleDict({slot: self._norm(dim) for slot in dict.fromkeys(self._slot.values())})

    @staticmethod
    def _norm(dim: int) -> nn.BatchNorm1d:
        norm = nn.BatchNorm1d(dim)
        norm.bias.requires_grad_(False)
        return norm

    def norm_of(self, kind: str) -> nn.BatchNorm1d | nn.SyncBatchNorm:
        norm = self.norms[self._slot[kind]]
        # Several processes may have it replaced; tells the type checker.
        assert isinstance(norm, nn.BatchNorm1d | nn.SyncBatchNorm)  # noqa: S101
        return norm

    def forward(self, features: Tensor, kind: str = "all") -> Tensor:
        normalised: Tensor = self.norm_of(kind)(features)
        return normalised
