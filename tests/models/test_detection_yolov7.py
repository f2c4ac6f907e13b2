"""The architecture, and released checkpoints folded into it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.detector import letterboxed, weights_cache
from support.released import Model, save_as_released

from models.detection.checkpoint import CheckpointError, load_yolov7
from models.detection.yolov7 import YOLOV7, YOLOV7_TINY, Architecture, YoloV7
from models.weights import fetch_weights


def parameters(network: YoloV7) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("architecture", "millions"), [(YOLOV7, 36.9), (YOLOV7_TINY, 6.2)])
def test_size_is_that_of_the_paper(architecture: Architecture, millions: float) -> None:
    """Table 1 of the paper, parameters after re-parameterisation."""
    with torch.device("meta"):
        network = YoloV7(architecture)
    assert round(parameters(network) / 1e6, 1) == millions


@pytest.mark.parametrize("architecture", [YOLOV7, YOLOV7_TINY])
def test_strides(architecture: Architecture) -> None:
    with torch.device("meta"):
        network = YoloV7(architecture, class_count=1)
        features = network.features(torch.zeros(1, 3, 64, 96))
    assert [tuple(features[head].shape[2:]) for head in architecture.heads] == [(8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize("shape", [(1, 3, 100, 96), (1, 1, 64, 64), (3, 64, 64)])
def test_wrong_pictures_are_refused(shape: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = YoloV7(YOLOV7_TINY)
        with pytest.raises(ValueError, match="multiples of 32"):
            network(torch.zeros(shape))


@pytest.mark.parametrize("architecture", [YOLOV7, YOLOV7_TINY], ids=lambda a: a.name)
def test_folding_changes_nothing(architecture: Architecture, tmp_path: Path) -> None:
    """Batch norm, RepConv branches and implicit knowledge, against the unfolded network."""
    torch.manual_seed(3)
    model = Model(architecture, classes=2).eval()
    released = load_yolov7(save_as_released(model, tmp_path / "x.pt"))
    assert released.class_names == ("class 0", "person")
    assert released.network.architecture is architecture
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        features = released.network.features(images)
        expected = model(images)
        for level, (head, layer) in enumerate(zip(released.network.heads, architecture.heads, strict=True)):
            got = head(features[layer])
            scale = expected[level].abs().max()
            assert scale > 0.1
            assert torch.allclose(got, expected[level], atol=float(scale) * 1e-4)


def test_the_moving_average_is_preferred(tmp_path: Path) -> None:
    model = Model(YOLOV7_TINY, classes=1)
    assert load_yolov7(save_as_released(model, tmp_path / "x.pt", key="ema")).class_names == ("person",)


def test_other_networks_are_refused(tmp_path: Path) -> None:
    model = Model(YOLOV7_TINY, classes=1)
    model.model = model.model[:50]
    with pytest.raises(CheckpointError, match="106 layers of YOLOv7 or the 78"):
        load_yolov7(save_as_released(model, tmp_path / "x.pt"))


def test_another_activation_is_refused(tmp_path: Path) -> None:
    model = Model(YOLOV7_TINY, classes=1)
    model.model[3].act = torch.nn.ReLU()
    with pytest.raises(CheckpointError, match="expected activation LeakyReLU, got ReLU"):
        load_yolov7(save_as_released(model, tmp_path / "x.pt"))


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    model = Model(YOLOV7_TINY, classes=1)
    torch.nn.init.constant_(model.model[3].conv.weight, float("nan"))
    with pytest.raises(CheckpointError, match="not finite"):
        load_yolov7(save_as_released(model, tmp_path / "x.pt"))


def test_boxes_are_decoded_as_in_the_paper() -> None:
    """One anchor by hand: (2 sigmoid - 0.5 + cell) * stride and (2 sigmoid)^2 * anchor."""
    network = YoloV7(YOLOV7_TINY, class_count=1).eval()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    network.heads[1].bias.data.view(3, 6)[2] = torch.tensor([1.0, -1.0, 0.5, -0.5, 2.0, 3.0])
    with torch.inference_mode():
        found = network(torch.zeros(1, 3, 64, 96))
    first = 3 * 8 * 12 + 2 * 4 * 6  # level of stride 16, third anchor, 4 x 6 cells
    x, y, width, height, objectness, person = found[0, first + 1 * 6 + 4]  # row 1, column 4
    sigmoid = torch.sigmoid(torch.tensor([1.0, -1.0, 0.5, -0.5, 2.0, 3.0]))
    assert torch.allclose(x, (2 * sigmoid[0] - 0.5 + 4) * 16)
    assert torch.allclose(y, (2 * sigmoid[1] - 0.5 + 1) * 16)
    assert torch.allclose(width, (2 * sigmoid[2]) ** 2 * 59)
    assert torch.allclose(height, (2 * sigmoid[3]) ** 2 * 119)
    assert torch.allclose(torch.stack((objectness, person)), sigmoid[4:])


def test_the_released_weights_find_the_persons() -> None:
    released = load_yolov7(fetch_weights("yolov7", weights_cache()))
    assert len(released.class_names) == 80
    with torch.inference_mode():
        rows = released.network(torch.from_numpy(letterboxed("bus.jpg", 640, 480)))[0]
    person, bus = (rows[:, 4] * rows[:, 5 + released.class_names.index(name)] for name in ("person", "bus"))
    assert float(person.max()) > 0.9
    assert float(bus.max()) > 0.9
