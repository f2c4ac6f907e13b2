"""TensorRT 10 and 11 on an NVIDIA GPU; the engine is built on the first start and kept."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import structlog
import torch

from models.runtime.engine import Array, EngineDescription, EngineError, TensorSpec
from models.runtime.feeds import NamedTensors, check_feeds, zeros
from models.runtime.half import half_precision
from models.runtime.tensorrt_build import EngineKey, Shapes, build_engine, read_cached, write_cached

__all__ = ["TensorRtEngine", "has_gpu"]

log = structlog.get_logger(__name__)

_INSTALL = "pip install tapetum[gpu]"


def has_gpu() -> bool:
    """Whether torch reaches an NVIDIA GPU; it holds the tensors that TensorRT works on."""
    return torch.cuda.is_available()


class TensorRtEngine(NamedTensors):
    """An ONNX file in TensorRT. Runs from several threads take turns.

    Args:
        model: fp32 file; it is turned into fp16 here where that is asked for.
        precision: ``fp16`` or ``fp32``.
        cache_dir: where built engines are kept, by GPU, driver, TensorRT version and digest of the file.
        profile: shapes to build for, by input.
    """

    def __init__(
        self,
        model: Path,
        *,
        precision: str = "fp16",
        cache_dir: Path | None = None,
        profile: Mapping[str, Shapes] | None = None,
    ) -> None:
        trt = _import()
        if not has_gpu():
            raise EngineError(f"TensorRT needs an NVIDIA GPU and a torch that reaches it ({_INSTALL})")
        self._trt = trt
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._lock = threading.Lock()
        self._engine = self._load(model, precision, cache_dir, profile or {})
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EngineError("TensorRT could not make an execution context; is the GPU's memory full?")
        specs = [self._spec(self._engine.get_tensor_name(i)) for i in range(self._engine.num_io_tensors)]
        self._inputs = tuple(s for s in specs if self._mode(s.name) == trt.TensorIOMode.INPUT)
        self._outputs = tuple(s for s in specs if self._mode(s.name) == trt.TensorIOMode.OUTPUT)
        device = torch.cuda.get_device_name()
        self._description = EngineDescription("tensorrt", trt.__version__, device, precision, None, model.stem)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        checked = check_feeds(self._inputs, feeds)
        with self._lock, torch.cuda.stream(self._stream):
            kept = [self._bind_input(name, array) for name, array in checked.items()]
            results = {spec.name: self._bind_output(spec) for spec in self._outputs}
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise EngineError("TensorRT failed to run; its messages above say why")
            arrays = {name: tensor.cpu().numpy() for name, tensor in results.items()}
            self._stream.synchronize()
            del kept  # alive until the stream was done
        return arrays

    def warm_up(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.run(zeros(self._inputs, shapes))

    def describe(self) -> EngineDescription:
        return self._description

    def _load(self, model: Path, precision: str, cache_dir: Path | None, profile: Mapping[str, Shapes]) -> Any:
        runtime = self._trt.Runtime(self._trt.Logger(self._trt.Logger.ERROR))
        key = _key(self._trt, model, precision)
        path = key.path(cache_dir) if cache_dir is not None else None
        if path is not None and (kept := read_cached(path)) is not None:
            engine = runtime.deserialize_cuda_engine(kept)
            if engine is not None:
                return engine
            log.warning("engine.cache_refused", path=str(path), reason="TensorRT cannot load it; building anew")
        log.info("engine.building", model=model.stem, gpu=key.gpu, note="minutes, on the first start only")
        network = half_precision(model) if precision == "fp16" else onnx.load(model)
        built = build_engine(self._trt, network.SerializeToString(), profile)
        if path is not None:
            write_cached(path, built)
        engine = runtime.deserialize_cuda_engine(built)
        if engine is None:
            raise EngineError("TensorRT cannot load the engine it has just built")
        return engine

    def _mode(self, name: str) -> Any:
        return self._engine.get_tensor_mode(name)

    def _spec(self, name: str) -> TensorSpec:
        shape = tuple(None if axis < 0 else int(axis) for axis in self._engine.get_tensor_shape(name))
        dtype = np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name)))
        return TensorSpec(name, dtype, shape)

    def _bind_input(self, name: str, array: Array) -> torch.Tensor:
        if not self._context.set_input_shape(name, array.shape):
            smallest, _, largest = (tuple(s) for s in self._engine.get_tensor_profile_shape(name, 0))
            raise ValueError(f"{name}: expected a shape from {smallest} to {largest}, got {array.shape}")
        tensor = torch.from_numpy(array).cuda(non_blocking=True)
        self._context.set_tensor_address(name, tensor.data_ptr())
        return tensor

    def _bind_output(self, spec: TensorSpec) -> torch.Tensor:
        shape = tuple(self._context.get_tensor_shape(spec.name))
        tensor = torch.empty(shape, dtype=torch.from_numpy(np.empty(0, spec.dtype)).dtype, device="cuda")
        self._context.set_tensor_address(spec.name, tensor.data_ptr())
        return tensor


def _import() -> Any:
    try:
        import tensorrt
    except ImportError as error:
        raise EngineError(f"TensorRT is not installed: {_INSTALL} ({error})") from None
    return tensorrt


def _key(trt: Any, model: Path, precision: str) -> EngineKey:
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return EngineKey(digest, precision, torch.cuda.get_device_name(), _driver(), trt.__version__)


def _driver() -> str:
    """The version of the NVIDIA driver; the CUDA version it supports where NVML is missing."""
    try:
        import pynvml  # type: ignore[import-untyped]

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:  # no NVML in this container: the CUDA version is the next best
        return f"cuda {torch.version.cuda}"
