"""What every network answers, whichever paper it comes from. A new one only needs its small options here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from models.preprocessing import Preprocessing
from models.registry import create_model, list_models
from models.reid import HeadOutput
from models.types import Modality
from tests.support.settled import awake, settled

SIZE = (96, 48)
ROWS = 4
SMALL: dict[str, dict[str, object]] = {
    "afen": {"backbone": "mobilenetv2", "fem_width": 32},
    "cmft": {
        "backbone": "mobilenetv2",
        "frames": 3,
        "fusion_width": 64,
        "final_width": 64,
        "fused_dim": 48,
        "stream_dim": 32,
    },
    "fused_attention": {"size": "tiny"},
    "tacafnet": {"backbone": "mobilenetv2", "parts": 3, "part_dim": 16},
}
NETWORKS = sorted(SMALL)


def network(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, preprocessing=Preprocessing(*SIZE), **{**SMALL[name], **options})


def pictures(count: int = ROWS, *frames: int, seed: int = 0) -> Tensor:
    return torch.randn(count, *frames, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=NETWORKS)
def ready(request: pytest.FixtureRequest) -> nn.Module:
    """A network with a classifier in evaluation mode; nothing here changes it."""
    return settled(awake(network(request.param, identities=5)), pictures(8, seed=8), pictures(8, seed=9))


def test_no_network_escapes_these_tests() -> None:
    assert list_models() == tuple(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("identities", [0, 5])
def test_training_forward_gives_both_halves(name: str, identities: int) -> None:
    model = network(name, identities=identities)
    output = model(pictures(), pictures(seed=1))
    for half in (output.visible, output.infrared):
        assert isinstance(half, HeadOutput)
        assert half.feature.shape == half.embedding.shape
        assert half.feature.shape[0] == ROWS
        assert (half.logits is None) if not identities else half.logits.shape == (ROWS, identities)
        assert torch.isfinite(half.feature).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_training_forward_takes_clips_of_the_networks_length(name: str) -> None:
    model = network(name, identities=5)
    output = model(pictures(2, model.frames), pictures(2, model.frames, seed=1))
    assert output.visible.logits.shape == output.infrared.logits.shape == (2, 5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_in_bfloat16_has_finite_gradients(name: str) -> None:
    model = network(name, identities=5)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(pictures(), pictures(seed=1))
        loss = sum(h.logits.float().square().mean() + h.feature.float().square().mean() for h in halves(output))
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def halves(output: object) -> list[HeadOutput]:
    return [output.visible, output.infrared]  # type: ignore[attr-defined]


def test_halves_must_have_one_shape(ready: nn.Module) -> None:
    with pytest.raises(ValueError, match="expected halves of one shape"):
        ready(pictures(3), pictures(2))


@pytest.mark.parametrize("modality", list(Modality))
def test_one_kind_of_light_is_enough_to_embed(ready: nn.Module, modality: Modality) -> None:
    with torch.inference_mode():
        for shown in (pictures(), pictures(1), pictures(2, 1), pictures(2, ready.frames)):
            vectors = ready.embed(shown, modality)
            assert vectors.shape == (len(shown), ready.embedding_dim)
            assert vectors.dtype == torch.float32
            torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(shown)))


def test_a_row_is_embedded_by_itself_and_always_alike(ready: nn.Module) -> None:
    with torch.inference_mode():
        for modality in Modality:
            together = ready.embed(pictures(), modality)
            assert torch.equal(together, ready.embed(pictures(), modality))
            alone = torch.cat([ready.embed(picture[None], modality) for picture in pictures()])
            torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-3)


def test_embedding_tells_pictures_and_kinds_of_light_apart(ready: nn.Module) -> None:
    with torch.inference_mode():
        seen, night = (ready.embed(pictures(), modality) for modality in Modality)
    assert (seen @ seen.T - torch.eye(ROWS)).max() < 0.999
    assert ((seen * night).sum(dim=1) < 0.99999).all()


def test_a_clip_of_one_frame_is_that_picture(ready: nn.Module) -> None:
    with torch.inference_mode():
        of_clips = ready.embed(pictures(2, 1), Modality.INFRARED)
        of_pictures = ready.embed(pictures(2, 1)[:, 0], Modality.INFRARED)
    torch.testing.assert_close(of_clips, of_pictures)


def test_a_clip_is_the_mean_of_its_frames_unless_they_see_each_other(ready: nn.Module) -> None:
    clips = pictures(2, 3)
    with torch.inference_mode():
        frames = torch.stack([ready.embed(clips[:, n], Modality.VISIBLE) for n in range(3)])
        expected = nn.functional.normalize(frames.mean(dim=0), dim=1)
        found = ready.embed(clips, Modality.VISIBLE)
    if ready.frames == 1:
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    else:
        assert ((found * expected).sum(dim=1) < 0.999).all()


@pytest.mark.parametrize("shape", [(2, *SIZE), (2, 4, *SIZE), (3, *SIZE), (2, 3, 4, *SIZE), (2, 3, 3, 3, *SIZE)])
def test_wrong_shapes_are_refused(ready: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \[B, 3, H, W\] or \[B, N, 3, H, W\], got"):
        ready.embed(torch.zeros(shape), Modality.VISIBLE)


def test_embedding_in_bfloat16_ranks_alike(ready: nn.Module) -> None:
    shown = pictures(12, seed=3)
    with torch.inference_mode():
        exact = ready.embed(shown, Modality.VISIBLE)
        with torch.autocast("cpu", torch.bfloat16):
            rough = ready.embed(shown, Modality.VISIBLE)
    assert rough.dtype == torch.float32
    assert torch.isfinite(rough).all()
    assert torch.equal((rough @ exact.T).argmax(dim=1), torch.arange(12))  # each picture's nearest is itself


def test_half_precision_weights_keep_the_vectors(ready: nn.Module) -> None:
    full = Checkpoint(ready.name, ready.options, ready.preprocessing, ready.state_dict(), "a test")
    with torch.inference_mode():
        a, b = (c.build().embed(pictures(), Modality.INFRARED) for c in (full, full.half()))
    assert ((a * b).sum(dim=1) > 0.999).all()


def test_options_are_json_and_build_the_same_network(ready: nn.Module) -> None:
    options = json.loads(json.dumps(ready.options))
    assert options == ready.options
    again = create_model(ready.name, preprocessing=ready.preprocessing, **options)
    assert again.options == ready.options
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in ready.state_dict().items()}
    assert (again.name, again.frames, again.embedding_dim) == (ready.name, ready.frames, ready.embedding_dim)


def test_a_checkpoint_gives_the_same_vectors_back(ready: nn.Module, tmp_path: Path) -> None:
    saved = Checkpoint(ready.name, ready.options, ready.preprocessing, ready.state_dict(), "a test")
    save_checkpoint(saved, tmp_path / "c.safetensors")
    rebuilt = load_checkpoint(tmp_path / "c.safetensors").build()
    with torch.inference_mode():
        for modality in Modality:
            assert torch.equal(rebuilt.embed(pictures(), modality), ready.embed(pictures(), modality))


def test_foreign_weights_are_refused(ready: nn.Module) -> None:
    for state in ({}, {"conv1.weight": torch.zeros(64, 3, 7, 7)}, {"x": torch.zeros(1)}):
        before = {k: v.clone() for k, v in ready.state_dict().items()}
        with pytest.raises(ValueError, match=r"(?i)not the weights|expected"):
            ready.load_pretrained(state)
        assert all(torch.equal(v, before[k]) for k, v in ready.state_dict().items())


def test_the_trunk_is_a_part_of_the_network(ready: nn.Module) -> None:
    trunk, everything = ({id(p) for p in ps} for ps in (ready.trunk_parameters(), ready.parameters()))
    assert trunk
    assert trunk < everything
    assert len(trunk) == len(ready.trunk_parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_unknown_options_are_named(name: str) -> None:
    with pytest.raises(TypeError, match="headz"):
        network(name, headz=3)
