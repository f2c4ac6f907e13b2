"""Exported CMFT in the engines that run it: equal to torch within tolerance and by ranking."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.checkpoint import Checkpoint
from models.export import INPUT, OUTPUT, export_embedder
from models.preprocessing import Preprocessing
from models.registry import create_model
from models.runtime import load_engine
from models.runtime.parity import compare_embeddings
from models.types import Modality

SIZE = (64, 32)
OPTIONS = {"frames": 3, "fusion_width": 64, "final_width": 64, "fused_dim": 48, "stream_dim": 32}


def checkpoint(**options: object) -> Checkpoint:
    """A small network whose batch norms have seen data, so that its vectors differ."""
    torch.manual_seed(0)
    preprocessing = Preprocessing(height_px=SIZE[0], width_px=SIZE[1])
    model = create_model("cmft", preprocessing=preprocessing, **{**OPTIONS, "backbone": "mobilenetv2", **options})
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean of what was seen
    with torch.no_grad():
        model(torch.from_numpy(pictures(8, 3)), torch.from_numpy(pictures(8, 3, seed=1)))
    return Checkpoint("cmft", model.options, preprocessing, model.state_dict(), "a test")


def pictures(count: int, frames: int, seed: int = 0) -> np.ndarray:
    shape = (count, 3, *SIZE) if frames == 1 else (count, frames, 3, *SIZE)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("form", "frames"), [("fused", 3), ("both", 1), ("stream", 1), ("stream", 3)])
def test_engines_agree_with_torch(tmp_path: Path, form: str, frames: int) -> None:
    exported = checkpoint(embedding=form)
    network = exported.build()
    for modality in Modality:
        path = tmp_path / f"{modality}.onnx"
        export_embedder(exported, modality, frames, path)
        for backend in ("onnxruntime", "openvino"):
            engine = load_engine(path, backend=backend, precision="fp32", threads=1)
            for count in (1, 16):  # the batch is dynamic
                feeds = pictures(count, frames, seed=count)
                with torch.inference_mode():
                    expected = network.embed(torch.from_numpy(feeds), modality).numpy()
                got = engine.run({INPUT: feeds})[OUTPUT]
                np.testing.assert_allclose(got, expected, atol=2e-4)
            parity = compare_embeddings(expected, got, k=5)
            assert parity.first_neighbour == 1.0
            assert parity.neighbours > 0.97


def test_the_stream_graph_holds_one_stream(tmp_path: Path) -> None:
    sizes = {}
    for form in ("stream", "both"):
        export_embedder(checkpoint(embedding=form), Modality.VISIBLE, 1, tmp_path / form)
        graph = onnx.load(tmp_path / form).graph
        names = {node.name for node in graph.node} | {weight.name for weight in graph.initializer}
        sizes[form] = sum(np.prod(w.dims) for w in graph.initializer)
        assert any("infrared" in name for name in names) is (form == "both")
    assert sizes["stream"] < 2.4e6 < 4.4e6 < sizes["both"]


def test_a_wrong_clip_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 1 or 3 frames, got 2"):
        export_embedder(checkpoint(), Modality.VISIBLE, 2, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_resnet_with_fusion_exports(tmp_path: Path) -> None:
    exported = checkpoint(backbone="resnet50")
    export_embedder(exported, Modality.INFRARED, 3, tmp_path / "r.onnx")
    feeds = pictures(2, 3)
    got = load_engine(tmp_path / "r.onnx", backend="onnxruntime", threads=1).run({INPUT: feeds})[OUTPUT]
    with torch.inference_mode():
        expected = exported.build().embed(torch.from_numpy(feeds), Modality.INFRARED).numpy()
    np.testing.assert_allclose(got, expected, atol=2e-4)


def test_tensorrt_for_rtx_compiles_the_graph(tmp_path: Path) -> None:
    """Without a GPU: proof that TensorRT's parser and builder take our file, not that it runs."""
    rtx = pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is there on Linux x86-64 only")
    from models.runtime.tensorrt_build import Shapes, build_engine

    export_embedder(checkpoint(), Modality.VISIBLE, 3, tmp_path / "c.onnx")
    clip = (3, 3, *SIZE)
    shapes = Shapes((1, *clip), (2, *clip), (4, *clip))

    def for_gpus_that_are_not_here(config: object) -> None:
        config.num_compute_capabilities = 1  # type: ignore[attr-defined]
        config.set_compute_capability(rtx.ComputeCapability.SM89, 0)  # type: ignore[attr-defined]

    engine = build_engine(rtx, (tmp_path / "c.onnx").read_bytes(), {INPUT: shapes}, for_gpus_that_are_not_here)
    assert len(engine) > 1_000_000
