"""One file with all a network needs; damage and foreign files are named, not crashed on."""

import dataclasses
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.calibration import Calibration, LogisticCalibration
from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from models.preprocessing import Preprocessing
from models.registry import create_model
from models.types import Modality

OPTIONS = {
    "backbone": "mobilenetv2",
    "embedding": "stream",
    "fusion": False,
    "frames": 2,
    "stream_dim": 16,
    "stream_levels": [3],
    "stream_parts": [2],
}


def checkpoint(**changes: object) -> Checkpoint:
    torch.manual_seed(0)
    preprocessing = Preprocessing(height_px=64, width_px=32)
    model = create_model("cmft", preprocessing=preprocessing, **OPTIONS)
    values = {
        "architecture": "cmft",
        "options": model.options,
        "preprocessing": preprocessing,
        "state": model.state_dict(),
        "label": "a test",
        "calibration": Calibration(visible_infrared=LogisticCalibration(9.0, -4.5)),
        "model_card": "# Card\nmore",
        "licences": ("MIT", "Apache-2.0"),
        **changes,
    }
    return Checkpoint(**values)


def rewrite_header(path: Path, **changes: object) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    outer = json.loads(data[8 : 8 + length])
    inner = {**json.loads(outer["__metadata__"]["tapetum"]), **changes}
    outer["__metadata__"]["tapetum"] = json.dumps(inner)
    header = json.dumps(outer).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + length :])


def test_everything_comes_back(tmp_path: Path) -> None:
    saved = checkpoint()
    save_checkpoint(saved, tmp_path / "folder" / "c.safetensors")
    loaded = load_checkpoint(tmp_path / "folder" / "c.safetensors")
    for name in (
        "architecture",
        "preprocessing",
        "label",
        "calibration",
        "model_card",
        "licences",
        "model_hash",
    ):
        assert getattr(loaded, name) == getattr(saved, name)
    crops = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        assert torch.equal(loaded.build().embed(crops, Modality.VISIBLE), saved.build().embed(crops, Modality.VISIBLE))
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["c.safetensors"]


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_checkpoint(checkpoint(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_hash_follows_what_decides_a_vector_and_nothing_else() -> None:
    base = checkpoint()
    same = [checkpoint(label="another"), checkpoint(calibration=Calibration()), checkpoint(model_card="")]
    assert {c.model_hash for c in same} == {base.model_hash}
    state = {k: v.clone() for k, v in base.state.items()}
    state["stream_heads.visible.project.weight"][0, 0] += 1e-3
    others = [
        checkpoint(state=state),
        checkpoint(options={**base.options, "frames": 3}),
        checkpoint(preprocessing=dataclasses.replace(base.preprocessing, interpolation="area")),
        base.half(),
    ]
    assert len({base.model_hash, *(c.model_hash for c in others)}) == 5


def test_half_takes_half_the_room_and_embeds_alike(tmp_path: Path) -> None:
    full = checkpoint()
    save_checkpoint(full, tmp_path / "full")
    save_checkpoint(full.half(), tmp_path / "half")
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "full").stat().st_size
    loaded = load_checkpoint(tmp_path / "half")
    crops = torch.randn(4, 3, 64, 32)
    with torch.inference_mode():
        a, b = (c.build().embed(crops, Modality.VISIBLE) for c in (full, loaded))
    assert a.dtype == b.dtype == torch.float32
    assert ((a * b).sum(dim=1) > 0.999).all()


def test_half_refuses_values_that_do_not_fit() -> None:
    state = {**checkpoint().state, "stream_heads.visible.offset": torch.full((64,), 1e6)}
    with pytest.raises(ValueError, match=r"fit into float16.*offset"):
        checkpoint(state=state).half()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: cannot be read: No such file"):
        load_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "content",
    [b"", b"abc", b"\x00" * 64, b"\xff" * 64, b"PK\x03\x04" + b"a" * 100, struct.pack("<Q", 4) + b"[1]]" + b"x" * 9],
)
def test_foreign_files_are_no_checkpoints(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "c")


def test_other_peoples_safetensors_are_no_checkpoints(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "c", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="not a checkpoint of tapetum"):
        load_checkpoint(tmp_path / "c")


def test_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    save_checkpoint(checkpoint(), tmp_path / "c")
    rewrite_header(tmp_path / "c", format_version=99)
    with pytest.raises(CheckpointError, match="has format 99, this program reads up to 1; update"):
        load_checkpoint(tmp_path / "c")


def test_one_flipped_bit_is_found(tmp_path: Path) -> None:
    save_checkpoint(checkpoint(), tmp_path / "c")
    data = bytearray((tmp_path / "c").read_bytes())
    data[-1000] ^= 1
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(CheckpointError, match="do not match the hash"):
        load_checkpoint(tmp_path / "c")


def test_a_file_cut_short_is_found(tmp_path: Path) -> None:
    save_checkpoint(checkpoint(), tmp_path / "c")
    data = (tmp_path / "c").read_bytes()
    for length in (len(data) // 2, 5000, 100):
        (tmp_path / "c").write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize(
    "changes",
    [
        {"preprocessing": {"height_px": -1, "mean": [0, 0, 0], "std": [1, 1, 1]}},
        {"preprocessing": None},
        {"calibration": {"visible_visible": {"slope": "x"}}},
        {"licences": 5},
        {"options": [1]},
    ],
)
def test_a_header_that_makes_no_sense_is_damage(tmp_path: Path, changes: dict[str, object]) -> None:
    save_checkpoint(checkpoint(), tmp_path / "c")
    rewrite_header(tmp_path / "c", **changes)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path / "c")


def test_weights_of_another_network_do_not_build() -> None:
    with pytest.raises(CheckpointError, match="does not build"):
        checkpoint(options={**OPTIONS, "stream_dim": 17}).build()
    with pytest.raises(CheckpointError, match="no network called 'cmtf'"):
        checkpoint(architecture="cmtf").build()


def test_calibration_rises_with_the_cosine_and_knows_its_pair() -> None:
    calibration = checkpoint().calibration
    curve = calibration.of(Modality.INFRARED, Modality.VISIBLE)
    assert curve is not None
    assert curve is calibration.of(Modality.VISIBLE, Modality.INFRARED)
    assert curve.probability(0.5) == pytest.approx(0.5)
    assert curve.probability(0.9) == pytest.approx(1 / (1 + np.exp(-3.6)))
    assert calibration.of(Modality.VISIBLE, Modality.VISIBLE) is None
    assert curve.probability(-1e9) == 0.0
