"""The parts of a run: rates, groups, the step's guard, weights to start from, full disks, vectors of many samples."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.checkpoint import Checkpoint, save_checkpoint
from models.data.batch import TrainingBatch
from models.data.samples import ReidDataset
from models.training import TrainingError, embed_samples
from models.training.building import build_network, describe_run
from models.training.optimiser import create_optimiser, rate_factor, set_rates
from models.training.pretrained import load_pretrained, read_state
from models.training.recipes.schema import OptimiserOptions, Recipe, ScheduleOptions
from models.training.state import Place, write_state
from models.training.state import read_state as read_run_state
from models.training.stepping import Stepper, WeighedObjective
from models.types import Modality
from tests.support.training import draw_samples, one_thread, small_dataset, small_recipe

__all__ = ["one_thread"]

RELEASED = Path(__file__).parents[3] / "shared" / "weights" / "resnet50_imagenet_v1_fp16.pth"

STEPS = ScheduleOptions(kind="steps", warm_up_epochs=10, decay_epochs=(20, 50))
COSINE = ScheduleOptions(kind="cosine", final_factor=0.02)
FROZEN = ScheduleOptions(kind="steps", warm_up_epochs=1, frozen_trunk=0.03)


@pytest.mark.parametrize(
    ("schedule", "position", "trunk", "factor"),
    [
        (STEPS, 0.0, False, 0.01),
        (STEPS, 5.0, True, 0.505),
        (STEPS, 10.0, False, 1.0),
        (STEPS, 19.99, False, 1.0),
        (STEPS, 20.0, True, 0.1),
        (STEPS, 50.0, False, 0.01),
        (COSINE, 0.0, False, 1.0),
        (COSINE, 50.0, False, 0.51),
        (COSINE, 100.0, False, 0.02),
        (FROZEN, 2.9, True, 0.0),
        (FROZEN, 2.9, False, 1.0),
        (FROZEN, 3.0, True, 0.01),
        (FROZEN, 3.5, True, 0.505),
        (FROZEN, 4.0, True, 1.0),
    ],
)
def test_rate_of_100_epochs(schedule: ScheduleOptions, position: float, trunk: bool, factor: float) -> None:
    assert rate_factor(schedule, 100, position, trunk=trunk) == pytest.approx(factor)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_groups_hold_every_trained_parameter_once(kind: str, tmp_path: Path) -> None:
    network = build_network(small_recipe("cmft"), small_dataset(tmp_path, takes=1))
    options = OptimiserOptions(kind=kind, head_rate=0.1, trunk_rate=0.01, weight_decay=0.3)
    optimiser = create_optimiser(network, options)
    set_rates(optimiser, STEPS, 100, 30.0)
    trunk = {id(parameter) for parameter in network.trunk_parameters()}
    found = [(group, parameter) for group in optimiser.param_groups for parameter in group["params"]]
    assert {id(p) for _, p in found} == {id(p) for p in network.parameters() if p.requires_grad}
    assert len(found) == len({id(p) for _, p in found})
    for group, parameter in found:
        assert group["lr"] == pytest.approx(0.001 if id(parameter) in trunk else 0.01)
        assert group["weight_decay"] == (0.3 if parameter.dim() > 1 else 0.0)


def test_frozen_modules_learn_nothing(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path, takes=1)
    network = build_network(small_recipe("cmft", 'optimiser.frozen=["streams.visible"]'), dataset)
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert not any(name.startswith("streams.visible.") for name in learning)
    assert any(name.startswith("streams.infrared.") for name in learning)
    with pytest.raises(TrainingError, match=r"optimiser.frozen: the network has no module 'streams.third'"):
        build_network(small_recipe("cmft", 'optimiser.frozen=["streams.third"]'), dataset)


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1)


class Square:
    """The square of what the layer makes of the visible rows; infinite for rows that say so."""

    terms = ("square", "never")
    counterparts = False

    def __call__(self, network: Line, batch: TrainingBatch, wanted: frozenset[str]) -> dict[str, torch.Tensor]:
        assert wanted == {"square"}
        rows = batch.visible.flatten(1)[:, :1]
        network.norm(rows)
        return {"square": network.layer(rows).square().mean()}


def step_on(value: float, clip_norm: float = 0.0) -> tuple[Line, bool, dict[str, float], dict[str, torch.Tensor]]:
    network = Line()
    nn.init.ones_(network.layer.weight)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    module = WeighedObjective(network, Square())
    stepper = Stepper(module, network, optimiser, clip_norm=clip_norm, bf16=False, device=torch.device("cpu"))
    rows = torch.full((2, 3, 1, 1), value)
    result = stepper.step(TrainingBatch(rows, rows, torch.zeros(2, dtype=torch.int64)), {"square": 0.5, "never": 0.0})
    return network, result.taken, result.figures, before


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e30])
def test_step_that_is_not_finite_leaves_no_trace(value: float) -> None:
    network, taken, _, before = step_on(value)
    assert not taken
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, before[name]), name


def test_loss_is_weighed_and_gradients_are_clipped() -> None:
    network, taken, figures, before = step_on(2.0, clip_norm=0.5)
    assert taken
    assert figures["loss"] == pytest.approx(0.5 * figures["square"])
    assert figures["gradient_norm"] > 0.5
    moved = torch.cat([(p - before[f"layer.{n}"]).flatten() for n, p in network.layer.named_parameters()])
    assert float(moved.detach().norm()) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("half", [False, True])
def test_weights_of_either_kind_of_file_start_the_trunk(suffix: str, half: bool, tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path, takes=1)
    trunk = build_network(small_recipe("cmft"), dataset).stream(Modality.VISIBLE).state_dict()
    released = {k: (v + 0.25).half() if half and v.is_floating_point() else v for k, v in trunk.items()}
    path = tmp_path / f"released{suffix}"
    save_file(released, path) if suffix == ".safetensors" else torch.save({"state_dict": released}, path)
    network = build_network(small_recipe("cmft"), dataset)
    assert load_pretrained(network, (str(path),), None) == "released"
    for name, tensor in network.stream(Modality.INFRARED).state_dict().items():
        assert torch.equal(tensor, released[name].to(tensor.dtype)), name


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no weights", "expected nothing but weights"), (None, "cannot be read")],
)
def test_file_without_weights_is_refused(content: bytes | None, words: str, tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"file{suffix}"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(TrainingError, match=words):
            read_state(path)


def test_weights_of_another_trunk_are_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "resnet.pth")
    network = build_network(small_recipe("afen"), small_dataset(tmp_path, takes=1))
    with pytest.raises(TrainingError, match=r"resnet.pth: not the weights of a MobileNetV2"):
        load_pretrained(network, (str(tmp_path / "resnet.pth"),), None)


def test_a_checkpoint_of_ours_fills_all_it_has(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path, takes=1)
    alone = small_recipe("cmft", "network.options.fusion=false", "network.options.embedding='stream'")
    first = build_network(alone, dataset)
    plain = {**first.options, "identities": 0}
    state = {k: v + 0.25 for k, v in first.state_dict().items() if "classifier" not in k and v.is_floating_point()}
    state |= {k: v for k, v in first.state_dict().items() if not v.is_floating_point()}
    path = tmp_path / "first.safetensors"
    save_checkpoint(Checkpoint("cmft", plain, first.preprocessing, state, "first of two"), path)
    second = build_network(small_recipe("cmft"), dataset)
    before = {name: value.clone() for name, value in second.state_dict().items()}
    assert load_pretrained(second, (str(path),), None).startswith("first of two (")
    for name, value in second.state_dict().items():
        assert torch.equal(value, state.get(name, before[name])), name
    other = build_network(small_recipe("afen"), dataset)
    with pytest.raises(TrainingError, match=r"expected a checkpoint of afen .* got one of cmft"):
        load_pretrained(other, (str(path),), None)


def _checkpoint(path: Path, recipe: Recipe, dataset: ReidDataset, value: float) -> str:
    """All weights and statistics of one value."""
    network = build_network(recipe, dataset)
    state = {
        name: torch.full_like(tensor, value) if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
        if "classifier" not in name
    }
    options = {**network.options, "identities": 0}
    save_checkpoint(Checkpoint(network.name, options, network.preprocessing, state, path.stem), path)
    return str(path)


def test_several_checkpoints_start_from_their_mean(tmp_path: Path) -> None:
    dataset, recipe = small_dataset(tmp_path, takes=1), small_recipe("cmft")
    paths = [_checkpoint(tmp_path / f"seed-{seed}.safetensors", recipe, dataset, seed) for seed in (1, 2, 6)]
    network = build_network(recipe, dataset)
    told = load_pretrained(network, tuple(paths), None)
    assert re.fullmatch(r"the mean of seed-1 \(\w{12}\) and seed-2 \(\w{12}\) and seed-6 \(\w{12}\)", told)
    filled = {k: v for k, v in network.state_dict().items() if "classifier" not in k and v.is_floating_point()}
    assert filled
    assert all(bool((value == 3).all()) for value in filled.values())


def test_the_mean_of_two_networks_is_refused(tmp_path: Path) -> None:
    dataset, recipe = small_dataset(tmp_path, takes=1), small_recipe("cmft")
    one = _checkpoint(tmp_path / "one.safetensors", recipe, dataset, 1.0)
    plain = small_recipe("cmft", "network.options.fusion=false", "network.options.embedding='stream'")
    other = _checkpoint(tmp_path / "other.safetensors", plain, dataset, 1.0)
    network = build_network(recipe, dataset)
    with pytest.raises(TrainingError, match=r"the mean of .*one.*other.*: expected checkpoints of one network"):
        load_pretrained(network, (one, other), None)
    with pytest.raises(TrainingError, match=r"the mean of .*nowhere.safetensors"):
        load_pretrained(network, (one, str(tmp_path / "nowhere.safetensors")), None)


@pytest.mark.skipif(not RELEASED.is_file(), reason="the released ResNet-50 is not beside the repository")
def test_released_resnet_starts_a_trunk(tmp_path: Path) -> None:
    recipe = small_recipe("afen", "network.options={backbone='resnet50', stride_in_1x1=true, fem_width=32}")
    network = build_network(recipe, small_dataset(tmp_path, takes=1))
    before = network.trunk_parameters()[0].clone()
    load_pretrained(network, (str(RELEASED),), None)
    assert not torch.equal(network.trunk_parameters()[0], before)
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


FULL = """
import resource, sys
from pathlib import Path
import torch
from models.training import TrainingError
from models.training.state import Place, write_state
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_state(Path(sys.argv[1]), Place(step=2), {}, {"network": {"w": torch.ones(1_000_000)}})
except TrainingError as error:
    print(error)
