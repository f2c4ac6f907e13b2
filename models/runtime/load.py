"""The choice of an engine. It never falls back silently: what runs, and why, is logged."""

from __future__ import annotations

from pathlib import Path

import onnx
import structlog

from models.runtime.engine import Engine, EngineError
from models.runtime.processor import available_threads, has_bf16, installed

__all__ = ["choose_backend", "load_engine"]

log = structlog.get_logger(__name__)

_BACKENDS = ("tensorrt", "openvino", "onnxruntime")
_PRECISIONS = {
    "tensorrt": ("fp16", "fp32"),
    "openvino": ("fp32", "bf16", "fp16", "int8"),
    "onnxruntime": ("fp32", "int8"),
}


def load_engine(
    model: Path,
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    cache_dir: Path | None = None,
    streams: int = 1,
) -> Engine:
    """An engine for an ONNX file.

    Args:
        model: the file. Where it has eight-bit layers they run with eight bits in OpenVINO and ONNX
            Runtime, and ``precision`` is that of the others.
        backend: ``auto``, ``tensorrt``, ``openvino`` or ``onnxruntime``. ``auto`` takes TensorRT where
            there is an NVIDIA GPU and the package, else OpenVINO where it is installed, else ONNX Runtime.
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16`` or ``int8``. ``auto`` is fp16 in TensorRT, bf16 in
            OpenVINO on a processor that has it, else fp32.
        threads: of a CPU engine; all cores by default.
        cache_dir: for compiled engines. Without one they are compiled anew at each start.
        streams: runs at once, OpenVINO only.

    Raises:
        EngineError: not installed, no such file, or the backend cannot do that precision.
    """
    if not model.is_file():
        raise EngineError(f"no model at {model}")
    if streams < 1 or (threads is not None and threads < 1):
        raise EngineError(f"expected at least one thread and one stream, got {threads} and {streams}")
    chosen, why = choose_backend(backend)
    eight_bit = _has_eight_bit(model)
    _check_precision(chosen, precision, eight_bit=eight_bit, model=model)
    engine = _make(chosen, model, precision, threads or available_threads(), cache_dir, streams, eight_bit)
    says = engine.describe()
    log.info(
        "engine.loaded",
        model=says.model,
        backend=says.backend,
        version=says.version,
        device=says.device,
        precision=says.precision,
        threads=says.threads,
        why=why,
    )
    return engine


def choose_backend(backend: str = "auto") -> tuple[str, str]:
    """The backend that will run, and why. Raises EngineError for one that is not known."""
    if backend in _BACKENDS:
        return backend, "configured"
    if backend != "auto":
        raise EngineError(f"expected a backend of auto, {', '.join(_BACKENDS)}, got {backend!r}")
    if installed("tensorrt"):
        from models.runtime.tensorrt_engine import has_gpu

        if has_gpu():
            return "tensorrt", "an NVIDIA GPU and TensorRT are there"
        reason = "TensorRT is installed but no NVIDIA GPU answers"
    else:
        reason = "TensorRT is not installed"
    if installed("openvino"):
        return "openvino", reason
    return "onnxruntime", f"{reason}, neither is OpenVINO (pip install tapetum[openvino] is faster)"


def _check_precision(backend: str, precision: str, *, eight_bit: bool, model: Path) -> None:
    known = _PRECISIONS[backend]
    if precision not in ("auto", *known):
        raise EngineError(f"{backend}: expected a precision of auto, {', '.join(known)}, got {precision!r}")
    if precision == "int8" and not eight_bit:
        raise EngineError(f"{model.name} has no eight-bit layers; export it with precision int8")
    if backend == "tensorrt" and eight_bit:
        raise EngineError(f"{model.name} has eight-bit layers made for processors; give TensorRT the fp32 file")


def _make(
    backend: str, model: Path, precision: str, threads: int, cache_dir: Path | None, streams: int, eight_bit: bool
) -> Engine:
    if backend == "tensorrt":
        from models.runtime.tensorrt_engine import TensorRtEngine

        return TensorRtEngine(model, precision="fp16" if precision == "auto" else precision, cache_dir=cache_dir)
    if backend == "openvino":
        from models.runtime.openvino_engine import OpenVinoEngine

        floats = ("bf16" if has_bf16() else "fp32") if precision in {"auto", "int8"} else precision
        folder = cache_dir / "openvino" if cache_dir else None
        return OpenVinoEngine(
            model, threads=threads, precision=floats, streams=streams, cache_dir=folder, eight_bit=eight_bit
        )
    from models.runtime.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, threads=threads, precision="int8" if eight_bit else "fp32")


def _has_eight_bit(model: Path) -> bool:
    try:
        graph = onnx.load(model, load_external_data=False).graph
    except Exception as error:  # protobuf's decoder raises what it likes
        raise EngineError(f"{model} is not an ONNX file: {error}") from None
    return any(node.op_type == "DequantizeLinear" for node in graph.node)
