"""YOLOv7 and YOLOv7-tiny, fused for inference.

Paper: Wang, Bochkovskiy, Liao, "YOLOv7: Trainable bag-of-freebies sets new state-of-the-art for
real-time object detectors", https://arxiv.org/abs/2207.02696 (figure 2 for the blocks).
Deviations: batch norm, RepConv branches and implicit knowledge are already folded into plain
convolutions (`models.detection.checkpoint` does that on import), so this is not a network to train.

The network is a table of layers, numbered like those of the released checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["YOLOV7", "YOLOV7_TINY", "Architecture", "FusedConv", "Kind", "Layer", "SppCspc", "YoloV7"]

STRIDES = (8, 16, 32)
_SPP_KERNELS = (5, 9, 13)


class Kind(Enum):
    """What a layer does."""

    CONV = "convolution and activation"
    CONCAT = "concatenation of channels"
    HALVE = "2x2 max pooling"
    POOL = "max pooling that keeps the size"
    DOUBLE = "nearest-neighbour up-sampling by two"
    SPP = "cross-stage partial spatial pyramid"


@dataclass(frozen=True, slots=True)
class Layer:
    """One row: where the input comes from (negative: counted back from here) and what is done to it."""

    kind: Kind
    sources: tuple[int, ...] = (-1,)
    channels: int = 0
    kernel: int = 1
    stride: int = 1

    def inputs(self, index: int) -> tuple[int, ...]:
        """Absolute layer numbers of the inputs; -1 is the picture."""
        return tuple(source if source >= 0 else index + source for source in self.sources)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A member of the family: its layers, the three that are detected on, anchors in pixels."""

    name: str
    layers: tuple[Layer, ...]
    heads: tuple[int, int, int]
    anchors: tuple[tuple[tuple[float, float], ...], ...]
    leaky: bool

    def out_channels(self) -> tuple[int, ...]:
        """Channels each layer gives."""
        channels: list[int] = []
        for index, layer in enumerate(self.layers):
            fed = [3 if source < 0 else channels[source] for source in layer.inputs(index)]
            channels.append(layer.channels or sum(fed))
        return tuple(channels)


def _conv(channels: int, kernel: int = 1, stride: int = 1, source: int = -1) -> Layer:
    return Layer(Kind.CONV, (source,), channels, kernel, stride)


def _concat(*sources: int) -> Layer:
    return Layer(Kind.CONCAT, sources)


def _elan(width: int, inner: int, depth: int, taps: tuple[int, ...], channels: int) -> Iterator[Layer]:
    """Two 1x1 branches, a chain of 3x3 on the second, some of the chain gathered by a 1x1."""
    yield _conv(width)
    yield _conv(width, source=-2)
    yield from (_conv(inner, 3) for _ in range(depth))
    yield _concat(*taps)
    yield _conv(channels)


def _backbone_elan(width: int, channels: int) -> Iterator[Layer]:
    return _elan(width, width, 4, (-1, -3, -5, -6), channels)


