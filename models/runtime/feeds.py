"""What every engine checks before it runs, so that a mistake reads the same whichever library is underneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.runtime.engine import TensorSpec

__all__ = ["NamedTensors", "check_feeds", "zeros"]

Array = npt.NDArray[Any]


class NamedTensors:
    """The inputs and outputs of an engine, as `models.runtime.engine.Engine` wants them."""

    _inputs: tuple[TensorSpec, ...]
    _outputs: tuple[TensorSpec, ...]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs


def check_feeds(specs: Sequence[TensorSpec], feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The feeds in the order of the inputs, contiguous. Raises ValueError for a wrong name, dtype or shape."""
    names = [spec.name for spec in specs]
    if set(feeds) != set(names):
        raise ValueError(f"inputs: expected {names}, got {sorted(feeds)}")
    checked = {}
    for spec in specs:
        array = feeds[spec.name]
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{spec.name}: expected a numpy array, got {type(array).__name__}")
        if array.dtype != spec.dtype:
            raise ValueError(f"{spec.name}: expected dtype {spec.dtype}, got {array.dtype}")
        fits = len(array.shape) == len(spec.shape) and all(
            want is None or want == got for want, got in zip(spec.shape, array.shape, strict=True)
        )
        if not fits or 0 in array.shape:
            want = tuple("N" if axis is None else axis for axis in spec.shape)
            raise ValueError(f"{spec.name}: expected shape {want} without empty axes, got {array.shape}")
        checked[spec.name] = np.ascontiguousarray(array)
    batches = {name: array.shape[0] for name, array in checked.items()}
    if len(set(batches.values())) > 1:
        raise ValueError(f"inputs: expected one batch size, got {batches}")
    return checked


def zeros(specs: Sequence[TensorSpec], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Feeds of zeros. Raises ValueError when a shape is missing."""
    missing = [spec.name for spec in specs if spec.name not in shapes]
    if missing:
        raise ValueError(f"warm_up: expected a shape for {missing}, got {sorted(shapes)}")
    return {spec.name: np.zeros(shapes[spec.name], spec.dtype) for spec in specs}
