"""ONNX files in half precision, for engines that take their precision from the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.runtime.engine import EngineError

__all__ = ["half_precision"]

_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_LARGEST = float(np.finfo(np.float16).max)


def half_precision(model: Path) -> Any:
    """The model with the network in fp16; inputs, outputs and the tail behind the last heavy layer stay fp32.

    The tail is where coordinates are decoded or vectors are normalised: eleven bits of a coordinate
    are whole pixels, so it is worth its few microseconds.

    Raises:
        EngineError: the model has eight-bit layers, or constants that fp16 cannot hold.
    """
    loaded = onnx.shape_inference.infer_shapes(onnx.load(model))
    graph = loaded.graph
    if any(node.op_type == "QuantizeLinear" for node in graph.node):
        raise EngineError(f"{model.name} has eight-bit layers; give the fp32 file")
    body = _body(graph)
    floats = {value.name for value in (*graph.input, *graph.value_info, *graph.output) if _is_float(value)}
    constants = {constant.name: constant for constant in graph.initializer}
    halves = {
        output for index in body for output in graph.node[index].output if output in floats
    }  # what the body makes
    nodes: list[Any] = []
    cast: dict[str, str] = {}

    def converted(name: str, kind: int) -> str:
        """The name of the same values as fp16 or fp32; a cast the first time."""
        suffix = "half" if kind == TensorProto.FLOAT16 else "float"
        if name not in cast:
            cast[name] = f"{name}_{suffix}"
            nodes.append(helper.make_node("Cast", [name], [cast[name]], f"{cast[name]}/Cast", to=kind))
        return cast[name]

    for index, node in enumerate(graph.node):
        for place, name in enumerate(node.input):
            if index in body and name in constants and _wants_half(node, place, constants[name]):
                node.input[place] = _half_constant(graph, constants, name)
            elif index in body and name in floats and name not in halves:
                node.input[place] = converted(name, TensorProto.FLOAT16)
            elif index not in body and name in halves:
                node.input[place] = converted(name, TensorProto.FLOAT)
        if index in body:
            _half_attributes(node)
        nodes.append(node)
    for output in graph.output:
        if output.name in halves:
            nodes.append(_float_output(nodes, output.name))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    del graph.value_info[:]
    _drop_unused(graph)
    onnx.checker.check_model(loaded, full_check=True)
    return loaded


def _float_output(nodes: list[Any], name: str) -> Any:
    """A cast at the end, where a heavy layer's own result is an output of the model."""
    inner = f"{name}_inner"
    for node in nodes:
        for names in (node.input, node.output):
            for place, used in enumerate(names):
                if used == name:
                    names[place] = inner
    return helper.make_node("Cast", [inner], [name], f"{name}/Cast", to=TensorProto.FLOAT)


def _body(graph: Any) -> set[int]:
    """Numbers of the nodes up to the last heavy layer of each path."""
    feeds_heavy: set[str] = set()
    body = set()
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if node.op_type in _HEAVY or feeds_heavy & set(node.output):
            feeds_heavy.update(node.input)
            body.add(index)
    return body


def _is_float(value: Any) -> bool:
    return bool(value.type.tensor_type.elem_type == TensorProto.FLOAT)


def _wants_half(node: Any, place: int, constant: Any) -> bool:
    # The scales of Resize are numbers about the picture, float32 by definition.
    return constant.data_type == TensorProto.FLOAT and not (node.op_type == "Resize" and place > 0)


def _half_constant(graph: Any, constants: dict[str, Any], name: str) -> str:
    half = f"{name}_half"
    if half not in constants:
        constants[half] = numpy_helper.from_array(_half_array(constants[name], name), half)
        graph.initializer.append(constants[half])
    return half


def _half_array(tensor: Any, name: str) -> Any:
    values = numpy_helper.to_array(tensor)
    if np.abs(values, where=np.isfinite(values), out=np.zeros_like(values)).max(initial=0) > _LARGEST:
        raise EngineError(f"{name} holds values that fp16 cannot")
    return values.astype(np.float16)


def _half_attributes(node: Any) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
            attribute.t.CopyFrom(numpy_helper.from_array(_half_array(attribute.t, node.name)))


def _drop_unused(graph: Any) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
