"""The columns of docs/networks.md that can be computed are computed here."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models.registry import create_model, list_models
from models.reid.backbones import create_backbone
from models.types import Modality

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def rows() -> list[list[str]]:
    """Of the table of costs, cell by cell."""
    section = PAGE.read_text(encoding="utf-8").split("## What they cost")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def options(cell: str) -> dict[str, object]:
    """``a=1, b=true, c=word`` -> the options."""
    found: dict[str, object] = {}
    for pair in filter(None, cell.split(", ")):
        name, value = pair.split("=")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def multiply_accumulates(run: Callable[[], object]) -> float:
    """Plain attention, because fused kernels are not counted everywhere."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("row", rows(), ids=lambda row: " ".join(row[:2]))
def test_the_table_of_costs_is_true(row: list[str]) -> None:
    name, chosen, size, vector, size_m, macs_g = row
    with torch.device("meta"):
        model = create_model(name.strip("`"), **options(chosen)).eval()
        height, width = model.preprocessing.height_px, model.preprocessing.width_px
        picture = torch.empty(1, 3, height, width)
        macs = {multiply_accumulates(lambda m=m: model.embed(picture, m)) for m in Modality}
    assert size == f"{height}x{width}"
    assert vector == str(model.embedding_dim)
    assert size_m == f"{parameters(model) / 1e6:.3f}"
    assert {macs_g} == {f"{value / 1e9:.3f}" for value in macs}


def test_every_network_stands_on_the_page_with_its_defaults() -> None:
    assert {row[0].strip("`") for row in rows() if not row[1]} == set(list_models())


@pytest.mark.parametrize(
    ("height", "width", "last_stride", "macs"),
    [(288, 144, 1, 5.130e9), (256, 128, 1, 4.053e9), (256, 128, 2, 2.669e9)],
)
def test_the_trunk_costs_what_the_field_counts(height: int, width: int, last_stride: int, macs: float) -> None:
    with torch.device("meta"):
        trunk = create_backbone("resnet50", last_stride=last_stride, stride_in_1x1=False)
        counted = multiply_accumulates(lambda: trunk(torch.empty(1, 3, height, width)))
    assert parameters(trunk) == 23_508_032
    assert counted == pytest.approx(macs, rel=1e-4)
