"""Every network as ONNX, in the engines that run it: equal to torch within tolerance and by ranking."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from support.settled import settled

from models.checkpoint import Checkpoint
from models.export import INPUT, OUTPUT, export_embedder
from models.preprocessing import Preprocessing
from models.registry import create_model, list_models
from models.runtime import TensorSpec, load_engine
from models.runtime.half import half_precision
from models.runtime.parity import compare_embeddings
from models.types import Modality

SIZE = (96, 48)
FRAMES = 2
TINY: dict[str, dict[str, Any]] = {
    "cmft": {"frames": FRAMES, "fusion_width": 64, "final_width": 64, "fused_dim": 48, "stream_dim": 32},
    "fused_attention": {"size": "tiny"},
    "afen": {"fem_width": 64},
    "tacafnet": {"part_dim": 64},
}
FILES = [(Modality.VISIBLE, 1), (Modality.INFRARED, FRAMES)]


def pictures(count: int, frames: int, seed: int = 0) -> np.ndarray:
    shape = (count, 3, *SIZE) if frames == 1 else (count, frames, 3, *SIZE)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@cache
def checkpoint(name: str, **options: object) -> Checkpoint:
    """A small network with the options of its name, none of whose modules still is the identity.

    Its batch norms have seen data, so that its vectors differ, and what starts at zero has a value.
    """
    torch.manual_seed(0)
    preprocessing = Preprocessing(height_px=SIZE[0], width_px=SIZE[1])
    light = {} if name == "fused_attention" else {"backbone": "mobilenetv2"}
    model = create_model(name, preprocessing=preprocessing, **{**light, **TINY.get(name, {}), **options})
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    settled(model, *(torch.from_numpy(pictures(8, int(model.frames), seed)) for seed in range(2)))
    return Checkpoint(name, model.options, preprocessing, model.state_dict(), "a test")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Modality, int], Path]:
    """The file of a network, a kind of light and a number of frames, written once."""
    folder = tmp_path_factory.mktemp("exported")

    def export(name: str, modality: Modality, frames: int) -> Path:
        path = folder / f"{name}-{modality}-{frames}.onnx"
        if not path.exists():
            export_embedder(checkpoint(name), modality, frames, path)
        return path

    return export


def embed(checkpoint: Checkpoint, feeds: list[np.ndarray], modality: Modality) -> list[np.ndarray]:
    network = checkpoint.build()
    with torch.inference_mode():
        return [network.embed(torch.from_numpy(pictures), modality).numpy() for pictures in feeds]


def check_engines(file: Path, checkpoint: Checkpoint, modality: Modality, frames: int) -> None:
    shape = (None, 3, *SIZE) if frames == 1 else (None, frames, 3, *SIZE)
    feeds = [pictures(count, frames, seed=count) for count in (1, 10)]  # the batch is dynamic
    references = embed(checkpoint, feeds, modality)
    assert (references[1] @ references[1].T).min() < 0.8  # pictures do differ
    for backend in ("onnxruntime", "openvino"):
        engine = load_engine(file, backend=backend, precision="fp32", threads=1)
        assert engine.inputs == (TensorSpec(INPUT, np.dtype(np.float32), shape),)
        assert [(spec.name, spec.dtype) for spec in engine.outputs] == [(OUTPUT, np.float32)]
        for given, expected in zip(feeds, references, strict=True):
            got = engine.run({INPUT: given})[OUTPUT]
            np.testing.assert_allclose(got, expected, atol=2e-4)
            np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)
        parity = compare_embeddings(expected, got, k=5)
        assert parity.first_neighbour == 1.0
        assert parity.neighbours > 0.97


@pytest.mark.parametrize(("modality", "frames"), FILES)
@pytest.mark.parametrize("name", list_models())
def test_engines_agree_with_torch(
    name: str, modality: Modality, frames: int, exported: Callable[[str, Modality, int], Path]
) -> None:
    """Pictures and clips, either kind of light, any batch."""
    check_engines(exported(name, modality, frames), checkpoint(name), modality, frames)


def test_other_forms_of_cmft_agree_too(tmp_path: Path) -> None:
    """And the graph of one stream does not hold the other."""
    sizes = {}
    for form in ("stream", "both"):
        other, file = checkpoint("cmft", embedding=form), tmp_path / f"{form}.onnx"
        export_embedder(other, Modality.VISIBLE, 1, file)
        check_engines(file, other, Modality.VISIBLE, 1)
        graph = onnx.load(file).graph
        names = {node.name for node in graph.node} | {weight.name for weight in graph.initializer}
        sizes[form] = sum(np.prod(weight.dims) for weight in graph.initializer)
        assert any("infrared" in name for name in names) is (form == "both")
    assert sizes["stream"] < 2.4e6 < 4.4e6 < sizes["both"]


@pytest.fixture(scope="module")
def half(
    tmp_path_factory: pytest.TempPathFactory, exported: Callable[[str, Modality, int], Path]
) -> Callable[[str], Path]:
    """A network's file for clips in half precision, which is what TensorRT is given."""
    folder = tmp_path_factory.mktemp("half")

    def convert(name: str) -> Path:
        path = folder / f"{name}.onnx"
        if not path.exists():
            onnx.save(half_precision(exported(name, *FILES[1])), path)
        return path

    return convert


