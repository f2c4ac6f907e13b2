"""One file a network: which losses its paper asks of which rows. A recipe's stages weigh the terms."""

from collections.abc import Callable, Mapping
from typing import Any

from models.training.objectives.afen import AfenObjective
from models.training.objectives.base import TRIPLETS, Objective, RetrievalOptions
from models.training.objectives.cmft import CmftObjective
from models.training.objectives.fused_attention import FusedAttentionObjective
from models.training.objectives.tacafnet import TacafnetObjective

__all__ = ["TRIPLETS", "Objective", "RetrievalOptions", "create_objective"]

_OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "afen": AfenObjective,
    "cmft": CmftObjective,
    "fused_attention": FusedAttentionObjective,
    "tacafnet": TacafnetObjective,
}


def create_objective(network: str, options: Mapping[str, Any]) -> Objective:
    """The objective of a network by the network's name.

    Raises:
        KeyError: no network of that name has one; the message lists those that do.
        TypeError, ValueError: an option is unknown or wrong.
    """
    if network not in _OBJECTIVES:
        raise KeyError(f"no objective for a network called {network!r}; there are {', '.join(_OBJECTIVES)}")
    return _OBJECTIVES[network](**options)
