"""One optimisation step, guarded: a step whose gradients are not finite is left out and leaves no trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.data.batch import TrainingBatch
from models.training.objectives import Objective

__all__ = ["StepResult", "Stepper", "WeighedObjective"]


class WeighedObjective(nn.Module):
    """Network and objective as one module, which is what several processes keep alike."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network = network
        self.objective = objective

    def forward(self, batch: TrainingBatch, wanted: frozenset[str]) -> dict[str, Tensor]:
        return self.objective(self.network, batch, wanted)


@dataclass(frozen=True, slots=True)
class StepResult:
    """Attributes:
    figures: every term, ``loss`` and ``gradient_norm`` (before clipping).
    taken: False for a step that was left out.
    """

    figures: dict[str, float]
    taken: bool


class Stepper:
    """Runs steps on one device.

    Args:
        module: a `WeighedObjective`, or `DistributedDataParallel` around one.
        network: the network in it.
        clip_norm: largest norm of all gradients together, 0 for no limit.
        bf16: compute the network under autocast to bfloat16.
    """

    def __init__(
        self,
        module: nn.Module,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        *,
        clip_norm: float,
        bf16: bool,
        device: torch.device,
    ) -> None:
        self._module, self._network, self._optimiser = module, network, optimiser
        self._clip_norm, self._bf16, self._device = clip_norm, bf16, device
        self._parameters = [p for group in optimiser.param_groups for p in group["params"]]

    def step(self, batch: TrainingBatch, weights: Mapping[str, float]) -> StepResult:
        """Forward, backward, and a step if everything is finite."""
        self._network.train()
        statistics = [b for b in self._network.buffers() if b.is_floating_point()]
        before = [b.clone() for b in statistics]
        wanted = frozenset(name for name, weight in weights.items() if weight)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            terms: dict[str, Tensor] = self._module(batch.to(self._device), wanted)
        loss = torch.stack([weights[name] * term.float() for name, term in terms.items() if name in wanted]).sum()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._parameters, self._clip_norm or float("inf"))
        told = {**terms, "loss": loss, "gradient_norm": norm}
        values = torch.stack([value.detach().float() for value in told.values()]).tolist()
        figures = dict(zip(told, values, strict=True))
        # Gradients are averaged over processes, so all of them see the same norm and decide alike.
        taken = bool(torch.isfinite(norm))
        if taken:
            self._optimiser.step()
        else:
            with torch.no_grad():
                for buffer, kept in zip(statistics, before, strict=True):
                    buffer.copy_(kept)
        self._optimiser.zero_grad(set_to_none=True)
        return StepResult(figures, taken)
