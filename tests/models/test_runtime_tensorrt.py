"""TensorRT as far as it goes without a GPU.

TensorRT itself is not on the package index. *TensorRT for RTX* is: it has the same interface and builds
for GPUs that are not there, so these tests show that our files parse and compile in that product. What
it builds cannot run here; `gpu` tests run TensorRT itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from support.detector import letterboxed, weights_cache

from models.runtime import EngineError, load_engine
from models.runtime.half import half_precision
from models.runtime.parity import compare_detections
from models.runtime.tensorrt_build import (
    EngineKey,
    Shapes,
    build_engine,
    default_profile,
    read_cached,
    write_cached,
)
from models.weights import detector_onnx

PICTURES = {"images": Shapes((1, 3, 160, 160), (4, 3, 480, 640), (8, 3, 1280, 1280))}


@pytest.fixture(scope="session")
def float_file() -> Path:
    return detector_onnx("yolov7", weights_cache(), precision="fp32")


@pytest.fixture(scope="session")
def half_file(float_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half") / "half.onnx"
    onnx.save(half_precision(float_file), path)
    return path


@pytest.fixture(scope="session")
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is for Linux on x86-64 only")


def for_ada(rtx: Any) -> Any:
    def configure(config: Any) -> None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(rtx.ComputeCapability.SM89, 0)

    return configure


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tensorrt_for_rtx_builds_the_detector(precision: str, float_file: Path, half_file: Path, rtx: Any) -> None:
    file = float_file if precision == "fp32" else half_file
    engine = build_engine(rtx, file.read_bytes(), PICTURES, for_ada(rtx))
    assert len(engine) > 36e6 * (4 if precision == "fp32" else 2)  # the weights are in it, in their precision


def test_what_does_not_parse_is_said(rtx: Any) -> None:
    with pytest.raises(EngineError, match="cannot parse"):
        build_engine(rtx, b"garbage", {}, for_ada(rtx))


def test_half_precision_finds_the_same_persons(float_file: Path, half_file: Path) -> None:
    images = np.concatenate([letterboxed(name, 320, 256) for name in ("bus.jpg", "zidane.jpg")])
    rows = [
        load_engine(f, backend="onnxruntime", threads=1).run({"images": images})["output0"]
        for f in (float_file, half_file)
    ]
    parity = compare_detections(list(rows[0]), list(rows[1]))
    assert parity.reference_count >= 5
    assert (parity.recall, parity.precision) == (1, 1)
    assert parity.mean_iou > 0.995
    assert abs(parity.max_score_shift) < 0.005


def test_half_precision_leaves_coordinates_alone(half_file: Path) -> None:
    model = onnx.load(half_file)
    kinds = {i.name: i.data_type for i in model.graph.initializer}
    half = [n for n in model.graph.node if n.op_type == "Conv" and kinds[n.input[1]] == onnx.TensorProto.FLOAT16]
    assert len(half) == sum(n.op_type == "Conv" for n in model.graph.node)
    assert {t.type.tensor_type.elem_type for t in (*model.graph.input, *model.graph.output)} == {onnx.TensorProto.FLOAT}
    anchors = [i for i in model.graph.initializer if tuple(i.dims) == (1, 3, 2, 1)]
    assert len(anchors) == 3
    assert all(i.data_type == onnx.TensorProto.FLOAT for i in anchors)


def test_a_heavy_layer_may_come_last(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weights = {"w": random.normal(size=(8, 4)), "v": random.normal(size=(4, 4))}
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "w"], ["y"], "first"),
        onnx.helper.make_node("Relu", ["y"], ["r"], "relu"),
        onnx.helper.make_node("MatMul", ["r", "v"], ["z"], "second"),
    ]
    values = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["b", k])
        for n, k in (("x", 8), ("y", 4), ("z", 4))
    ]
    constants = [onnx.numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()]
    graph = onnx.helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "float.onnx")
    onnx.save(half_precision(tmp_path / "float.onnx"), tmp_path / "half.onnx")
    feeds = {"x": random.normal(size=(3, 8)).astype(np.float32)}
    exact, half = (
        load_engine(tmp_path / f, backend="onnxruntime", threads=1).run(feeds) for f in ("float.onnx", "half.onnx")
    )
    for name in ("y", "z"):
        assert half[name].dtype == np.float32
        assert np.allclose(half[name], exact[name], atol=0.02)
        assert not np.array_equal(half[name], exact[name])


def test_eight_bits_stay_with_processors() -> None:
    file = detector_onnx("yolov7", weights_cache(), precision="int8")
    with pytest.raises(EngineError, match="give the fp32 file"):
        half_precision(file)
    with pytest.raises(EngineError, match="give TensorRT the fp32 file"):
        load_engine(file, backend="tensorrt")


def test_profiles() -> None:
    assert default_profile((None, 3, None, None)) == Shapes((1, 3, 96, 96), (4, 3, 640, 640), (16, 3, 1920, 1920))
    assert default_profile((None, None, 3, 288, 144)).largest == (16, 16, 3, 288, 144)
    assert default_profile((None, 512)) == Shapes((1, 512), (4, 512), (16, 512))


KEY = EngineKey("ab" * 32, "fp16", "NVIDIA H200", "580.1", "10.14.1")


def test_engines_are_kept_for_what_they_were_built_for(tmp_path: Path) -> None:
    write_cached(KEY.path(tmp_path), b"engine")
    assert read_cached(KEY.path(tmp_path)) == b"engine"
    for other in (
        EngineKey("cd" * 32, "fp16", "NVIDIA H200", "580.1", "10.14.1"),
        EngineKey("ab" * 32, "fp32", "NVIDIA H200", "580.1", "10.14.1"),
        EngineKey("ab" * 32, "fp16", "NVIDIA L4", "580.1", "10.14.1"),
        EngineKey("ab" * 32, "fp16", "NVIDIA H200", "590.0", "10.14.1"),
        EngineKey("ab" * 32, "fp16", "NVIDIA H200", "580.1", "11.0.0"),
    ):
        assert read_cached(other.path(tmp_path)) is None


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 200])
def test_a_damaged_engine_is_not_used(damage: bytes, tmp_path: Path) -> None:
    path = KEY.path(tmp_path)
    write_cached(path, b"engine" * 20)
    path.write_bytes(damage)
    assert read_cached(path) is None
    write_cached(path, b"engine" * 20)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert read_cached(path) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tensorrt_finds_the_same_persons(precision: str, float_file: Path, tmp_path: Path) -> None:
    images = np.concatenate([letterboxed(name, 640, 640) for name in ("bus.jpg", "zidane.jpg")])
    reference = load_engine(float_file, backend="onnxruntime").run({"images": images})["output0"]
    for start in range(2):  # built, then from the cache
        engine = load_engine(float_file, backend="tensorrt", precision=precision, cache_dir=tmp_path)
        if start:
            for kept in (tmp_path / "tensorrt").glob("*.engine"):
                write_cached(kept, b"whole, but not an engine")
            engine = load_engine(float_file, backend="tensorrt", precision=precision, cache_dir=tmp_path)
        parity = compare_detections(list(reference), list(engine.run({"images": images})["output0"]))
        assert (parity.recall, parity.precision) == (1, 1)
        assert parity.mean_iou > 0.99
    with pytest.raises(ValueError, match="expected a shape from"):
        engine.run({"images": np.zeros((17, 3, 640, 640), np.float32)})
