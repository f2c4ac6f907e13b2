"""Tables of ranges: measured as the largest and the smallest value, shipped by digest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.detector import letterboxed

from models.detection import calibration
from models.detection.calibration import measure_ranges, shipped_ranges, write_ranges
from models.detection.graph import Range
from models.detection.yolov7 import YOLOV7, YOLOV7_TINY, YoloV7

RELEASED = "28b671a62f5d926263cb43636a30e5db384de7f7059e262dfe4d4617a1f05fed"


def test_ranges_are_the_extremes_over_all_pictures() -> None:
    torch.manual_seed(0)
    network = YoloV7(YOLOV7_TINY, class_count=1).eval()
    pictures = [letterboxed(name, 64, 96) for name in ("bus.jpg", "zidane.jpg")]
    ranges = measure_ranges(network, pictures)
    with torch.inference_mode():
        for index in (0, 8, 30, 39, 76):
            seen = [network.features(torch.from_numpy(picture))[index] for picture in pictures]
            expected = Range(float(min(x.min() for x in seen)), float(max(x.max() for x in seen)))
            assert ranges[f"layer_{index}"] == expected
    assert ranges["images"] == Range(0.0, 1.0)
    assert not any(module._forward_hooks for module in network.modules())


def test_no_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        measure_ranges(YoloV7(YOLOV7_TINY, class_count=1), [])


def test_the_shipped_table_covers_every_convolution() -> None:
    table = shipped_ranges(RELEASED)
    assert table is not None
    assert {f"layer_{i}" for i, layer in enumerate(YOLOV7.layers) if layer.channels} <= set(table)
    assert {f"layer_51_cv{i}" for i in range(1, 8)} <= set(table)
    assert all(r.low <= 0 < r.high for r in table.values())
    assert shipped_ranges("00" * 32) is None


def test_a_written_table_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ranges(tmp_path / "mine_ranges.json", "ab" * 32, {"layer_1": Range(-0.25, 3.5)})
    assert json.loads((tmp_path / "mine_ranges.json").read_text())["weights_sha256"] == "ab" * 32
    monkeypatch.setattr(calibration.resources, "files", lambda _package: tmp_path)
    assert shipped_ranges("ab" * 32) == {"layer_1": Range(-0.25, 3.5)}


@pytest.mark.parametrize("values", [Range(-0.28, 9.0), Range(0.0, 1.0), Range(0.5, 2.0), Range(0.0, 0.0)])
def test_zero_and_the_ends_survive_rounding(values: Range) -> None:
    scale, zero = values.quantiser()

    def through(x: float) -> float:
        return float((np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale)

    assert through(0.0) == 0.0
    for end in (values.low, values.high):
        assert abs(through(end) - end) <= scale
