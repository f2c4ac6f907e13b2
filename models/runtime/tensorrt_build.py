"""Building TensorRT engines from ONNX, and keeping them.

The functions take the TensorRT module as an argument: TensorRT for RTX, which builds without a GPU,
has the same interface, so that the same code is run on machines that have none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.runtime.engine import EngineError

__all__ = ["EngineKey", "Shapes", "build_engine", "default_profile", "read_cached", "write_cached"]

_MAGIC = b"tapetum-engine-1\n"
_BATCHES = (1, 4, 16)
_SIDES_PX = (96, 640, 1920)


@dataclass(frozen=True, slots=True)
class Shapes:
    """The smallest, the usual and the largest shape of an input."""

    smallest: tuple[int, ...]
    usual: tuple[int, ...]
    largest: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What a built engine is good for; anything else is built anew."""

    onnx_sha256: str
    precision: str
    gpu: str
    driver: str
    version: str

    def path(self, cache_dir: Path) -> Path:
        text = "\n".join((self.onnx_sha256, self.precision, self.gpu, self.driver, self.version))
        return cache_dir / "tensorrt" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.engine"


def default_profile(shape: tuple[int | None, ...]) -> Shapes:
    """For an input whose dynamic axes are the batch, the last two (pixels) or counts."""

    def choose(index: int) -> tuple[int, ...]:
        sizes: list[int] = []
        for axis, length in enumerate(shape):
            pixels = axis >= len(shape) - 2 and len(shape) >= 4
            sizes.append(length if length is not None else (_SIDES_PX if pixels else _BATCHES)[index])
        return tuple(sizes)

    return Shapes(choose(0), choose(1), choose(2))


def build_engine(
    trt: Any, onnx_bytes: bytes, profile: Mapping[str, Shapes], configure: Callable[[Any], None] | None = None
) -> bytes:
    """A serialised, strongly typed engine: every layer in the precision the file gives it.

    Args:
        trt: the module ``tensorrt``, or ``tensorrt_rtx_bindings``.
        onnx_bytes: the model.
        profile: shapes of the inputs with dynamic axes; `default_profile` for those not named.
        configure: last changes to the builder configuration.

    Raises:
        EngineError: the file does not parse or no engine comes out of it.
    """
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx_bytes):
        errors = "; ".join(str(parser.get_error(index).desc()) for index in range(parser.num_errors))
        raise EngineError(f"TensorRT cannot parse the model: {errors}")
    config = builder.create_builder_config()
    shapes = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        dynamic = tuple(None if axis < 0 else int(axis) for axis in tensor.shape)
        chosen = profile.get(tensor.name, default_profile(dynamic))
        shapes.set_shape(tensor.name, chosen.smallest, chosen.usual, chosen.largest)
    config.add_optimization_profile(shapes)
    if configure is not None:
        configure(config)
    engine = builder.build_serialized_network(network, config)
    if engine is None or engine is False:
        raise EngineError("TensorRT could not build an engine; its messages above say why")
    return bytes(memoryview(engine))


def read_cached(path: Path) -> bytes | None:
    """A kept engine, or None when there is none or it is damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    head, digest, engine = content[: len(_MAGIC)], content[len(_MAGIC) :][:32], content[len(_MAGIC) + 32 :]
    if head != _MAGIC or hashlib.sha256(engine).digest() != digest:
        return None
    return engine


def write_cached(path: Path, engine: bytes) -> None:
    """Keep an engine; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(_MAGIC + hashlib.sha256(engine).digest() + engine)
    scratch.replace(path)
