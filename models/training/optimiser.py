"""Parameter groups, the optimiser, and what the rates are at any moment of a run."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from models.registry import ReidNetwork
from models.training.recipes.schema import OptimiserOptions, ScheduleOptions

__all__ = ["create_optimiser", "rate_factor", "set_rates"]

_WARM_UP_FROM = 0.01


def create_optimiser(network: nn.Module, options: OptimiserOptions) -> torch.optim.Optimizer:
    """Trunk and head apart, and in each what is not decayed: norms, biases, other vectors and single numbers.

    Each group carries ``trunk`` and ``base_rate`` for `set_rates`.
    """
    trunk = {id(parameter) for parameter in cast(ReidNetwork, network).trunk_parameters()}
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = []
    for in_trunk in (True, False):
        rate = options.trunk_rate if in_trunk else options.head_rate
        for decayed in (True, False):
            own = [p for p in trained if (id(p) in trunk) is in_trunk and (p.dim() > 1) is decayed]
            decay = options.weight_decay if decayed else 0.0
            if own:
                groups.append({"params": own, "weight_decay": decay, "trunk": in_trunk, "base_rate": rate, "lr": rate})
    if options.kind == "adamw":
        return torch.optim.AdamW(groups, fused=True)
    nesterov = options.nesterov and options.momentum > 0
    return torch.optim.SGD(groups, lr=options.head_rate, momentum=options.momentum, nesterov=nesterov, fused=True)


def rate_factor(options: ScheduleOptions, epochs: int, position: float, *, trunk: bool) -> float:
    """What the base rate is multiplied by after `position` epochs of `epochs`, whole and in parts."""
    frozen = options.frozen_trunk * epochs if trunk else 0.0
    if position < frozen:
        return 0.0
    if options.kind == "cosine":
        share = min(position / epochs, 1.0)
        factor = options.final_factor + (1 - options.final_factor) * 0.5 * (1 + math.cos(math.pi * share))
    else:
        factor = options.decay ** sum(position >= epoch for epoch in options.decay_epochs)
    begun = position - frozen
    if begun < options.warm_up_epochs:
        factor *= _WARM_UP_FROM + (1 - _WARM_UP_FROM) * begun / options.warm_up_epochs
    return factor


def set_rates(optimiser: torch.optim.Optimizer, options: ScheduleOptions, epochs: int, position: float) -> None:
    """Give every group its rate; a pure function of the position, so a resumed run needs nothing else."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_rate"] * rate_factor(options, epochs, position, trunk=group["trunk"])
