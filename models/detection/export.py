"""YOLOv7 as an ONNX file that every engine runs alike: persons only, suppression in the graph.

Input ``images`` ``float32[B, 3, H, W]``, RGB, 0 to 1, H and W any multiples of 32. Output ``output0``
``float32[B, 300, 6]``: x1 y1 x2 y2 score class, in pixels of the input, rows of zeros where there are
fewer persons. The file carries the metadata that lets ``ultralytics.YOLO("file.onnx")`` run it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import Tensor, nn

from models.detection.graph import Array, GraphWriter, Range
from models.detection.suppression import MAX_PERSONS, OUTPUT, Suppression, suppress
from models.detection.yolov7 import STRIDES, FusedConv, Kind, SppCspc, YoloV7

__all__ = ["EXPORTER_VERSION", "INPUT", "export_onnx", "shared_ranges"]

EXPORTER_VERSION = 1
INPUT = "images"


def export_onnx(
    network: YoloV7,
    path: Path,
    *,
    person_class: int = 0,
    suppression: Suppression | None = None,
    ranges: Mapping[str, Range] | None = None,
    source: str = "",
) -> None:
    """Write the network; the file appears whole or not at all.

    Args:
        network: fused.
        person_class: which of its classes is a person; the others are left out of the graph.
        ranges: of the tensors named ``images``, ``layer_N`` and ``layer_N_cvM``; given, the convolutions
            before the detection heads run with eight bits.
        source: what the weights came from, for the metadata.
    """
    writer = GraphWriter(shared_ranges(network, ranges) if ranges else None)
    boxes, scores = _decode(writer, network, _body(writer, network), person_class)
    suppress(writer, boxes, scores, suppression or Suppression())
    model = writer.model(
        {INPUT: ("batch", 3, "height", "width")},
        {OUTPUT: ("batch", MAX_PERSONS, 6)},
        _metadata(network.architecture.name, source, eight_bit=bool(ranges)),
    )
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        onnx.save(model, scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def shared_ranges(network: YoloV7, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """One range for all tensors that meet in a concatenation, so that joining them costs no rounding."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while (above := leader.setdefault(name, name)) != name:
            name = above
        return name

    for index, layer in enumerate(network.architecture.layers):
        name, fed = f"layer_{index}", [_tensor(source) for source in layer.inputs(index)]
        if layer.kind is Kind.SPP:
            leader[find(f"{name}_joined")] = find(f"{name}_cv4")
            leader[find(f"{name}_both")] = leader[find(f"{name}_cv6")] = find(f"{name}_cv2")
        elif layer.kind is not Kind.CONV:
            for source in fed:
                leader[find(source)] = find(name)
    joined: dict[str, Range] = {}
    for name, values in ranges.items():
        top = find(name)
        joined[top] = joined[top].join(values) if top in joined else values
    return {name: joined[find(name)] for name in (*ranges, *leader) if find(name) in joined}


def _tensor(layer: int) -> str:
    return f"layer_{layer}" if layer >= 0 else INPUT


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().float().numpy()
    return array


def _body(writer: GraphWriter, network: YoloV7) -> dict[int, str]:
    for index, (layer, module) in enumerate(zip(network.architecture.layers, network.layers, strict=True)):
        name, fed = f"layer_{index}", [_tensor(source) for source in layer.inputs(index)]
        if isinstance(module, FusedConv):
            _convolution(writer, fed[0], module, name)
        elif isinstance(module, SppCspc):
            _spp(writer, fed[0], module, name)
        elif layer.kind is Kind.CONCAT:
            writer.node("Concat", [writer.rounded(tensor) for tensor in fed], name, axis=1)
        elif layer.kind is Kind.DOUBLE:
            sizes = writer.constant([1, 1, 2, 2], np.float32)
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            writer.node("Resize", [writer.rounded(fed[0]), "", sizes], name, **how)
        else:
            kernel = 2 if layer.kind is Kind.HALVE else layer.kernel
            _pool(writer, fed[0], kernel, name, halve=layer.kind is Kind.HALVE)
    return {index: _tensor(index) for index in network.architecture.heads}


def _convolution(writer: GraphWriter, tensor: str, module: FusedConv, name: str) -> str:
    conv = module.conv
    assert conv.bias is not None  # noqa: S101 - FusedConv always has one
    raw = writer.convolution(tensor, _numpy(conv.weight), _numpy(conv.bias), f"{name}_conv", stride=conv.stride[0])
    if module.leaky:
        return writer.node("LeakyRelu", [raw], name, alpha=0.1)
    return writer.node("Mul", [raw, writer.node("Sigmoid", [raw])], name)


def _pool(writer: GraphWriter, tensor: str, kernel: int, name: str, *, halve: bool = False) -> str:
    pad = 0 if halve else kernel // 2
    shape = {"kernel_shape": [kernel] * 2, "strides": [2 if halve else 1] * 2, "pads": [pad] * 4}
    return writer.node("MaxPool", [writer.rounded(tensor)], name, **shape)


