"""Re-identification networks, one paper a file. Importing this registers them all."""

from models.reid.cmft import Cmft, CmftOptions, CmftOutput
from models.reid.fused_attention import FusedAttention, FusedAttentionOptions, FusedAttentionOutput
from models.reid.heads import HeadOutput

__all__ = [
    "Cmft",
    "CmftOptions",
    "CmftOutput",
    "FusedAttention",
    "FusedAttentionOptions",
    "FusedAttentionOutput",
    "HeadOutput",
]