def _neck_elan(width: int) -> Iterator[Layer]:
    return _elan(width, width // 2, 4, (-1, -2, -3, -4, -5, -6), width)


def _tiny_elan(width: int) -> Iterator[Layer]:
    return _elan(width, width, 2, (-1, -2, -3, -4), 2 * width)


def _halve(channels: int, *joined: int) -> Iterator[Layer]:
    """Max pooling beside a strided convolution, joined with a lateral layer in the neck."""
    yield Layer(Kind.HALVE)
    yield _conv(channels)
    yield _conv(channels, source=-3)
    yield _conv(channels, 3, 2)
    yield _concat(-1, -3, *joined)


def _double(channels: int, lateral: int) -> Iterator[Layer]:
    yield _conv(channels)
    yield Layer(Kind.DOUBLE)
    yield _conv(channels, source=lateral)
    yield _concat(-1, -2)


def _yolov7_layers() -> Iterator[Layer]:
    yield _conv(32, 3)  # 0
    yield _conv(64, 3, 2)  # 1, stride 2
    yield _conv(64, 3)
    yield _conv(128, 3, 2)  # 3, stride 4
    yield from _backbone_elan(64, 256)  # ends with 11
    yield from _halve(128)  # 16, stride 8
    yield from _backbone_elan(128, 512)  # 24
    yield from _halve(256)  # 29, stride 16
    yield from _backbone_elan(256, 1024)  # 37
    yield from _halve(512)  # 42, stride 32
    yield from _backbone_elan(256, 1024)  # 50
    yield Layer(Kind.SPP, channels=512)  # 51
    yield from _double(256, 37)
    yield from _neck_elan(256)  # 63
    yield from _double(128, 24)
    yield from _neck_elan(128)  # 75
    yield from _halve(128, 63)
    yield from _neck_elan(256)  # 88
    yield from _halve(256, 51)
    yield from _neck_elan(512)  # 101
    yield _conv(256, 3, source=75)  # RepConv when trained
    yield _conv(512, 3, source=88)
    yield _conv(1024, 3, source=101)  # 104


def _tiny_layers() -> Iterator[Layer]:
    yield _conv(32, 3, 2)  # 0, stride 2
    yield _conv(64, 3, 2)  # 1, stride 4
    yield from _tiny_elan(32)  # 7
    for width in (64, 128, 256):  # 14, 21, 28
        yield Layer(Kind.HALVE)
        yield from _tiny_elan(width)
    yield _conv(256)
    yield _conv(256, source=-2)
    yield Layer(Kind.POOL, (-1,), kernel=_SPP_KERNELS[0])
    yield Layer(Kind.POOL, (-2,), kernel=_SPP_KERNELS[1])
    yield Layer(Kind.POOL, (-3,), kernel=_SPP_KERNELS[2])
    yield _concat(-1, -2, -3, -4)
    yield _conv(256)
    yield _concat(-1, -7)
    yield _conv(256)  # 37
    yield from _double(128, 21)
    yield from _tiny_elan(64)  # 47
    yield from _double(64, 14)
    yield from _tiny_elan(32)  # 57
    yield _conv(128, 3, 2)
    yield _concat(-1, 47)
    yield from _tiny_elan(64)  # 65
    yield _conv(256, 3, 2)
    yield _concat(-1, 37)
    yield from _tiny_elan(128)  # 73
    yield _conv(128, 3, source=57)
    yield _conv(256, 3, source=65)
    yield _conv(512, 3, source=73)  # 76


YOLOV7 = Architecture(
    "yolov7",
    tuple(_yolov7_layers()),
    (102, 103, 104),
    (
        ((12, 16), (19, 36), (40, 28)),
        ((36, 75), (76, 55), (72, 146)),
        ((142, 110), (192, 243), (459, 401)),
    ),
    leaky=False,
)
YOLOV7_TINY = Architecture(
    "yolov7-tiny",
    tuple(_tiny_layers()),
    (74, 75, 76),
    (
        ((10, 13), (16, 30), (33, 23)),
        ((30, 61), (62, 45), (59, 119)),
        ((116, 90), (156, 198), (373, 326)),
    ),
    leaky=True,
)


class FusedConv(nn.Module):
    """A convolution with bias that keeps the size (or halves it), and its activation."""

    def __init__(self, in_channels: int, layer: Layer, leaky: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, layer.channels, layer.kernel, layer.stride, layer.kernel // 2)
        self.leaky = leaky

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.leaky_relu(x, 0.1) if self.leaky else F.silu(x)


class SppCspc(nn.Module):
    """Spatial pyramid pooling on one of two cross-stage partial branches (``cv1`` to ``cv7`` as released)."""

    cv1: FusedConv
    cv2: FusedConv
    cv3: FusedConv
    cv4: FusedConv
    cv5: FusedConv
    cv6: FusedConv
    cv7: FusedConv

    def __init__(self, in_channels: int, channels: int, leaky: bool) -> None:
        super().__init__()
        for name, fed, kernel in self.convolutions(in_channels, channels):
            setattr(self, name, FusedConv(fed, Layer(Kind.CONV, (-1,), channels, kernel), leaky))

    @staticmethod
    def convolutions(in_channels: int, channels: int) -> tuple[tuple[str, int, int], ...]:
        """Name, input channels and kernel of each convolution."""
        return (
            ("cv1", in_channels, 1),
            ("cv2", in_channels, 1),
            ("cv3", channels, 3),
            ("cv4", channels, 1),
            ("cv5", 4 * channels, 1),
            ("cv6", channels, 3),
            ("cv7", 2 * channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        near: Tensor = self.cv4(self.cv3(self.cv1(x)))
        pooled = [F.max_pool2d(near, size, 1, size // 2) for size in _SPP_KERNELS]
        deep = self.cv6(self.cv5(torch.cat([near, *pooled], 1)))
        joined: Tensor = self.cv7(torch.cat((deep, self.cv2(x)), 1))
        return joined


class YoloV7(nn.Module):
    """The fused network.

    Args:
        architecture: `YOLOV7` or `YOLOV7_TINY`.
        class_count: classes of each anchor.
        anchors_px: ``[3, 3, 2]`` widths and heights; the released ones by default.
    """

    anchors_px: Tensor

    def __init__(
        self, architecture: Architecture = YOLOV7, class_count: int = 80, anchors_px: Tensor | None = None
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.class_count = class_count
        channels = architecture.out_channels()
        self.layers = nn.ModuleList()
        for index, layer in enumerate(architecture.layers):
            fed = sum(3 if source < 0 else channels[source] for source in layer.inputs(index))
            self.layers.append(_module(layer, fed, architecture.leaky))
        outputs = 3 * (5 + class_count)
        self.heads = nn.ModuleList(nn.Conv2d(channels[head], outputs, 1) for head in architecture.heads)
        anchors = torch.tensor(architecture.anchors) if anchors_px is None else anchors_px
        if anchors.shape != (3, 3, 2):
            raise ValueError(f"anchors_px: expected shape (3, 3, 2), got {tuple(anchors.shape)}")
        self.register_buffer("anchors_px", anchors.float())

    def features(self, images: Tensor) -> list[Tensor]:
        """What every layer gives, by layer number."""
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % 32 or images.shape[3] % 32:
            raise ValueError(f"images: expected [B, 3, H, W], H and W multiples of 32, got {tuple(images.shape)}")
        done: list[Tensor] = []
        for index, (layer, module) in enumerate(zip(self.architecture.layers, self.layers, strict=True)):
            fed = [images if source < 0 else done[source] for source in layer.inputs(index)]
            done.append(torch.cat(fed, 1) if layer.kind is Kind.CONCAT else module(fed[0]))
        return done

    def forward(self, images: Tensor) -> Tensor:
        """Every anchor's box and scores, before suppression.

        Args:
            images: ``float32[B, 3, H, W]``, RGB, 0 to 1, H and W multiples of 32.

        Returns:
            ``float32[B, A, 5 + classes]``: centre x, centre y, width, height in pixels, objectness, classes.
        """
        features = self.features(images)
        levels = []
        for level, (head, layer) in enumerate(zip(self.heads, self.architecture.heads, strict=True)):
            levels.append(self._decode(head(features[layer]), STRIDES[level], self.anchors_px[level]))
        return torch.cat(levels, 1)

    def _decode(self, raw: Tensor, stride: int, anchors: Tensor) -> Tensor:
        B, _, H, W = raw.shape
        y = raw.view(B, 3, 5 + self.class_count, H, W).permute(0, 1, 3, 4, 2).sigmoid()  # B 3·K H W -> B 3 H W K
        rows = torch.arange(H, device=raw.device, dtype=raw.dtype).view(H, 1).expand(H, W)
        columns = torch.arange(W, device=raw.device, dtype=raw.dtype).view(1, W).expand(H, W)
        cells = torch.stack((columns, rows), -1)
        centre = (y[..., 0:2] * 2 - 0.5 + cells) * stride
        size = (y[..., 2:4] * 2) ** 2 * anchors.view(1, 3, 1, 1, 2)
        return torch.cat((centre, size, y[..., 4:]), -1).reshape(B, 3 * H * W, 5 + self.class_count)


def _module(layer: Layer, in_channels: int, leaky: bool) -> nn.Module:
    match layer.kind:
        case Kind.CONV:
            return FusedConv(in_channels, layer, leaky)
        case Kind.SPP:
            return SppCspc(in_channels, layer.channels, leaky)
        case Kind.HALVE:
            return nn.MaxPool2d(2, 2)
        case Kind.POOL:
            return nn.MaxPool2d(layer.kernel, 1, layer.kernel // 2)
        case Kind.DOUBLE:
            return nn.Upsample(scale_factor=2.0, mode="nearest")
        case Kind.CONCAT:
            return nn.Identity()
