"""Networks as YOLOv7's authors pickle them: whole training objects, batch norm and branches unfolded.

Written from the paper and the released layer tables, so that importing and folding can be compared with
running the unfolded network. The classes claim to live in ``models.yolo`` and ``models.common``, as there.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.detection.yolov7 import Architecture, Kind


class Conv(nn.Module):
    def __init__(self, fed: int, channels: int, kernel: int, stride: int, leaky: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(fed, channels, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)
        self.act = nn.LeakyReLU(0.1) if leaky else nn.SiLU()

    def forward(self, x: Tensor) -> Any:
        return self.act(self.bn(self.conv(x)))


class RepConv(nn.Module):
    def __init__(self, fed: int, channels: int) -> None:
        super().__init__()
        self.act = nn.SiLU()
        self.rbr_identity = nn.BatchNorm2d(fed, eps=1e-3) if fed == channels else None
        self.rbr_dense = nn.Sequential(
            nn.Conv2d(fed, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels, eps=1e-3)
        )
        self.rbr_1x1 = nn.Sequential(nn.Conv2d(fed, channels, 1, bias=False), nn.BatchNorm2d(channels, eps=1e-3))

    def forward(self, x: Tensor) -> Any:
        y = self.rbr_dense(x) + self.rbr_1x1(x)
        return self.act(y if self.rbr_identity is None else y + self.rbr_identity(x))


class SPPCSPC(nn.Module):
    def __init__(self, fed: int, channels: int) -> None:
        super().__init__()
        for name, width, kernel in (
            ("cv1", fed, 1),
            ("cv2", fed, 1),
            ("cv3", channels, 3),
            ("cv4", channels, 1),
            ("cv5", 4 * channels, 1),
            ("cv6", channels, 3),
            ("cv7", 2 * channels, 1),
        ):
            setattr(self, name, Conv(width, channels, kernel, 1, False))
        self.m = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13))

    def forward(self, x: Tensor) -> Any:
        near = self.cv4(self.cv3(self.cv1(x)))
        deep = self.cv6(self.cv5(torch.cat([near, *(pool(near) for pool in self.m)], 1)))
        return self.cv7(torch.cat((deep, self.cv2(x)), 1))


class ImplicitA(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.implicit = nn.Parameter(torch.randn(1, channels, 1, 1) * 0.2)


class ImplicitM(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.implicit = nn.Parameter(1 + torch.randn(1, channels, 1, 1) * 0.2)


class IDetect(nn.Module):
    def __init__(self, classes: int, anchors_px: Tensor, channels: list[int]) -> None:
        super().__init__()
        self.nc = classes
        self.stride = torch.tensor([8.0, 16.0, 32.0])
        self.register_buffer("anchors", anchors_px / self.stride.view(3, 1, 1))
        self.m = nn.ModuleList(nn.Conv2d(c, 3 * (5 + classes), 1) for c in channels)
        self.ia = nn.ModuleList(ImplicitA(c) for c in channels)
        self.im = nn.ModuleList(ImplicitM(3 * (5 + classes)) for _ in channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """The raw output of every level, ``[B, 3 * (5 + classes), H, W]``."""
        parts: Any = zip(features, self.m, self.ia, self.im, strict=True)
        return [conv(x + added.implicit) * factor.implicit for x, conv, added, factor in parts]


class Model(nn.Module):
    """As released; the activation of every batch norm is made to matter."""

    def __init__(self, architecture: Architecture, classes: int) -> None:
        super().__init__()
        channels = architecture.out_channels()
        self.names = [f"class {i}" for i in range(classes - 1)] + ["person"]
        self.sources = [layer.inputs(i) for i, layer in enumerate(architecture.layers)]
        self.heads = architecture.heads
        layers: list[nn.Module] = []
        for index, layer in enumerate(architecture.layers):
            fed = sum(3 if source < 0 else channels[source] for source in layer.inputs(index))
            match layer.kind:
                case Kind.CONV if index in architecture.heads and not architecture.leaky:
                    layers.append(RepConv(fed, layer.channels))
                case Kind.CONV:
                    layers.append(Conv(fed, layer.channels, layer.kernel, layer.stride, architecture.leaky))
                case Kind.SPP:
                    layers.append(SPPCSPC(fed, layer.channels))
                case Kind.HALVE:
                    layers.append(nn.MaxPool2d(2, 2))
                case Kind.POOL:
                    layers.append(nn.MaxPool2d(layer.kernel, 1, layer.kernel // 2))
                case Kind.DOUBLE:
                    layers.append(nn.Upsample(None, 2, "nearest"))
                case Kind.CONCAT:
                    layers.append(nn.Identity())
        anchors = torch.tensor(architecture.anchors).float()
        layers.append(IDetect(classes, anchors, [channels[head] for head in architecture.heads]))
        self.model = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.8, 1.6)
                nn.init.normal_(module.bias, 0, 0.2)
                nn.init.normal_(module.running_mean, 0, 0.1)
                nn.init.uniform_(module.running_var, 0.1, 0.4)

    def forward(self, x: Tensor) -> list[Tensor]:
        done: list[Tensor] = []
        for layer, sources in zip(self.model, self.sources, strict=False):
            done.append(layer(torch.cat([x if source < 0 else done[source] for source in sources], 1)))
        found: list[Tensor] = self.model[-1]([done[head] for head in self.heads])
        return found


@contextmanager
def _claimed() -> Iterator[None]:
    """The modules that the released pickles name, while one is written."""
    homes = {"models.yolo": (Model, IDetect), "models.common": (Conv, RepConv, SPPCSPC, ImplicitA, ImplicitM)}
    for name, classes in homes.items():
        module = types.ModuleType(name)
        for cls in classes:
            cls.__module__ = name
            setattr(module, cls.__name__, cls)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in homes:
            del sys.modules[name]


def save_as_released(model: Model, path: Path, *, key: str = "model") -> Path:
    """Write the whole object, as ``train.py`` does."""
    with _claimed():
        torch.save({"epoch": -1, "best_fitness": None, "model": None, "optimizer": None, key: model}, path)
    return path
