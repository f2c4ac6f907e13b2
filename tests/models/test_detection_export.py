"""The ONNX file against torch, in every engine that runs here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.detector import Array, greedy_suppression, letterboxed, photograph, weights_cache

from models.detection.checkpoint import load_yolov7
from models.detection.export import export_onnx, shared_ranges
from models.detection.graph import GraphWriter, Range
from models.detection.suppression import OUTPUT, Suppression, persons_of_rows, suppress
from models.detection.yolov7 import YOLOV7_TINY, YoloV7
from models.runtime import load_engine
from models.runtime.parity import compare_detections
from models.weights import detector_onnx, fetch_weights

ENGINES = [("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")]


@pytest.fixture(scope="session")
def float_file() -> Path:
    return detector_onnx("yolov7", weights_cache(), precision="fp32")


@pytest.fixture(scope="session")
def eight_bit_file() -> Path:
    return detector_onnx("yolov7", weights_cache(), precision="int8")


@pytest.fixture(scope="session")
def reference() -> Callable[[Array], list[Array]]:
    """The network in torch, with suppression by the textbook's loop: rows of each picture."""
    released = load_yolov7(fetch_weights("yolov7", weights_cache()))
    person = released.class_names.index("person")

    known: dict[bytes, list[Array]] = {}

    def run(images: Array) -> list[Array]:
        key = images.tobytes()
        if key not in known:
            known[key] = compute(images)
        return known[key]

    def compute(images: Array) -> list[Array]:
        with torch.inference_mode():
            found = released.network(torch.from_numpy(images)).numpy()
        results = []
        for rows in found:
            half = rows[:, 2:4] / 2
            boxes = np.concatenate((rows[:, :2] - half, rows[:, :2] + half), 1)
            scores = rows[:, 4] * rows[:, 5 + person]
            kept = greedy_suppression(boxes, scores, Suppression().iou, Suppression().score)
            results.append(np.column_stack((boxes[kept], scores[kept], np.zeros(len(kept)))))
        return results

    return run


def found(rows: Array) -> Array:
    return rows[rows[:, 4] > 0]


@pytest.mark.parametrize(("backend", "precision"), ENGINES)
@pytest.mark.parametrize("size", [(512, 384), (384, 512)])
def test_same_persons_as_torch(
    backend: str, precision: str, size: tuple[int, int], float_file: Path, reference: Callable[[Array], list[Array]]
) -> None:
    images = np.concatenate([letterboxed(name, *size) for name in ("bus.jpg", "zidane.jpg")])
    engine = load_engine(float_file, backend=backend, precision=precision, threads=1)
    rows = engine.run({"images": images})[OUTPUT]
    expected = reference(images)
    assert sum(len(e) for e in expected) >= 6
    if precision == "fp32":
        for got, want in zip(rows, expected, strict=True):
            assert np.abs(found(got)[:, :4] - want[:, :4]).max() < 0.01
            assert np.abs(found(got)[:, 4] - want[:, 4]).max() < 1e-4
    parity = compare_detections(expected, list(rows))
    assert (parity.recall, parity.precision) == (1, 1)
    assert parity.mean_iou > 0.99
    assert abs(parity.max_score_shift) < 0.01


@pytest.mark.parametrize(("backend", "precision"), ENGINES)
def test_a_batch_gives_what_single_pictures_give(backend: str, precision: str, float_file: Path) -> None:
    engine = load_engine(float_file, backend=backend, precision=precision, threads=1)
    bus, zidane = (letterboxed(name, 320, 256) for name in ("bus.jpg", "zidane.jpg"))
    empty = np.zeros_like(bus)
    together = engine.run({"images": np.concatenate([bus, empty, zidane])})[OUTPUT]
    alone = [engine.run({"images": image})[OUTPUT][0] for image in (bus, empty, zidane)]
    assert not together[1].any()
    tolerance = 1e-3 if precision == "fp32" else 1.0  # bf16 picks other kernels for other batches
    for got, want in zip(together, alone, strict=True):
        assert len(found(got)) == len(found(want))
        assert np.abs(got - want).max() < tolerance


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_eight_bits_find_the_same_persons(
    backend: str, eight_bit_file: Path, reference: Callable[[Array], list[Array]]
) -> None:
    images = np.concatenate([letterboxed(name, 384, 512) for name in ("bus.jpg", "zidane.jpg")])
    grey = np.repeat(images.mean(1, keepdims=True) * 0.5, 3, 1).astype(np.float32)
    engine = load_engine(eight_bit_file, backend=backend, threads=1)
    assert engine.describe().precision == "int8"
    for pictures in (images, grey):
        parity = compare_detections(reference(pictures), list(engine.run({"images": pictures})[OUTPUT]))
        assert parity.reference_count >= 4
        assert (parity.recall, parity.precision) == (1, 1)
        assert parity.mean_iou > 0.95
        assert abs(parity.max_score_shift) < 0.06


