"""OpenVINO on the CPU: bfloat16 where the processor has it, eight bits where the file has them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.runtime.engine import Array, EngineDescription, EngineError, TensorSpec
from models.runtime.feeds import NamedTensors, check_feeds, zeros
from models.runtime.signal_stack import signal_stack_kept

__all__ = ["OpenVinoEngine"]

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_MAX_SHAPES = 4


class OpenVinoEngine(NamedTensors):
    """An ONNX file in OpenVINO. Safe to run from several threads, `streams` of them at once.

    One compiled network takes every shape; `warm_up` compiles another one for exactly the shapes it
    is given, which runs some per cent faster. At most four of those are kept.

    Args:
        model: the file.
        threads: of all streams together.
        precision: of what is not eight bits in the file: ``fp32``, ``bf16`` or ``fp16``.
        streams: how many runs at once, each with its share of the threads. With as many streams as
            threads the frames of several cameras together finish sooner, each frame later.
        cache_dir: for compiled networks, so that the next start is quick.
        eight_bit: the file has eight-bit layers, for the description.
    """

    def __init__(
        self,
        model: Path,
        *,
        threads: int,
        precision: str,
        streams: int = 1,
        cache_dir: Path | None = None,
        eight_bit: bool = False,
    ) -> None:
        openvino = _import()
        self._core = openvino.Core()
        self._options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # Bound to processors, the threads of each process that computes here would be bound to the same ones.
            "ENABLE_CPU_PINNING": False,
        }
        if cache_dir is not None:
            cache_dir.mkdir(parents=True, exist_ok=True)
            self._options["CACHE_DIR"] = str(cache_dir)
        try:
            self._model = self._core.read_model(str(model))
            self._any_shape = _Compiled(self._core, self._model, self._options, streams)
        except RuntimeError as error:
            raise EngineError(f"openvino cannot load {model}: {error}") from None
        self._streams = streams
        self._inputs = tuple(_spec(port) for port in self._model.inputs)
        self._outputs = tuple(_spec(port) for port in self._model.outputs)
        self._exact: dict[tuple[tuple[int, ...], ...], _Compiled] = {}
        self._compiling = threading.Lock()
        self._description = EngineDescription(
            "openvino",
            openvino.get_version().split("-")[0],
            f"CPU ({self._core.get_property('CPU', 'FULL_DEVICE_NAME').strip()})",
            "int8" if eight_bit else precision,
            threads,
            model.stem,
        )

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        checked = check_feeds(self._inputs, feeds)
        key = tuple(array.shape for array in checked.values())
        compiled = self._exact.get(key, self._any_shape)
        try:
            results = compiled.run(list(checked.values()))
        except RuntimeError as error:
            raise EngineError(f"openvino: {error}") from None
        return {spec.name: result for spec, result in zip(self._outputs, results, strict=True)}

    def warm_up(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        feeds = check_feeds(self._inputs, zeros(self._inputs, shapes))
        key = tuple(array.shape for array in feeds.values())
        with self._compiling:
            if key not in self._exact:
                exact = self._compile_exact(feeds)
                if len(self._exact) >= _MAX_SHAPES:
                    self._exact.pop(next(iter(self._exact)))
                self._exact[key] = exact
        self.run(feeds)

    def describe(self) -> EngineDescription:
        return self._description

    def _compile_exact(self, feeds: Mapping[str, Array]) -> _Compiled:
        try:
            model = self._model.clone()
            model.reshape({name: list(array.shape) for name, array in feeds.items()})
            return _Compiled(self._core, model, self._options, self._streams)
        except RuntimeError as error:
            raise EngineError(f"openvino: {error}") from None


class _Compiled:
    """A compiled network and as many requests as may run at once."""

    def __init__(self, core: Any, model: Any, options: Mapping[str, Any], streams: int) -> None:
        with signal_stack_kept():
            compiled = core.compile_model(model, "CPU", dict(options))
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(streams):
            self._idle.put(compiled.create_infer_request())

    def run(self, arrays: list[Array]) -> list[Array]:
        request = self._idle.get()
        try:
            results = request.infer(arrays, share_inputs=True, share_outputs=True)
            return [np.array(value) for value in results.values()]  # the request's memory is used again
        finally:
            self._idle.put(request)


def _import() -> Any:
    try:
        import openvino
    except ImportError:
        raise EngineError("OpenVINO is not installed: pip install tapetum[openvino]") from None
    return openvino


def _spec(port: Any) -> TensorSpec:
    shape = tuple(axis.get_length() if axis.is_static else None for axis in port.partial_shape)
    return TensorSpec(port.any_name, np.dtype(port.element_type.to_dtype()), shape)
