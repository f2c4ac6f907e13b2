"""What every inference engine can do, whichever library runs underneath."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["Engine", "EngineDescription", "EngineError", "TensorSpec"]

Array = npt.NDArray[Any]


class EngineError(RuntimeError):
    """An engine cannot be had or cannot run; the message says what to install or to do."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, dtype and shape of an input or output; a dynamic axis is None."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """Which engine runs, as the log, the API and the dashboard say it."""

    backend: str  # torch | onnxruntime | openvino | tensorrt
    version: str
    device: str
    precision: str  # fp32 | bf16 | fp16 | int8
    threads: int | None
    model: str


@runtime_checkable
class Engine(Protocol):
    """A compiled network with named inputs and outputs. The first axis of each is the batch and is dynamic."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once. Raises ValueError for a wrong name, dtype or shape, EngineError when the engine fails."""
        ...

    def warm_up(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Run on zeros of the given shapes, so that the first real call is not slow."""
        ...

    def describe(self) -> EngineDescription: ...
