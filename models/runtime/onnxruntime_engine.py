"""ONNX Runtime on the CPU: runs everywhere, in the precision of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from models.runtime.engine import Array, EngineDescription, EngineError, TensorSpec
from models.runtime.feeds import NamedTensors, check_feeds, zeros

__all__ = ["OnnxRuntimeEngine"]

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


class OnnxRuntimeEngine(NamedTensors):
    """An ONNX file in ONNX Runtime. Safe to run from several threads.

    Args:
        model: the file.
        threads: of each run.
        precision: what the file computes in, for the description.
    """

    def __init__(self, model: Path, *, threads: int, precision: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would take the processor from decoders and trackers between frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base but Exception
            raise EngineError(f"onnxruntime cannot load {model}: {error}") from None
        self._inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self._outputs = tuple(_spec(node) for node in self._session.get_outputs())
        self._description = EngineDescription(
            "onnxruntime", onnxruntime.__version__, "CPU", precision, threads, model.stem
        )

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        checked = check_feeds(self._inputs, feeds)
        names = [spec.name for spec in self._outputs]
        try:
            results = self._session.run(names, checked)
        except Exception as error:  # as above
            raise EngineError(f"onnxruntime: {error}") from None
        return dict(zip(names, results, strict=True))

    def warm_up(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.run(zeros(self._inputs, shapes))

    def describe(self) -> EngineDescription:
        return self._description


def _spec(node: Any) -> TensorSpec:
    if node.type not in _DTYPES:
        raise EngineError(f"onnxruntime: {node.name} is a {node.type}, expected one of {', '.join(_DTYPES)}")
    shape = tuple(axis if isinstance(axis, int) and axis > 0 else None for axis in node.shape)
    return TensorSpec(node.name, np.dtype(_DTYPES[node.type]), shape)