def _spp(writer: GraphWriter, tensor: str, spp: SppCspc, name: str) -> str:
    def conv(part: str, fed: str) -> str:
        module = getattr(spp, part)
        return _convolution(writer, fed, module, name if part == "cv7" else f"{name}_{part}")

    near = conv("cv4", conv("cv3", conv("cv1", tensor)))
    pools = [_pool(writer, near, kernel, f"{name}_pool{kernel}") for kernel in (5, 9, 13)]
    joined = writer.node("Concat", [writer.rounded(near), *pools], f"{name}_joined", axis=1)
    deep = conv("cv6", conv("cv5", joined))
    parts = [writer.rounded(tensor) for tensor in (deep, conv("cv2", tensor))]
    return conv("cv7", writer.node("Concat", parts, f"{name}_both", axis=1))


def _decode(writer: GraphWriter, network: YoloV7, features: Mapping[int, str], person_class: int) -> tuple[str, str]:
    """Boxes ``[B, A, 4]`` as corners in pixels and scores ``[B, A]`` of every anchor."""
    boxes, scores = [], []
    for level, (head, layer) in enumerate(zip(network.heads, network.architecture.heads, strict=True)):
        assert isinstance(head, nn.Conv2d)  # noqa: S101 - YoloV7 builds them
        weight, bias = _person_head(head, network.class_count, person_class)
        raw = writer.convolution(features[layer], weight, bias, f"head_{level}", eight_bit=False)
        anchors = _numpy(network.anchors_px[level])
        box, score = _decode_level(writer, raw, STRIDES[level], anchors)
        boxes.append(box)
        scores.append(score)
    return writer.node("Concat", boxes, "boxes", axis=1), writer.node("Concat", scores, "scores", axis=1)


def _person_head(head: nn.Conv2d, class_count: int, person_class: int) -> tuple[Array, Array]:
    """Six outputs an anchor: x, y, width, height, objectness, person."""
    assert head.bias is not None  # noqa: S101 - YoloV7 builds them
    weight, bias = _numpy(head.weight), _numpy(head.bias)
    outputs = 5 + class_count
    kept = [anchor * outputs + output for anchor in range(3) for output in (0, 1, 2, 3, 4, 5 + person_class)]
    return weight[kept], bias[kept]


def _decode_level(writer: GraphWriter, raw: str, stride: int, anchors: Array) -> tuple[str, str]:
    # [B, 18, H, W] -> [B, 3, 6, HW]
    y = writer.node("Sigmoid", [writer.node("Reshape", [raw, writer.constant([0, 3, 6, -1], np.int64)])])
    shares = writer.constant([2, 2, 1, 1], np.int64)
    parts = [f"level_{stride}_{part}" for part in ("centre", "size", "objectness", "person")]
    centre, size, objectness, person = writer.nodes("Split", [y, shares], parts, axis=2)
    offset = writer.node("Sub", [_cells(writer, raw), writer.constant(0.5, np.float32)])
    two = writer.constant(2.0, np.float32)
    centre = writer.node("Add", [writer.node("Mul", [centre, two]), offset])
    centre = writer.node("Mul", [centre, writer.constant(float(stride), np.float32)])
    doubled = writer.node("Mul", [size, two])
    # Half the size at once: (2y)^2 * anchor / 2
    halves = writer.constant(anchors.reshape(1, 3, 2, 1) / 2, np.float32)
    half = writer.node("Mul", [writer.node("Mul", [doubled, doubled]), halves])
    corners = [writer.node("Sub", [centre, half]), writer.node("Add", [centre, half])]
    box = writer.node("Concat", corners, axis=2)  # [B, 3, 4, HW]
    box = writer.node("Transpose", [box], perm=[0, 1, 3, 2])
    box = writer.node("Reshape", [box, writer.constant([0, -1, 4], np.int64)])
    score = writer.node("Mul", [objectness, person])  # [B, 3, 1, HW]
    return box, writer.node("Reshape", [score, writer.constant([0, -1], np.int64)])


def _cells(writer: GraphWriter, raw: str) -> str:
    """Column and row of every cell, ``[1, 1, 2, H * W]``, whatever H and W are."""
    shape = writer.node("Shape", [raw])
    axis = writer.constant(0, np.int64)
    height = writer.node("Gather", [shape, writer.constant(2, np.int64)], axis=0)
    width = writer.node("Gather", [shape, writer.constant(3, np.int64)], axis=0)
    step = writer.constant(1, np.int64)
    number = writer.node("Range", [axis, writer.node("Mul", [height, width]), step])
    row = writer.node("Div", [number, width])
    column = writer.node("Sub", [number, writer.node("Mul", [row, width])])
    to = writer.constant([1, 1, 1, -1], np.int64)
    both = [writer.node("Reshape", [writer.node("Cast", [n], to=1), to]) for n in (column, row)]
    return writer.node("Concat", both, axis=2)


def _metadata(name: str, source: str, *, eight_bit: bool) -> dict[str, str]:
    values: dict[str, Any] = {
        "description": f"{name}, persons only, {'int8' if eight_bit else 'fp32'}",
        "author": "YOLOv7 authors; exported by Tapetum",
        "license": "GPL-3.0",
        "source": source,
        "exporter": EXPORTER_VERSION,
        "task": "detect",
        "stride": 32,
        "batch": 1,
        "imgsz": [640, 640],
        "names": {0: "person"},
        "end2end": True,
        "channels": 3,
        "args": {"dynamic": True, "batch": 1, "half": False, "nms": True},
    }
    return {key: str(value) for key, value in values.items()}
