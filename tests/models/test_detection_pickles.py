"""Nothing in a checkpoint runs, whatever it says."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.detection.checkpoint import load_yolov7
from models.detection.pickles import CheckpointError, Record, read_checkpoint


def archive(path: Path, data: bytes, members: dict[str, bytes] | None = None, compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", data)
        for name, content in (members or {}).items():
            file.writestr(f"archive/{name}", content)
    return path


class Calls:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def protocol_4_global(module: str, name: str) -> bytes:
    out = io.BytesIO()
    for text in (module, name):
        raw = text.encode()
        out.write(b"\x8c" + struct.pack("<B", len(raw)) + raw)
    return out.getvalue() + b"\x93"


def test_what_torch_saves_is_read(tmp_path: Path) -> None:
    saved = {"a": torch.arange(6).reshape(2, 3), "b": OrderedDict(c=torch.randn(4, dtype=torch.float64).half())}
    torch.save(saved, tmp_path / "x.pt")
    read = read_checkpoint(tmp_path / "x.pt")
    assert torch.equal(read["a"], saved["a"])
    assert torch.equal(read["b"]["c"], saved["b"]["c"])  # type: ignore[index]


def test_classes_become_records(tmp_path: Path) -> None:
    torch.save({"model": torch.nn.Conv2d(1, 2, 3)}, tmp_path / "x.pt")
    record = read_checkpoint(tmp_path / "x.pt")["model"]
    assert isinstance(record, Record)
    assert record.qualified_name == "torch.nn.modules.conv.Conv2d"
    assert isinstance(record.state["_parameters"]["weight"], torch.Tensor)


def hostile(trace: Path) -> dict[str, bytes]:
    command = f"touch {trace}"
    program = f"open({str(trace)!r}, 'w').close()"
    dotted = b"\x80\x04" + protocol_4_global("os", "system.__call__") + pickle.dumps((command,), 4)[2:-1] + b"R."
    legacy = f"(S{command!r}\nios\nsystem\n.".encode()
    obj = f"(cos\nsystem\nS{command!r}\no.".encode()
    nested = b"\x80\x04" + protocol_4_global("builtins", "getattr")
    nested += (
        b"("
        + protocol_4_global("os", "path")
        + b"\x8c\x06systemtR(\x8c"
        + bytes([len(command)])
        + command.encode()
        + b"tR."
    )
    dispatch = protocol_4_global("torch", "serialization.os.system")
    return {
        "os.system": pickle.dumps(Calls(os.system, command)),
        "eval": pickle.dumps(Calls(eval, program)),
        "exec": pickle.dumps(Calls(exec, program)),
        "torch.load": pickle.dumps(Calls(torch.load, str(trace), None, None)),
        "open": pickle.dumps(Calls(open, str(trace), "w")),
        "dotted name": dotted,
        "INST opcode": legacy,
        "OBJ opcode": obj,
        "nested getattr": nested,
        "name through torch": b"\x80\x04" + dispatch + pickle.dumps((command,), 4)[2:-1] + b"R.",
        "inside a state": pickle.dumps({"model": Calls(OrderedDict, [("a", Calls(os.system, command))])}),
    }


@pytest.mark.parametrize("kind", list(hostile(Path("x"))))
def test_hostile_pickles_run_nothing(kind: str, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    path = archive(tmp_path / "x.pt", hostile(trace)[kind])
    with contextlib.suppress(CheckpointError):  # reading may succeed, with records in place of the calls
        read_checkpoint(path)
    with pytest.raises(CheckpointError):
        load_yolov7(path)
    assert not trace.exists()


def test_the_hostile_pickles_would_run_in_pickle(tmp_path: Path) -> None:
    """So that the test above cannot pass for the wrong reason."""
    trace = tmp_path / "ran"
    for kind in ("os.system", "eval", "exec", "open", "dotted name", "INST opcode", "OBJ opcode", "inside a state"):
        result = pickle.loads(hostile(trace)[kind])  # noqa: S301 - on purpose
        if kind == "open":
            result.close()
        assert trace.exists(), kind
        trace.unlink()


@pytest.mark.parametrize(
    "state", [b"}\x8c\x08__code__K\x01s", b"N}\x8c\x0c__defaults__K\x01s\x86"], ids=["state", "slots"]
)
@pytest.mark.parametrize(
    "name", [("torch._utils", "_rebuild_tensor_v2"), ("torch", "FloatStorage"), ("collections", "OrderedDict")]
)
def test_what_is_allowed_cannot_be_changed(name: tuple[str, str], state: bytes, tmp_path: Path) -> None:
    data = b"\x80\x04" + protocol_4_global(*name) + state + b"b."
    with pytest.raises(CheckpointError):
        read_checkpoint(archive(tmp_path / "x.pt", data))


def tensor_pickle(size: str, stride: str, offset: int = 0, count: int = 4, key: str = "0") -> bytes:
    text = f"ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'{key}'\nS'cpu'\nI{count}\ntQ"
    return f"{text}I{offset}\n{size}{stride}I00\ntR.".encode()


def test_a_tensor_by_hand_is_read(tmp_path: Path) -> None:
    data = tensor_pickle("(I2\nI2\nt", "(I2\nI1\nt")
    read = read_checkpoint(archive(tmp_path / "x.pt", data, {"data/0": struct.pack("<4f", 1, 2, 3, 4)}))
    assert read.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("data", "stored"),
    [
        (tensor_pickle("(I4\nt", "(I1\nt", offset=1), 16),
        (tensor_pickle("(I4\nt", "(I9\nt"), 16),
        (tensor_pickle("(I4\nt", "(I1\nt", offset=-1), 16),
        (tensor_pickle("(I-4\nt", "(I1\nt"), 16),
        (tensor_pickle("(I4\nt", "(I1\nI1\nt"), 16),
        (tensor_pickle("(I4\nt", "(I1\nt"), 12),
        (tensor_pickle("(I4\nt", "(I1\nt", count=1 << 40), 16),
        (tensor_pickle("(I9999999999\nI9999999999\nt", "(I0\nI0\nt"), 16),
        (tensor_pickle("(I4\nt", "(I1\nt", key="../0"), 16),
        (b"\x80\x02" + b"r\xff\xff\xff\x7f" + b"N.", 0),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b".", 0),
        (b"\x80\x02(((((((((((", 0),
        (b"garbage", 0),
        (b"", 0),
        (b"\x80\x02\x82\x01.", 0),
    ],
)
def test_what_does_not_fit_is_refused(data: bytes, stored: int, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        read_checkpoint(archive(tmp_path / "x.pt", data, {"data/0": bytes(stored)}))


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    """Torch stores; what is compressed could grow a thousandfold."""
    data = pickle.dumps({"a": "b" * 1_000_000})
    with pytest.raises(CheckpointError, match="uncompressed"):
        read_checkpoint(archive(tmp_path / "x.pt", data, compression=zipfile.ZIP_DEFLATED))


def test_an_oversized_pickle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="at most"):
        read_checkpoint(archive(tmp_path / "x.pt", pickle.dumps(b"0" * (17 << 20))))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="zip"):
        read_checkpoint(tmp_path / "x.pt")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_checkpoint(tmp_path / "none.pt")
