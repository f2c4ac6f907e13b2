"""Any torch module as an engine: the reference the others are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from models.runtime.engine import Array, EngineDescription, EngineError, TensorSpec
from models.runtime.feeds import NamedTensors, check_feeds, zeros

__all__ = ["TorchEngine"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine(NamedTensors):
    """Runs a module; inputs go in by position in the order of the specs.

    Args:
        module: gives one tensor or a tuple of them.
        inputs, outputs: names, dtypes and shapes as the module has them.
        device: where it runs, ``cpu`` or ``cuda:0``.
        precision: ``fp32``, or ``bf16`` / ``fp16`` by autocast.
        name: of the model, for the description.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        device: str = "cpu",
        precision: str = "fp32",
        name: str = "",
    ) -> None:
        if precision not in _DTYPES:
            raise EngineError(f"torch: expected a precision of {', '.join(_DTYPES)}, got {precision!r}")
        self._device = torch.device(device)
        self._module = module.eval().to(self._device)
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        self._precision = precision
        self._name = name or type(module).__name__

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        checked = check_feeds(self._inputs, feeds)
        tensors = [torch.from_numpy(array).to(self._device) for array in checked.values()]
        mixed = self._precision != "fp32"
        try:
            with (
                torch.inference_mode(),
                torch.autocast(self._device.type, _DTYPES[self._precision] if mixed else None, enabled=mixed),
            ):
                results = self._module(*tensors)
        except RuntimeError as error:
            raise EngineError(f"torch: {error}") from error
        results = (results,) if isinstance(results, torch.Tensor) else tuple(results)
        if len(results) != len(self._outputs):
            raise EngineError(f"torch: expected {len(self._outputs)} outputs, got {len(results)}")
        return {
            spec.name: np.asarray(result.float().cpu().numpy(), spec.dtype)
            for spec, result in zip(self._outputs, results, strict=True)
        }

    def warm_up(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.run(zeros(self._inputs, shapes))

    def describe(self) -> EngineDescription:
        threads = torch.get_num_threads() if self._device.type == "cpu" else None
        device = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "CPU"
        return EngineDescription("torch", torch.__version__, device, self._precision, threads, self._name)
