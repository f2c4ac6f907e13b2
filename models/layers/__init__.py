"""Building blocks of the networks, one idea a file."""

from models.layers.bnneck import BNNeck
from models.layers.ccf import CrossAttention, CrossModalFusion
from models.layers.gem import GeM, PartPool
from models.layers.grey import GreyCounterpart
from models.layers.tsm import temporal_shift

__all__ = [
    "BNNeck",
    "CrossAttention",
    "CrossModalFusion",
    "GeM",
    "GreyCounterpart",
    "PartPool",
    "temporal_shift",
]
