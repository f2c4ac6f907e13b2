"""Temporal shift: frames exchange some channels, at no parameters and no multiplications.

Lin et al., "TSM: Temporal shift module for efficient video understanding", ICCV 2019, in the
residual-branch form (``blockres``): the caller shifts what goes into a block's first convolution and
leaves the skip connection alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["temporal_shift"]


def temporal_shift(frames: Tensor, count: int, divisor: int = 8) -> Tensor:
    """Shift C/8 channels one frame back in time, the next C/8 one frame ahead, and pad with zeros.

    Args:
        frames: ``[B * N, C, H, W]``, the N frames of a clip next to each other.
        count: N. With N = 1 there is nothing to shift and the frames come back untouched: padding
            would blank a quarter of all channels.
        divisor: what part of the channels moves each way.

    Returns:
        ``[B * N, C, H, W]``. Frame t holds frame t+1's first C/8 channels and t-1's next C/8.
    """
    if count == 1:
        return frames
    total, channels, height, width = frames.shape
    if total % count:
        raise ValueError(f"expected a multiple of {count} frames, got {total}")
    clips = frames.reshape(-1, count, channels, height, width)  # B N C H W
    fold = channels // divisor
    pad = torch.zeros_like(clips[:, :1, :fold])
    back = torch.cat((clips[:, 1:, :fold], pad), dim=1)
    ahead = torch.cat((pad, clips[:, :-1, fold : 2 * fold]), dim=1)
    return torch.cat((back, ahead, clips[:, :, 2 * fold :]), dim=2).reshape(total, channels, height, width)
