"""Untrained networks that are fit to be compared."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

_N = TypeVar("_N", bound=nn.Module)


def settled(network: _N, visible: Tensor, infrared: Tensor) -> _N:
    """In evaluation mode, its batch norms having seen data: fresh ones let the signal of a picture die out."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean of what was seen
    with torch.no_grad():
        network(visible, infrared)
    return network.eval()


def awake(network: _N) -> _N:
    """With what starts at zero drawn at random, so that everything has a say."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network
