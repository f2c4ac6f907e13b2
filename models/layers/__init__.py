"""Building blocks of the networks, one idea a file."""

from models.layers.bnneck import BNNeck
from models.layers.ccf import CrossAttention, CrossModalFusion
from models.layers.channel_spatial import ChannelSpatialAttention
from models.layers.crossvit import ClassTokenFusion, MultiScaleBlock
from models.layers.gem import GeM, PartPool
from models.layers.grey import GreyCounterpart
from models.layers.position import resample_positions
from models.layers.tsm import temporal_shift
from models.layers.vit import ViTBlock

__all__ = [
    "BNNeck",
    "ChannelSpatialAttention",
    "ClassTokenFusion",
    "CrossAttention",
    "CrossModalFusion",
    "GeM",
    "GreyCounterpart",
    "MultiScaleBlock",
    "PartPool",
    "ViTBlock",
    "resample_positions",
    "temporal_shift",
]
