"""Vectors of many samples, for judging, calibration and reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.data.loading import test_batches
from models.data.samples import Sample
from models.registry import ReidNetwork
from models.types import Modality

__all__ = ["Progress", "embed_samples"]

Progress = Callable[[str, float | None], None]
"""Called with what is being done and the share done (None: not known)."""


def embed_samples(
    network: nn.Module,
    samples: Sequence[Sample],
    *,
    batch_size: int = 64,
    flip: bool = False,
    frames: int | None = None,
    device: torch.device | str | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> npt.NDArray[np.float32]:
    """Embed samples of both kinds of light as a query is embedded.

    Args:
        network: a `models.registry.ReidNetwork`; it computes in evaluation mode and is left in the mode it was in.
        flip: average with the mirror image's vector.
        frames: of a clip; None for as many as the network is made for. Networks of single pictures average.
        device: to compute on, where the network is moved; None for where it is.
        workers: processes that read pictures.
        progress: called after each batch.

    Returns:
        ``float32[len(samples), D]`` of unit length, rows in the order of `samples`.

    Raises:
        DataError: a picture cannot be read.
        ValueError: a number out of its range.
    """
    model = cast(ReidNetwork, network)
    if device is not None:
        network.to(device)
    where = next(network.parameters()).device
    vectors = np.empty((len(samples), model.embedding_dim), np.float32)
    rows_of: dict[Modality, list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        rows_of[sample.modality].append(row)
    was_training, done = network.training, 0
    network.eval()
    try:
        with torch.inference_mode():
            for modality, rows in rows_of.items():
                batches = test_batches(
                    [samples[row] for row in rows],
                    model.preprocessing,
                    frames=model.frames if frames is None else frames,
                    batch_size=batch_size,
                    workers=workers,
                )
                begin = 0
                for pictures in batches:
                    end = begin + len(pictures)
                    vectors[rows[begin:end]] = _embed(model, pictures.to(where), modality, flip).cpu().numpy()
                    begin, done = end, done + len(pictures)
                    if progress is not None:
                        progress("embedding", done / len(samples))
    finally:
        network.train(was_training)
    return vectors


def _embed(network: ReidNetwork, pictures: Tensor, modality: Modality, flip: bool) -> Tensor:
    vectors = network.embed(pictures, modality).float()
    if not flip:
        return vectors
    return nn.functional.normalize(vectors + network.embed(pictures.flip(-1), modality).float(), dim=1)
