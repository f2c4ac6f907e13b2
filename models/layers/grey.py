"""The pseudo-counterpart: what the other stream is shown when only one kind of light was recorded."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.preprocessing import Preprocessing

__all__ = ["GreyCounterpart"]

_LUMINANCE = {"rgb": (0.299, 0.587, 0.114), "bgr": (0.114, 0.587, 0.299)}  # ITU-R BT.601


class GreyCounterpart(nn.Module):
    """``[F, 3, H, W]`` normalised pictures -> their luminance in all three channels, normalised again.

    Undoing the normalisation, weighing and normalising anew is one affine map of the channels, kept
    in two buffers. A grey picture (infrared) maps to itself.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        mean = torch.tensor(preprocessing.mean, dtype=torch.float64)
        std = torch.tensor(preprocessing.std, dtype=torch.float64)
        luminance = torch.tensor(_LUMINANCE[preprocessing.channel_order], dtype=torch.float64)
        self.register_buffer("weight", (luminance * std)[None, :].div(std[:, None]).float(), persistent=False)
        self.register_buffer("bias", (((luminance * mean).sum() - mean) / std).float(), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        weight = self.weight.to(pictures.dtype)[:, :, None, None]
        return torch.nn.functional.conv2d(pictures, weight, self.bias.to(pictures.dtype))
