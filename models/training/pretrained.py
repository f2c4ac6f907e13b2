"""What a trunk starts from: released weights, by name or as a file, or checkpoints of ours."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from models.registry import ReidNetwork
from models.reid.backbones.osnet import released_state
from models.training.errors import TrainingError
from models.training.openvino_ir import float_constants
from models.weights import WeightsError, fetch_weights, licence_of, list_weights

__all__ = ["NO_WEIGHTS", "load_pretrained", "read_state"]

NO_WEIGHTS = "none"
_BY_HAND = {
    "resnet50": "torchvision's ResNet-50, ImageNet (file resnet50-0676ba61.pth or resnet50-11ad3fa6.pth of "
    "download.pytorch.org/models)",
    "person-reidentification-retail-0287": "Open Model Zoo's person-reidentification-retail-0287 (its .xml, with the "
    ".bin beside it, of FP32)",
    "crossvit_small_240": "timm's crossvit_small_240.in1k (model.safetensors on Hugging Face)",
    "crossvit_tiny_240": "timm's crossvit_tiny_240.in1k (model.safetensors on Hugging Face)",
}


def load_pretrained(network: nn.Module, sources: tuple[str, ...], cache_dir: Path | None) -> str:
    """Fill the network's trunk.

    A checkpoint of ours fills everything it has (heads, necks) in a network of the same kind, so that one recipe goes
    on where another ended; layers that it lacks stay as they are. Of several the mean of their weights is taken
    (Wortsman et al., "Model soups", 2022): good where they were trained from one start, by other seeds, say.

    Args:
        sources: a name that `models.weights.fetch_weights` knows, a path, ``none`` or nothing; or several paths of
            checkpoints of ours.
        cache_dir: for weights that are fetched.

    Returns:
        What the trunk starts from, for the model card.

    Raises:
        TrainingError: the weights are not there or do not fit; the message says what to do.
    """
    if len(sources) > 1:
        return _go_on_from_mean(network, sources)
    source = sources[0]
    if source in ("", NO_WEIGHTS):
        return "random weights"
    if source in list_weights():
        if cache_dir is None:
            raise TrainingError(f"{source}: expected a folder to keep fetched weights in, got none")
        try:
            path = fetch_weights(source, cache_dir)
        except WeightsError as error:
            raise TrainingError(f"{error}; or train from random weights with --pretrained {NO_WEIGHTS}") from error
    elif source in _BY_HAND:
        raise TrainingError(
            f"this recipe starts from {_BY_HAND[source]}: fetch it and give it with --pretrained FILE, or train from "
            f"random weights with --pretrained {NO_WEIGHTS}"
        )
    else:
        path = Path(source)
    try:
        checkpoint = _checkpoint_of_ours(path)
        if checkpoint is not None:
            _go_on_from(network, checkpoint)
            return _told(checkpoint)
        cast(ReidNetwork, network).load_pretrained(read_state(path))
    except ValueError as error:
        raise TrainingError(f"{path}: {error}") from error
    return f"{source} ({licence_of(source)})" if source in list_weights() else path.stem


def _checkpoint_of_ours(path: Path) -> Checkpoint | None:
    try:
        return load_checkpoint(path) if path.suffix == ".safetensors" else None
    except CheckpointError:
        return None


def _go_on_from_mean(network: nn.Module, sources: tuple[str, ...]) -> str:
    try:
        checkpoints = [load_checkpoint(Path(source)) for source in sources]
        _go_on_from(network, _mean(checkpoints))
    except ValueError as error:
        raise TrainingError(f"the mean of {', '.join(sources)}: {error}") from error
    return f"the mean of {' and '.join(map(_told, checkpoints))}"


def _mean(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """Weights and running statistics are averaged; counters are the first one's. Raises ValueError."""
    first = checkpoints[0]
    if any(dict(one.options) != dict(first.options) or one.state.keys() != first.state.keys() for one in checkpoints):
        raise ValueError("expected checkpoints of one network, all with the same options and layers")
    state = {
        name: torch.stack([one.state[name].float() for one in checkpoints]).mean(dim=0)
        if value.is_floating_point()
        else value
        for name, value in first.state.items()
    }
    return replace(first, state=state)


def _told(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.label} ({checkpoint.model_hash[:12]})"


def _go_on_from(network: nn.Module, checkpoint: Checkpoint) -> None:
    own = network.state_dict()
    kept = {k: v.float() if v.is_floating_point() else v for k, v in checkpoint.state.items() if k in own}
    lost = sorted(checkpoint.state.keys() - own.keys())
    wrong = [name for name, value in kept.items() if value.shape != own[name].shape]
    if checkpoint.architecture != cast(ReidNetwork, network).name or lost or wrong:
        raise ValueError(
            f"expected a checkpoint of {cast(ReidNetwork, network).name} with layers this one has too, got one of "
            f"{checkpoint.architecture}; not to be placed: {', '.join([*lost, *wrong][:3]) or 'none'}"
        )
    network.load_state_dict({**own, **kept})


def read_state(path: Path) -> Mapping[str, Tensor]:
    """Tensors by name out of a ``.safetensors`` file or a torch file (read without running code), as float32.

    An OpenVINO IR (``.xml``) has no names of ours: it is taken for ``person-reidentification-retail-0287``.

    Raises:
        TrainingError: no such file, or none that holds tensors by name.
        ValueError: another network's IR.
    """
    if path.suffix == ".xml":
        return released_state(float_constants(path))
    try:
        if path.suffix == ".safetensors":
            found: object = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        # What torch says of it runs over a page and advises to run the code that may be inside.
        raise TrainingError(f"{path}: expected nothing but weights, as torch or safetensors write them") from error
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise TrainingError(f"{path}: expected tensors by name, got {type(found).__name__}")
    return {
        str(name).removeprefix("module."): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in found.items()
    }
