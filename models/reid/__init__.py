"""Re-identification networks, one paper a file. Importing this registers them all."""

from models.reid.afen import Afen, AfenOptions, AfenOutput
from models.reid.cmft import Cmft, CmftOptions, CmftOutput
from models.reid.fused_attention import FusedAttention, FusedAttentionOptions, FusedAttentionOutput
from models.reid.heads import HeadOutput
from models.reid.tacafnet import DenseMaps, Tacafnet, TacafnetOptions, TacafnetOutput

__all__ = [
    "Afen",
    "AfenOptions",
    "AfenOutput",
    "Cmft",
    "CmftOptions",
    "CmftOutput",
    "DenseMaps",
    "FusedAttention",
    "FusedAttentionOptions",
    "FusedAttentionOutput",
    "HeadOutput",
    "Tacafnet",
    "TacafnetOptions",
    "TacafnetOutput",
]