@pytest.mark.parametrize("name", list_models())
def test_half_precision_ranks_alike(name: str, half: Callable[[str], Path]) -> None:
    feeds = pictures(10, FRAMES)
    got = load_engine(half(name), backend="onnxruntime", threads=1).run({INPUT: feeds})[OUTPUT]
    parity = compare_embeddings(*embed(checkpoint(name), [feeds], Modality.INFRARED), got, k=5)
    assert parity.min_cosine > 0.995
    assert parity.neighbours > 0.9


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", list_models())
def test_tensorrt_ranks_alike(
    name: str, precision: str, exported: Callable[[str, Modality, int], Path], tmp_path: Path
) -> None:
    modality, frames = FILES[1]
    feeds = pictures(10, frames)
    engine = load_engine(exported(name, modality, frames), backend="tensorrt", precision=precision, cache_dir=tmp_path)
    parity = compare_embeddings(*embed(checkpoint(name), [feeds], modality), engine.run({INPUT: feeds})[OUTPUT], k=5)
    assert parity.min_cosine > 0.995
    assert parity.neighbours > 0.9


@pytest.mark.parametrize(("name", "precision"), [*((name, "fp16") for name in list_models()), ("afen", "fp32")])
def test_tensorrt_for_rtx_compiles_the_graph(
    name: str, precision: str, half: Callable[[str], Path], exported: Callable[[str, Modality, int], Path]
) -> None:
    """Without a GPU: proof that TensorRT's parser and builder take our files, not that they run."""
    rtx = pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is there on Linux x86-64 only")
    from models.runtime.tensorrt_build import Shapes, build_engine

    whole = exported(name, *FILES[1])
    file = half(name) if precision == "fp16" else whole
    clip = (FRAMES, 3, *SIZE)
    shapes = Shapes((1, *clip), (2, *clip), (4, *clip))

    def for_gpus_that_are_not_here(config: Any) -> None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(rtx.ComputeCapability.SM89, 0)

    engine = build_engine(rtx, file.read_bytes(), {INPUT: shapes}, for_gpus_that_are_not_here)
    weights = sum(np.prod(weight.dims) for weight in onnx.load(whole).graph.initializer)
    assert len(engine) > (2 if precision == "fp16" else 4) * 0.9 * weights  # they are in it


@pytest.mark.parametrize(("name", "own"), [("fused_attention", "patches"), ("afen", "stems"), ("tacafnet", "stems")])
def test_the_graph_holds_one_kind_of_light(name: str, own: str, exported: Callable[[str, Modality, int], Path]) -> None:
    graph = onnx.load(exported(name, *FILES[0])).graph
    names = [weight.name for weight in graph.initializer] + [node.name for node in graph.node]
    assert any(own in name and "visible" in name for name in names)
    assert not any("infrared" in name for name in names)


@pytest.mark.parametrize(
    ("name", "frames", "message"),
    [("cmft", 3, "expected 1 or 2 frames, got 3"), ("fused_attention", 0, "expected 1 or more frames, got 0")],
)
def test_a_wrong_clip_length_is_refused(name: str, frames: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        export_embedder(checkpoint(name), Modality.VISIBLE, frames, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "backbone"), [("afen", "resnet50"), ("cmft", "efficientnet_lite0")])
def test_other_trunks_export(name: str, backbone: str, tmp_path: Path) -> None:
    whole = checkpoint(name, backbone=backbone)
    export_embedder(whole, Modality.INFRARED, 1, tmp_path / "r.onnx")
    feeds = pictures(2, 1)
    got = load_engine(tmp_path / "r.onnx", backend="onnxruntime", threads=1).run({INPUT: feeds})[OUTPUT]
    np.testing.assert_allclose(got, *embed(whole, [feeds], Modality.INFRARED), atol=2e-4)
