"""A small writer of ONNX graphs, with the choice of eight-bit convolutions.

Names are given by us and not by an exporter, so a calibration table that speaks of ``layer_17``
means the same tensor on every machine and with every version of torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["OPSET", "GraphWriter", "Range"]

OPSET = 17
_IR_VERSION = 8

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Range:
    """What the values of a tensor lie between; zero is always within."""

    low: float
    high: float

    def join(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))

    def quantiser(self) -> tuple[np.float32, np.uint8]:
        """Scale and zero point of ``uint8``: value = (code - zero point) * scale."""
        low, high = min(self.low, 0.0), max(self.high, 1e-6)
        scale = np.float32((high - low) / 255)
        return scale, np.uint8(np.clip(round(-low / float(scale)), 0, 255))


class GraphWriter:
    """Collects nodes and constants; every method returns the name of what it made.

    Args:
        ranges: of the tensors that are to be rounded to eight bits where a convolution reads them.
    """

    def __init__(self, ranges: Mapping[str, Range] | None = None) -> None:
        self._ranges = dict(ranges or {})
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._rounded: dict[str, str] = {}
        self._count = 0

    @property
    def eight_bit(self) -> bool:
        return bool(self._ranges)

    def node(self, op: str, inputs: Sequence[str], name: str | None = None, **attributes: Any) -> str:
        return self.nodes(op, inputs, (name or self._fresh(op),), **attributes)[0]

    def nodes(self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Sequence[str]:
        self._nodes.append(helper.make_node(op, list(inputs), list(outputs), f"{outputs[0]}/{op}", **attributes))
        return outputs

    def constant(self, value: npt.ArrayLike, dtype: Any, name: str | None = None) -> str:
        array = np.asarray(value, dtype)
        name = name or f"const_{array.dtype}_{array.shape}_{array.tobytes().hex()}"
        if len(name) > 120:
            name = self._fresh("const")
        self._constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def rounded(self, tensor: str) -> str:
        """The tensor through ``uint8`` and back where a range is known for it, else itself."""
        if tensor not in self._ranges:
            return tensor
        if tensor not in self._rounded:
            scale, zero = self._ranges[tensor].quantiser()
            how = [
                self.constant(scale, np.float32, f"{tensor}_scale"),
                self.constant(zero, np.uint8, f"{tensor}_zero"),
            ]
            codes = self.node("QuantizeLinear", [tensor, *how], f"{tensor}_codes")
            self._rounded[tensor] = self.node("DequantizeLinear", [codes, *how], f"{tensor}_rounded")
        return self._rounded[tensor]

    def convolution(
        self, tensor: str, weight: Array, bias: Array, name: str, *, stride: int = 1, eight_bit: bool = True
    ) -> str:
        """A convolution that keeps the size, or divides it by the stride."""
        pad = weight.shape[2] // 2
        shape = {"kernel_shape": list(weight.shape[2:]), "strides": [stride] * 2, "pads": [pad] * 4}
        if not eight_bit or tensor not in self._ranges:
            parts = [self.constant(weight, np.float32, f"{name}_w"), self.constant(bias, np.float32, f"{name}_b")]
            return self.node("Conv", [tensor, *parts], name, **shape)
        weights, scales = self._rounded_weight(weight, f"{name}_w")
        biases = self._rounded_bias(bias, scales * self._ranges[tensor].quantiser()[0], f"{name}_b")
        return self.node("Conv", [self.rounded(tensor), weights, biases], name, **shape)

    def _rounded_weight(self, weight: Array, name: str) -> tuple[str, Array]:
        """Symmetric ``int8`` with one scale for each output channel."""
        scales = np.maximum(np.abs(weight).max((1, 2, 3)), 1e-12).astype(np.float32) / np.float32(127)
        codes = np.clip(np.rint(weight / scales.reshape(-1, 1, 1, 1)), -127, 127).astype(np.int8)
        parts = [
            self.constant(codes, np.int8, f"{name}_codes"),
            self.constant(scales, np.float32, f"{name}_scale"),
            self.constant(np.zeros(len(scales)), np.int8, f"{name}_zero"),
        ]
        return self.node("DequantizeLinear", parts, name, axis=0), scales

    def _rounded_bias(self, bias: Array, scales: Array, name: str) -> str:
        codes = np.clip(np.rint(bias / scales), -(2**31) + 1, 2**31 - 1).astype(np.int32)
        parts = [
            self.constant(codes, np.int32, f"{name}_codes"),
            self.constant(scales, np.float32, f"{name}_scale"),
        ]
        return self.node("DequantizeLinear", parts, name, axis=0)

    def model(
        self,
        inputs: Mapping[str, Sequence[str | int]],
        outputs: Mapping[str, Sequence[str | int]],
        metadata: Mapping[str, str],
    ) -> Any:
        """The finished, checked model; all inputs and outputs are ``float32``."""

        def described(tensors: Mapping[str, Sequence[str | int]]) -> list[Any]:
            return [helper.make_tensor_value_info(k, TensorProto.FLOAT, list(v)) for k, v in tensors.items()]

        graph = helper.make_graph(
            self._nodes, "tapetum", described(inputs), described(outputs), list(self._constants.values())
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION, producer_name="tapetum"
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem.lower()}_{self._count}"
