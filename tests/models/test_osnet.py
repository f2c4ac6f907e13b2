"""OSNet and the released weights it takes: Open Model Zoo's person-reidentification-retail-0287."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.layers import DepthwisePool
from models.reid.backbones import OSNet
from models.reid.backbones.osnet import released_state
from models.training import TrainingError
from models.training.openvino_ir import float_constants
from models.training.pretrained import read_state

RELEASED = Path(__file__).parents[3] / "shared/weights/openvino/person-reidentification-retail-0287.xml"
XML = """<net><layers>
<layer id="0" type="Const"><data element_type="f32" offset="0" size="8" shape="1, 2"/></layer>
<layer id="1" type="Const"><data element_type="i64" offset="8" size="8" shape="1"/></layer>
<layer id="2" type="Const"><data element_type="f16" offset="16" size="4" shape="2, 1"/></layer>
<layer id="3" type="Const"><data element_type="f32" offset="0" size="8" shape="1, 2"/></layer>
<layer id="4" type="Const"><data element_type="f32" offset="20" size="4" shape=""/></layer>
</layers></net>"""
BIN = (
    np.array([1.5, -2.0], "<f4").tobytes()
    + np.array([7], "<i8").tobytes()
    + np.array([0.5, 3.0], "<f2").tobytes()
    + np.array([9.0], "<f4").tobytes()
)


def test_maps_have_the_sizes_of_the_released_network() -> None:
    trunk = OSNet().eval()
    assert sum(p.numel() for p in trunk.parameters()) == 491_167
    with torch.inference_mode():
        maps = trunk(torch.zeros(1, 3, 256, 128))
    assert {stage: tuple(m.shape[1:]) for stage, m in maps.items()} == {
        2: (128, 64, 32),
        3: (192, 32, 16),
        4: (256, 16, 8),
        5: (256, 16, 8),
    }


def test_a_cameras_contrast_is_gone_before_the_first_convolution() -> None:
    trunk = OSNet().eval()
    picture = torch.rand(1, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one, other = trunk(picture)[5], trunk(0.3 * picture + 0.2)[5]
    torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


def test_frames_are_shifted_in_every_block() -> None:
    trunk = OSNet().eval()
    clip = torch.randn(3, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        forward, back = trunk(clip, shift=3)[5], trunk(clip.flip(0), shift=3)[5].flip(0)
        torch.testing.assert_close(trunk(clip)[5], trunk(clip.flip(0))[5].flip(0))
    assert not torch.allclose(forward, back, atol=1e-3)


def test_constants_come_in_order_and_once(tmp_path: Path) -> None:
    (tmp_path / "net.xml").write_text(XML)
    (tmp_path / "net.bin").write_bytes(BIN)
    found = float_constants(tmp_path / "net.xml")
    assert [value.tolist() for value in found] == [[[1.5, -2.0]], [[0.5], [3.0]], 9.0]


@pytest.mark.parametrize(
    ("xml", "data", "words"),
    [
        (None, BIN, "cannot read them"),
        (XML, None, "cannot read them"),
        ("<net><layers>", BIN, "expected an OpenVINO IR"),
        (XML.replace('size="8" shape="1, 2"', 'size="8" shape="3"'), BIN, "expected an OpenVINO IR"),
        (XML.replace('offset="20"', 'offset="-4"'), BIN, "cut short"),
        (XML, BIN[:-1], r"net.bin: is cut short at 23 bytes"),
        ('<!DOCTYPE net [<!ENTITY a "b">]>' + XML, BIN, "declares no entities"),
        (XML, BIN, r"expected \d+ constants of person-reidentification-retail-0287, got 3"),
    ],
    ids=("no xml", "no bin", "cut xml", "wrong shape", "negative offset", "cut bin", "entities", "another network"),
)
def test_files_that_are_not_the_network_are_refused(
    xml: str | None, data: bytes | None, words: str, tmp_path: Path
) -> None:
    if xml is not None:
        (tmp_path / "net.xml").write_text(xml)
    if data is not None:
        (tmp_path / "net.bin").write_bytes(data)
    with pytest.raises((TrainingError, ValueError), match=words):
        read_state(tmp_path / "net.xml")


def test_constants_of_another_shape_are_named() -> None:
    constants = [torch.zeros(3)] * 2 + [p.detach() for p in OSNet().parameters()] + [torch.zeros(1)] * 7
    constants[2] = torch.zeros(4)
    with pytest.raises(ValueError, match=r"first.0.weight: expected \[3\], got \[4\]"):
        released_state(constants)


@pytest.mark.skipif(not RELEASED.is_file(), reason="the released network is not beside the repository")
def test_released_weights_give_the_released_networks_vectors() -> None:
    openvino = pytest.importorskip("openvino", reason="needs the extra openvino")
    state = read_state(RELEASED)
    trunk, pool = OSNet().eval(), DepthwisePool(256, 16, 8)
    trunk.load_imagenet({name: value for name, value in state.items() if not name.startswith("head.")})
    pool.load_state_dict({"weight": state["head.pool.weight"], "bias": state["head.pool.bias"]})
    picture = np.random.default_rng(0).integers(0, 256, (1, 3, 256, 128)).astype(np.float32)
    released = openvino.Core().compile_model(str(RELEASED), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    another = np.ascontiguousarray(picture[:, :, ::-1])  # without the released shift, only differences compare
    wanted = [released(x)[0][0] for x in (picture, another)]
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    with torch.inference_mode():
        ours = [
            (pool(trunk((torch.from_numpy(x[:, ::-1].copy()) - mean) / std)[5]) @ state["head.project.weight"].T)[0]
            for x in (picture, another)
        ]
    unrelu = [np.where(vector < 0, vector / 0.98965126, vector) for vector in wanted]
    np.testing.assert_allclose((ours[0] - ours[1]).numpy(), unrelu[0] - unrelu[1], atol=1e-5)
