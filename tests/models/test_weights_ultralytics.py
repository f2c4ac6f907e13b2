"""Any detector that Ultralytics loads becomes the same file of persons."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from support.detector import greedy_suppression, letterboxed

from models.detection.suppression import Suppression
from models.runtime import load_engine
from models.weights import WeightsError, detector_onnx

PERSON = 3


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLOv8n that was never trained, made to be sure of itself so that there is something to suppress."""
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    from ultralytics import YOLO

    torch.manual_seed(1)
    model = YOLO("yolov8n.yaml")
    model.model.names = {i: "person" if i == PERSON else f"class {i}" for i in range(80)}
    norms = [m for m in model.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:  # statistics of a picture, or every signal dies out on the way
        norm.momentum = 1.0
    for branch in model.model.model[-1].cv3:
        torch.nn.init.normal_(branch[-1].weight, 0, 0.2)
        torch.nn.init.constant_(branch[-1].bias, -1.0)
    with torch.no_grad():
        model.model.train()(torch.from_numpy(letterboxed("bus.jpg", 320, 256)))
    path = tmp_path_factory.mktemp("ultralytics") / "mine.pt"
    model.save(path)
    return path


def test_persons_of_another_detector(detector: Path, tmp_path: Path) -> None:
    from ultralytics import YOLO

    images = letterboxed("bus.jpg", 320, 256)
    with torch.inference_mode():
        raw = YOLO(str(detector)).model.eval()(torch.from_numpy(images))[0][0].numpy().T
    boxes = np.concatenate((raw[:, :2] - raw[:, 2:4] / 2, raw[:, :2] + raw[:, 2:4] / 2), 1)
    scores = raw[:, 4 + PERSON]
    best = np.argsort(-scores)[:512]
    kept = best[greedy_suppression(boxes[best], scores[best], Suppression().iou, Suppression().score)][:300]
    assert len(kept) > 5
    assert len(np.unique(scores[best])) == 512

    engine = load_engine(detector_onnx(str(detector), tmp_path), backend="onnxruntime", threads=1)
    rows = engine.run({"images": np.concatenate([images, images])})["output0"]
    assert np.array_equal(rows[0], rows[1])
    found = rows[0][rows[0][:, 4] > 0]
    assert len(found) == len(kept)
    assert np.allclose(found[:, 4], scores[kept], atol=1e-4)
    assert np.allclose(found[:, :4], boxes[kept], atol=0.05)


def test_a_detector_without_persons_is_refused(tmp_path: Path) -> None:
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    from ultralytics import YOLO

    YOLO("yolov8n.yaml").save(tmp_path / "mine.pt")
    with pytest.raises(WeightsError, match="no class 'person'"):
        detector_onnx(str(tmp_path / "mine.pt"), tmp_path)
