"""Ranges of a network's activations: what turns it into eight bits, measured once and shipped.

A table belongs to one set of weights, known by its SHA-256. It was measured on street video, photographs,
and grey, darkened, noisy and inverted copies of them, at two sizes; whoever converts those weights needs
no pictures and gets the same file.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor, nn

from models.detection.export import INPUT
from models.detection.graph import Array, Range
from models.detection.yolov7 import SppCspc, YoloV7

__all__ = ["measure_ranges", "shipped_ranges", "write_ranges"]

_FORMAT = 1


def measure_ranges(network: YoloV7, pictures: Iterable[Array]) -> dict[str, Range]:
    """The smallest and the largest value of every tensor that a convolution reads.

    Nothing is cut off: on YOLOv7 narrower ranges (means of maxima, quantiles) lost persons at the
    threshold, these did not.

    Args:
        pictures: ``float32[B, 3, H, W]``, RGB, 0 to 1.
    """
    found: dict[str, Range] = {}

    def note(name: str, tensor: Tensor) -> None:
        seen = Range(float(tensor.min()), float(tensor.max()))
        found[name] = found[name].join(seen) if name in found else seen

    def hook(name: str, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        note(name, output)

    handles = []
    for index, module in enumerate(network.layers):
        named = {f"layer_{index}": module}
        if isinstance(module, SppCspc):
            named |= {f"layer_{index}_{part}": conv for part, conv in module.named_children()}
        for name, part_module in named.items():
            if not isinstance(part_module, nn.Identity):
                handles.append(part_module.register_forward_hook(functools.partial(hook, name)))
    try:
        with torch.inference_mode():
            for picture in pictures:
                note(INPUT, torch.from_numpy(picture))
                network.features(torch.from_numpy(picture))
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise ValueError("measure_ranges: expected at least one picture, got none")
    # Pictures are codes / 255, so this rounding of the input loses nothing.
    found[INPUT] = Range(0.0, 1.0)
    return found


def write_ranges(path: Path, weights_sha256: str, ranges: dict[str, Range]) -> None:
    """Write a table that `shipped_ranges` reads."""
    values = {name: [round(r.low, 4), round(r.high, 4)] for name, r in ranges.items()}
    rows = ",\n".join(f'    "{name}": {json.dumps(pair)}' for name, pair in values.items())
    text = f'{{\n  "format": {_FORMAT},\n  "weights_sha256": "{weights_sha256}",\n  "ranges": {{\n{rows}\n  }}\n}}\n'
    path.write_text(text, encoding="utf-8")


def shipped_ranges(weights_sha256: str) -> dict[str, Range] | None:
    """The table that comes with the package for these weights, or None."""
    for file in resources.files("models.detection").iterdir():
        if file.name.endswith("_ranges.json"):
            table = json.loads(file.read_text(encoding="utf-8"))
            if table["format"] == _FORMAT and table["weights_sha256"] == weights_sha256:
                return {name: Range(low, high) for name, (low, high) in table["ranges"].items()}
    return None