def test_ultralytics_runs_the_file(float_file: Path) -> None:
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    from ultralytics import YOLO

    result = YOLO(str(float_file), task="detect").predict(photograph("bus.jpg"), conf=0.25, rect=False, verbose=False)[
        0
    ]
    assert result.names == {0: "person"}
    assert np.allclose(result.boxes.conf.numpy(), [0.93, 0.92, 0.91, 0.75], atol=0.01)


def test_the_smallest_picture(float_file: Path) -> None:
    engine = load_engine(float_file, backend="onnxruntime", threads=1)
    assert engine.run({"images": np.zeros((1, 3, 32, 32), np.float32)})[OUTPUT].shape == (1, 300, 6)


def test_metadata(float_file: Path, eight_bit_file: Path) -> None:
    for path, precision in ((float_file, "fp32"), (eight_bit_file, "int8")):
        entries = {e.key: e.value for e in onnx.load(path).metadata_props}
        assert entries["names"] == "{0: 'person'}"
        assert (entries["task"], entries["stride"], entries["end2end"]) == ("detect", "32", "True")
        assert precision in entries["description"]


def test_eight_bits_reach_every_convolution_but_the_heads(eight_bit_file: Path) -> None:
    graph = onnx.load(eight_bit_file).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    floats = [n.output[0] for n in graph.node if n.op_type == "Conv" and made_by.get(n.input[1]) != "DequantizeLinear"]
    assert floats == ["head_0", "head_1", "head_2"]


def test_joined_tensors_share_a_range() -> None:
    with torch.device("meta"):
        network = YoloV7(YOLOV7_TINY)
    shared = shared_ranges(network, {f"layer_{i}": Range(-0.1, float(i + 1)) for i in range(77)})
    assert shared["layer_2"] == shared["layer_5"] == shared["layer_6"] == Range(-0.1, 7.0)  # one concatenation
    assert shared["layer_7"] != shared["layer_6"]  # a convolution starts anew


def suppression_file(path: Path, limits: Suppression) -> Path:
    writer = GraphWriter()
    suppress(writer, "boxes", "flat", limits)
    inputs = {"boxes": ("batch", "anchors", 4), "flat": ("batch", "anchors")}
    onnx.save(writer.model(inputs, {OUTPUT: ("batch", 300, 6)}, {}), path)
    return path


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("persons", [0, 1, 12, 60])
def test_suppression_is_the_greedy_one(backend: str, persons: int, tmp_path: Path) -> None:
    """Crowds of jittered boxes, against the loop."""
    random = np.random.default_rng(persons)
    limits = Suppression(score=0.1, iou=0.5)
    engine = load_engine(suppression_file(tmp_path / "s.onnx", limits), backend=backend, precision="fp32", threads=1)
    boxes, scores = np.zeros((2, 700, 4), np.float32), np.zeros((2, 700), np.float32)
    for picture in range(2):
        corner = random.uniform(0, 500, (persons, 1, 2))
        size = random.uniform((20, 50), (60, 140), (persons, 1, 2))
        cloud = np.concatenate((corner, corner + size), 2) + random.normal(0, 6, (persons, 8, 4))
        boxes[picture, : persons * 8] = cloud.reshape(-1, 4)
        scores[picture, : persons * 8] = random.uniform(0.02, 0.99, persons * 8)
    rows = engine.run({"boxes": boxes, "flat": scores})[OUTPUT]
    for picture in range(2):
        kept = greedy_suppression(boxes[picture], scores[picture], limits.iou, limits.score)
        got = found(rows[picture])
        assert len(got) == len(kept)
        assert np.allclose(got[:, 4], scores[picture, kept])
        assert np.allclose(got[:, :4], boxes[picture, kept])


def test_rows_of_other_classes_become_zeros(tmp_path: Path) -> None:
    writer = GraphWriter()
    persons_of_rows(writer, "raw", 2)
    onnx.save(writer.model({"raw": ("batch", "rows", 6)}, {OUTPUT: ("batch", "rows", 6)}, {}), tmp_path / "r.onnx")
    rows = np.array([[[1, 2, 3, 4, 0.9, 2], [5, 6, 7, 8, 0.8, 0], [1, 1, 2, 2, 0.7, 2]]], np.float32)
    engine = load_engine(tmp_path / "r.onnx", backend="onnxruntime", threads=1)
    assert np.allclose(engine.run({"raw": rows})[OUTPUT], [[[1, 2, 3, 4, 0.9, 0], [0] * 6, [1, 1, 2, 2, 0.7, 0]]])


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(onnx, "save", fail)
    with torch.device("cpu"):
        network = YoloV7(YOLOV7_TINY, class_count=1)
    with pytest.raises(OSError, match="disk full"):
        export_onnx(network, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []
