"""Re-identification networks as ONNX: one file for each kind of light and length of clip."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from models.checkpoint import Checkpoint
from models.files import replaced_whole
from models.registry import ReidNetwork
from models.types import Modality

__all__ = ["EXPORT_VERSION", "INPUT", "OUTPUT", "export_embedder"]

EXPORT_VERSION = 1
"""Rises when the graph changes for the same checkpoint; part of cached files' names."""
INPUT = "crops"
OUTPUT = "vector"
_OPSET = 17


class _EmbedOne(nn.Module):
    """`embed` for one modality, so that the other stream's weights stay out of the graph."""

    def __init__(self, network: ReidNetwork, modality: Modality) -> None:
        super().__init__()
        self.network = cast(nn.Module, network)
        self.modality = modality

    def forward(self, crops: Tensor) -> Tensor:
        return cast(ReidNetwork, self.network).embed(crops, self.modality)


def export_embedder(checkpoint: Checkpoint, modality: Modality, frames: int, path: Path) -> None:
    """Write one graph: input ``crops``, output ``vector`` ``float32[B, D]`` of unit length; B is dynamic.

    Args:
        frames: 1 for single pictures, ``float32[B, 3, H, W]``; N for clips, ``float32[B, N, 3, H, W]``. A network of
            clips takes its own N; one of single pictures any, its vector being the mean of the frames'.

    Raises:
        ValueError: a clip length that the network does not take.
    """
    network = cast(ReidNetwork, checkpoint.build())
    if frames < 1 or (network.frames > 1 and frames not in (1, network.frames)):
        expected = f"1 or {network.frames}" if network.frames > 1 else "1 or more"
        raise ValueError(f"expected {expected} frames, got {frames}")
    size = (3, checkpoint.preprocessing.height_px, checkpoint.preprocessing.width_px)
    example = torch.zeros((2, *size) if frames == 1 else (2, frames, *size))
    with replaced_whole(path) as scratch, warnings.catch_warnings(), torch.inference_mode():
        # The exporter that traces needs nothing beyond torch; it warns that there is a newer one, and
        # that our shape checks are fixed at export, which is what we want.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _EmbedOne(network, modality).eval(),
            (example,),
            str(scratch),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
