"""One protocol, whichever library runs underneath."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import structlog
import torch
from onnx import TensorProto, helper, numpy_helper

from models.runtime import Engine, EngineError, TensorSpec, choose_backend, load_engine
from models.runtime.torch_engine import TorchEngine

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(0, 0.3, (8, 3, 3, 3)).astype(np.float32)
BACKENDS = ["torch", "onnxruntime", "openvino"]


class Small(torch.nn.Module):
    """A convolution and a mean over the picture, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.conv.weight.data = torch.from_numpy(WEIGHT)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.conv(x).relu()
        return y.mean((2, 3)), y


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    nodes = [
        helper.make_node("Conv", ["picture", "w"], ["c"], "c", pads=[1] * 4, kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["full"], "r"),
        helper.make_node("ReduceMean", ["full"], ["mean"], "m", axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["b", 3, "h", "w_"])],
        [
            helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["b", 8]),
            helper.make_tensor_value_info("full", TensorProto.FLOAT, ["b", 8, "h", "w_"]),
        ],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def make(model: Path) -> Callable[[str], Engine]:
    def build(backend: str) -> Engine:
        if backend != "torch":
            return load_engine(model, backend=backend, precision="fp32", threads=1)
        floats = np.dtype(np.float32)
        outputs = (TensorSpec("mean", floats, (None, 8)), TensorSpec("full", floats, (None, 8, None, None)))
        return TorchEngine(Small(), (TensorSpec("picture", floats, (None, 3, None, None)),), outputs, name="small")

    return build


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_say_the_same(backend: str, make: Callable[[str], Engine]) -> None:
    engine = make(backend)
    assert isinstance(engine, Engine)
    assert engine.inputs == (TensorSpec("picture", np.dtype(np.float32), (None, 3, None, None)),)
    assert [spec.name for spec in engine.outputs] == ["mean", "full"]
    for shape in ((1, 3, 8, 8), (4, 3, 16, 12)):
        picture = RANDOM.normal(size=shape).astype(np.float32)
        with torch.inference_mode():
            expected = Small()(torch.from_numpy(picture))
        got = engine.run({"picture": picture})
        assert list(got) == ["mean", "full"]
        for result, want in zip(got.values(), expected, strict=True):
            assert result.dtype == np.float32
            assert np.allclose(result, want.numpy(), atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_description(backend: str, make: Callable[[str], Engine]) -> None:
    says = make(backend).describe()
    assert (says.backend, says.precision, says.model) == (backend, "fp32", "small")
    assert says.device.startswith("CPU")
    assert says.version[0].isdigit()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "expected .'picture'., got"),
        ({"image": np.zeros((1, 3, 8, 8), np.float32)}, "expected .'picture'., got .'image'."),
        ({"picture": np.zeros((1, 3, 8, 8), np.float64)}, "expected dtype float32, got float64"),
        ({"picture": np.zeros((1, 4, 8, 8), np.float32)}, "expected shape"),
        ({"picture": np.zeros((3, 8, 8), np.float32)}, "expected shape"),
        ({"picture": np.zeros((0, 3, 8, 8), np.float32)}, "without empty axes"),
        ({"picture": [[1.0]]}, "expected a numpy array, got list"),
    ],
)
def test_wrong_feeds(backend: str, feeds: dict[str, object], message: str, make: Callable[[str], Engine]) -> None:
    with pytest.raises(ValueError, match=message):
        make(backend).run(feeds)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", BACKENDS)
