"""One file that holds all a network needs to be used: weights, configuration, preprocessing, calibration.

The file is safetensors (no code can hide in it) with one JSON document in its header. What decides a
vector (weights as stored, network, configuration, preprocessing) is hashed; the hash names the
model in every gallery record, so that vectors of two models are never compared.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from models.calibration import Calibration
from models.files import replaced_whole
from models.preprocessing import Preprocessing
from models.registry import create_model

__all__ = ["FORMAT_VERSION", "Checkpoint", "CheckpointError", "load_checkpoint", "save_checkpoint"]

FORMAT_VERSION = 1
_KEY = "tapetum"
_MAX_HEADER_BYTES = 64 * 2**20


class CheckpointError(ValueError):
    """The file is no checkpoint of ours, is damaged, or is newer than this program."""


@dataclass(frozen=True)
class Checkpoint:
    """A network at rest.

    Attributes:
        architecture: name for `models.registry.create_model`.
        options: its configuration, plain JSON values.
        preprocessing: how crops become its input.
        state: tensors by name, in the precision they are stored in.
        label: what people are shown, one line.
        low_precision: it was shown that vectors rank alike in bfloat16 or float16; engines that are
            left the choice calculate in float32 otherwise.
        calibration: from cosine to probability, for each pair of modalities.
        tracklet_frames: pictures of a tracklet that one vector is made of, for networks of single pictures; the field
            takes 6. A network of clips has its own number in its options.
        trained_on: the data set's ``name`` and ``options``; empty where nothing was trained.
        association_distance: largest cosine distance at which two crops of one camera, seconds apart, may be
            taken for one person by a tracker.
        model_card: Markdown: data, recipe, figures, limits.
        licences: of everything the weights derive from.
    """

    architecture: str
    options: Mapping[str, Any]
    preprocessing: Preprocessing
    state: Mapping[str, Tensor] = field(repr=False)
    label: str
    low_precision: bool = False
    calibration: Calibration = field(default_factory=Calibration)
    association_distance: float = 0.3
    tracklet_frames: int = 6
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    model_card: str = field(default="", repr=False)
    licences: tuple[str, ...] = ()
    model_hash: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model_hash", _model_hash(self))

    def build(self) -> nn.Module:
        """The network with its weights, float32, in evaluation mode. CheckpointError if they do not fit."""
        try:
            network = create_model(self.architecture, preprocessing=self.preprocessing, **self.options)
            network.load_state_dict(dict(self.state))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"checkpoint {self.label!r} does not build: {error}") from error
        return network.eval()

    def half(self) -> Checkpoint:
        """The same with floating tensors in float16: half the size and another model hash."""
        halved = {k: v.half() if v.is_floating_point() else v for k, v in self.state.items()}
        beyond = [k for k, v in halved.items() if v.is_floating_point() and not torch.isfinite(v).all()]
        if beyond:
            raise ValueError(f"expected values that fit into float16, got larger ones in {beyond[:3]}")
        return replace(self, state=halved)


def _model_hash(checkpoint: Checkpoint) -> str:
    digest = hashlib.sha256()
    what = {
        "architecture": checkpoint.architecture,
        "options": dict(checkpoint.options),
        "preprocessing": checkpoint.preprocessing.to_dict(),
    }
    digest.update(json.dumps(what, sort_keys=True).encode())
    for name in sorted(checkpoint.state):
        tensor = checkpoint.state[name].detach().cpu().contiguous()
        digest.update(f"\0{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write the file, whole or not at all. The same checkpoint gives the same bytes."""
    header = {
        "format_version": FORMAT_VERSION,
        "architecture": checkpoint.architecture,
        "options": dict(checkpoint.options),
        "preprocessing": checkpoint.preprocessing.to_dict(),
        "calibration": checkpoint.calibration.to_dict(),
        "label": checkpoint.label,
        "low_precision": checkpoint.low_precision,
        "association_distance": checkpoint.association_distance,
        "tracklet_frames": checkpoint.tracklet_frames,
        "trained_on": dict(checkpoint.trained_on),
        "model_card": checkpoint.model_card,
        "licences": list(checkpoint.licences),
        "model_hash": checkpoint.model_hash,
    }
    # Streams that start from the same weights may share memory, which safetensors refuses.
    tensors = {k: v.detach().cpu().clone().contiguous() for k, v in checkpoint.state.items()}
    data = save(tensors, metadata={_KEY: json.dumps(header, sort_keys=True)})
    with replaced_whole(path) as scratch:
        scratch.write_bytes(data)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises:
        CheckpointError: no such file, not a checkpoint, damaged, or of a newer format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    header = _header(data, path)
    version = header.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{path}: expected a format version, got {version!r}")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: has format {version}, this program reads up to {FORMAT_VERSION}; update tapetum"
        )
    try:
        checkpoint = Checkpoint(
            architecture=str(header["architecture"]),
            options=dict(header["options"]),
            preprocessing=Preprocessing.from_dict(header["preprocessing"]),
            state=load(data),
            label=str(header["label"]),
            low_precision=bool(header["low_precision"]),
            association_distance=float(header["association_distance"]),
            tracklet_frames=int(header["tracklet_frames"]),
            trained_on=dict(header["trained_on"]),
            calibration=Calibration.from_dict(header["calibration"]),
            model_card=str(header["model_card"]),
            licences=tuple(str(licence) for licence in header["licences"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged: {type(error).__name__}: {error}") from error
    if checkpoint.model_hash != header.get("model_hash"):
        raise CheckpointError(f"{path}: damaged: weights or configuration do not match the hash in its header")
    return checkpoint


def _header(data: bytes, path: Path) -> dict[str, Any]:
    """Our JSON document out of safetensors' own header (8 bytes of length, then JSON)."""
    if len(data) < 8:
        raise CheckpointError(f"{path}: not a checkpoint: {len(data)} bytes")
    (length,) = struct.unpack("<Q", data[:8])
    if not 2 <= length <= min(_MAX_HEADER_BYTES, len(data) - 8):
        raise CheckpointError(f"{path}: not a checkpoint: no safetensors header, or the file is cut short")
    try:
        outer = json.loads(data[8 : 8 + length])
        inner = outer.get("__metadata__", {}).get(_KEY)
        header = None if inner is None else json.loads(inner)
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a checkpoint: no safetensors header") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of tapetum")
    return header
