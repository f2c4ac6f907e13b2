"""One file a network: which losses its paper asks of which rows. A recipe's stages weigh the terms."""

from models.training.objectives.afen import AfenObjective
from models.training.objectives.base import TRIPLETS, Objective, RetrievalOptions
from models.training.objectives.cmft import CmftObjective
from models.training.objectives.fused_attention import FusedAttentionObjective
from models.training.objectives.tacafnet import TacafnetObjective

__all__ = ["TRIPLETS", "Objective", "RetrievalOptions", "objective_of"]

AnyObjective = AfenObjective | CmftObjective | FusedAttentionObjective | TacafnetObjective

_OBJECTIVES: dict[str, type[AnyObjective]] = {
    "afen": AfenObjective,
    "cmft": CmftObjective,
    "fused_attention": FusedAttentionObjective,
    "tacafnet": TacafnetObjective,
}


def objective_of(network: str) -> type[AnyObjective]:
    """The objective of a network by the network's name; its fields are the options of a recipe's ``[objective]``.

    Raises:
        KeyError: no network of that name has one; the message lists those that do.
    """
    if network not in _OBJECTIVES:
        raise KeyError(f"no objective for a network called {network!r}; there are {', '.join(_OBJECTIVES)}")
    return _OBJECTIVES[network]