"""


def test_full_disk_keeps_the_last_state(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    write_state(path, Place(step=1), {"recipe": "a"}, {"network": {"w": torch.ones(3)}})
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout
    assert "make room, and the same command goes on" in done.stdout
    place, found = read_run_state(path, {"recipe": "a"})
    assert place.step == 1
    assert found["network"]["w"].tolist() == [1, 1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("flip", [False, True])
def test_vectors_come_in_the_order_of_the_samples(flip: bool, tmp_path: Path) -> None:
    network = build_network(small_recipe("afen"), small_dataset(tmp_path, takes=1)).train()
    samples = draw_samples(tmp_path, (1, 2, 3), frames=2)
    shuffled = [samples[row] for row in np.random.default_rng(0).permutation(len(samples))]
    seen: list[float | None] = []
    vectors = embed_samples(
        network, shuffled, batch_size=2, flip=flip, frames=2, progress=lambda _, share: seen.append(share)
    )
    assert vectors.shape == (12, network.embedding_dim)
    assert network.training
    assert seen[-1] == 1.0
    for row, sample in enumerate(shuffled):
        alone = embed_samples(network, [sample], flip=flip, frames=2)
        np.testing.assert_allclose(vectors[row], alone[0], atol=1e-5)


def test_description_counts_what_a_run_would_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"batch.frames: expected 0, or network.options.frames .4., got 6"):
        describe_run(
            small_recipe("cmft", "network.options.frames=4", "batch.frames=6"), small_dataset(tmp_path / "clips")
        )
    found = describe_run(small_recipe("cmft", "training.epochs=7"), small_dataset(tmp_path))
    assert found["training_people_in_both_lights"] == 4
    assert found["validation_people"] == 4
    assert found["steps"] == 7 * 2
    assert "1 cross" in found["stages"]


@pytest.mark.parametrize("network", ["afen", "cmft", "tacafnet"])
def test_synchronised_batch_norms_embed_as_before(network: str, tmp_path: Path) -> None:
    built = build_network(small_recipe(network), small_dataset(tmp_path, takes=1)).eval()
    samples = draw_samples(tmp_path, (1, 2))
    before = embed_samples(built, samples)
    np.testing.assert_allclose(
        embed_samples(nn.SyncBatchNorm.convert_sync_batchnorm(built), samples), before, atol=1e-6
    )