def test_pictures_that_are_views(backend: str, make: Callable[[str], Engine]) -> None:
    engine = make(backend)
    whole = RANDOM.normal(size=(1, 3, 16, 16)).astype(np.float32)
    view = whole[:, ::-1, ::2, ::-2]
    assert np.array_equal(engine.run({"picture": view})["full"], engine.run({"picture": view.copy()})["full"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_are_not_overwritten(backend: str, make: Callable[[str], Engine]) -> None:
    engine = make(backend)
    first = engine.run({"picture": np.ones((1, 3, 8, 8), np.float32)})["full"]
    kept = first.copy()
    engine.run({"picture": np.zeros((1, 3, 8, 8), np.float32)})
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("backend", BACKENDS)
def test_warm_up(backend: str, make: Callable[[str], Engine]) -> None:
    engine = make(backend)
    before = engine.run({"picture": np.ones((2, 3, 8, 8), np.float32)})["mean"]
    for side in (8, 12, 16, 20, 24, 28):  # more than are kept
        engine.warm_up({"picture": (2, 3, side, side)})
    engine.warm_up({"picture": (2, 3, 8, 8)})
    assert np.allclose(engine.run({"picture": np.ones((2, 3, 8, 8), np.float32)})["mean"], before, atol=1e-6)
    with pytest.raises(ValueError, match="expected a shape for"):
        engine.warm_up({})


@pytest.mark.parametrize(("backend", "streams"), [("onnxruntime", 1), ("openvino", 1), ("openvino", 2)])
def test_several_threads(backend: str, streams: int, model: Path) -> None:
    engine = load_engine(model, backend=backend, precision="fp32", threads=2, streams=streams)
    pictures = [np.full((1, 3, 32, 32), value, np.float32) for value in range(8)]
    expected = [engine.run({"picture": picture})["mean"] for picture in pictures]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(20):
            if not np.allclose(engine.run({"picture": pictures[index]})["mean"], expected[index], atol=1e-4):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_bfloat16_is_close(model: Path) -> None:
    picture = {"picture": RANDOM.normal(size=(2, 3, 32, 32)).astype(np.float32)}
    exact = load_engine(model, backend="openvino", precision="fp32", threads=1).run(picture)["mean"]
    engine = load_engine(model, backend="openvino", precision="bf16", threads=1)
    assert engine.describe().precision == "bf16"
    assert np.allclose(engine.run(picture)["mean"], exact, atol=0.02)


def test_compiled_networks_are_kept(model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        engine = load_engine(model, backend="openvino", threads=1, cache_dir=tmp_path)
        assert engine.run({"picture": np.ones((1, 3, 8, 8), np.float32)})["mean"].shape == (1, 8)
    assert list((tmp_path / "openvino").glob("*.blob"))


def test_a_damaged_cache_is_compiled_anew(model: Path, tmp_path: Path) -> None:
    load_engine(model, backend="openvino", threads=1, cache_dir=tmp_path)
    for blob in (tmp_path / "openvino").glob("*.blob"):
        blob.write_bytes(b"garbage" * 100)
    engine = load_engine(model, backend="openvino", threads=1, cache_dir=tmp_path)
    assert engine.run({"picture": np.ones((1, 3, 8, 8), np.float32)})["mean"].shape == (1, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "caffe"}, "expected a backend of auto, tensorrt, openvino, onnxruntime, got 'caffe'"),
        ({"backend": "onnxruntime", "precision": "bf16"}, "expected a precision of auto, fp32, int8, got 'bf16'"),
        ({"backend": "openvino", "precision": "int8"}, "has no eight-bit layers"),
        ({"threads": 0}, "at least one thread"),
        ({"streams": 0}, "at least one thread and one stream"),
    ],
)
def test_wrong_choices(options: dict[str, object], message: str, model: Path) -> None:
    with pytest.raises(EngineError, match=message):
        load_engine(model, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_broken_files(backend: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no model at"):
        load_engine(tmp_path / "none.onnx", backend=backend)
    (tmp_path / "broken.onnx").write_bytes(content)
    with pytest.raises(EngineError, match=r"broken\.onnx"):
        load_engine(tmp_path / "broken.onnx", backend=backend)


def test_tensorrt_that_is_missing_says_what_to_install(model: Path) -> None:
    with pytest.raises(EngineError, match=r"pip install tapetum\[gpu\]"):
        load_engine(model, backend="tensorrt")


def test_openvino_that_is_missing_says_what_to_install(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(EngineError, match=r"pip install tapetum\[openvino\]"):
        load_engine(model, backend="openvino")


@pytest.mark.parametrize(
    ("there", "gpu", "expected"),
    [
        ({"tensorrt", "openvino"}, True, "tensorrt"),
        ({"tensorrt", "openvino"}, False, "openvino"),
        ({"tensorrt"}, False, "onnxruntime"),
        ({"openvino"}, True, "openvino"),
        (set(), False, "onnxruntime"),
    ],
)
def test_the_choice(there: set[str], gpu: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.runtime.load.installed", there.__contains__)
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    chosen, why = choose_backend()
    assert chosen == expected
    assert why


def test_the_choice_is_logged(model: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        load_engine(model, backend="onnxruntime", threads=1)
    (line,) = (entry for entry in logs if entry["event"] == "engine.loaded")
    assert (line["backend"], line["precision"], line["why"]) == ("onnxruntime", "fp32", "configured")


_LOADS_OPENVINO = """
import ctypes, sys
from pathlib import Path
from models.runtime import load_engine
from models.runtime.signal_stack import _Stack

def signal_stack():
    stack = _Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
    return stack.pointer, stack.size

before = signal_stack()
engine = load_engine(Path(sys.argv[1]), backend="openvino", precision="fp32", threads=1)
print(signal_stack() == before)
"""


def _says_true(program: str, model: Path) -> None:
    """In a process of its own, given the model's path."""
    child = [sys.executable, "-c", program, str(model)]
    done = subprocess.run(child, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["True"]), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="sigaltstack(2) as Linux has it")
def test_openvino_leaves_the_stack_of_signal_handlers_alone(model: Path) -> None:
    """Its plugin, when a process first loads it, puts them on one without room that it frees with itself."""
    _says_true(_LOADS_OPENVINO, model)


_WHERE_OPENVINO_RUNS = """
import os, sys, threading
from pathlib import Path
import numpy as np
from models.runtime import load_engine

engine = load_engine(Path(sys.argv[1]), backend="openvino", precision="fp32", threads=1)
picture = {"picture": np.zeros((8, 3, 64, 64), np.float32)}
done = threading.Event()

def run():
    while not done.is_set():
        engine.run(picture)

thread = threading.Thread(target=run)
thread.start()
seen = set()
for _ in range(300):
    for task in os.listdir("/proc/self/task"):
        try:
            seen.add(len(os.sched_getaffinity(int(task))))
        except ProcessLookupError:
            pass
done.set()
thread.join()
print(seen == {len(os.sched_getaffinity(0))})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc as Linux has it")
def test_openvino_binds_no_thread_to_a_processor(model: Path) -> None:
    """Two processes that compute on one machine would share that one, and leave others idle."""
    _says_true(_WHERE_OPENVINO_RUNS, model)
