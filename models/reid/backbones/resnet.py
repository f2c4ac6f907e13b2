"""ResNet-50 (He et al., "Deep residual learning for image recognition", CVPR 2016).

Key names are torchvision's, so released ImageNet weights load as they are. v1 (as published, and as
in weights converted from Caffe or Keras) strides in the first 1x1 convolution of a block, v1.5
(torchvision's) in the 3x3: same shapes, other pictures, so `stride_in_1x1` must match the weights.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.layers.tsm import temporal_shift
from models.reid.backbones.base import Backbone, register_backbone

__all__ = ["ResNet50"]


class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, channels: int, width: int, stride: int, *, stride_in_1x1: bool) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        out = width * self.expansion
        self.conv1 = nn.Conv2d(channels, width, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor, shift: int) -> Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(temporal_shift(x, shift))))
        y = self.relu(self.bn2(self.conv2(y)))
        out: Tensor = self.relu(self.bn3(self.conv3(y)) + skip)
        return out


@register_backbone("resnet50")
class ResNet50(Backbone):
    """23.5 M parameters; stages of 256, 512, 1024 and 2048 channels at strides 4, 8, 16 and 16 or 32."""

    channels = {2: 256, 3: 512, 4: 1024, 5: 2048}  # noqa: RUF012 - declared ClassVar in the base

    def __init__(self, *, last_stride: int = 1, stride_in_1x1: bool = False) -> None:
        super().__init__()
        self.strides = {2: 4, 3: 8, 4: 16, 5: 16 * last_stride}
        self.conv1: nn.Module = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(64)
        self.relu: nn.Module = nn.ReLU(inplace=True)
        self.maxpool: nn.Module = nn.MaxPool2d(3, 2, 1)
        inside = 64
        for index, (width, blocks, stride) in enumerate(
            ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, last_stride)), start=1
        ):
            layer = nn.ModuleList()
            for block in range(blocks):
                layer.append(_Bottleneck(inside, width, stride if block == 0 else 1, stride_in_1x1=stride_in_1x1))
                inside = width * _Bottleneck.expansion
            self.add_module(f"layer{index}", layer)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem(self, frames: Tensor) -> Tensor:
        x: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(frames))))
        return x

    def run_stage(self, stage: int, x: Tensor, shift: int = 1) -> Tensor:
        for block in self.get_submodule(f"layer{stage - 1}").children():
            x = block(x, shift)
        return x

    def detach_stem(self) -> nn.Module:
        names = ("conv1", "bn1", "relu", "maxpool")
        stem = nn.Sequential(OrderedDict((name, self.get_submodule(name)) for name in names))
        for name in names:
            setattr(self, name, nn.Identity())
        return stem
