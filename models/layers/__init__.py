"""Building blocks of the networks, one idea a file."""

from models.layers.bnneck import BNNeck
from models.layers.ccf import CrossAttention, CrossModalFusion
from models.layers.channel_norm import ChannelNorm
from models.layers.channel_spatial import ChannelSpatialAttention
from models.layers.cmaam import Reconstruction, correspondence, person_mask, reconstruct
from models.layers.crossvit import ClassTokenFusion, MultiScaleBlock
from models.layers.fem import ConvMlp, FeatureEnhancement, ReducedFeatureEnhancement
from models.layers.frm import FeatureRefinement
from models.layers.gem import DepthwisePool, GeM, PartPool
from models.layers.grey import GreyCounterpart
from models.layers.ipcam import PartGraphAttention, cumulative_means, part_graph
from models.layers.mecs import MedianEnhancedAttention, global_median
from models.layers.position import resample_positions
from models.layers.stems import ModalityStems
from models.layers.tsm import temporal_shift
from models.layers.vit import ViTBlock

__all__ = [
    "BNNeck",
    "ChannelNorm",
    "ChannelSpatialAttention",
    "ClassTokenFusion",
    "ConvMlp",
    "CrossAttention",
    "CrossModalFusion",
    "DepthwisePool",
    "FeatureEnhancement",
    "FeatureRefinement",
    "GeM",
    "GreyCounterpart",
    "MedianEnhancedAttention",
    "ModalityStems",
    "MultiScaleBlock",
    "PartGraphAttention",
    "PartPool",
    "Reconstruction",
    "ReducedFeatureEnhancement",
    "ViTBlock",
    "correspondence",
    "cumulative_means",
    "global_median",
    "part_graph",
    "person_mask",
    "reconstruct",
    "resample_positions",
    "temporal_shift",
]
