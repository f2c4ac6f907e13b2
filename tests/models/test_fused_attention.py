"""Fused attention: shapes, both kinds of light, grey rows, released weights, gradients, errors, size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models.preprocessing import Preprocessing
from models.registry import create_model, list_models
from models.reid import FusedAttention, HeadOutput
from models.reid.fused_attention_trunk import SIZES, CrossViT
from models.types import Modality

SMALL_PICTURES = Preprocessing(height_px=96, width_px=48)
HALVES = ("visible", "infrared", "grey")
REFERENCE = Path(__file__).parents[1] / "support" / "timm_crossvit.py"


def network(preprocessing: Preprocessing = SMALL_PICTURES, **options: object) -> FusedAttention:
    torch.manual_seed(0)
    built = create_model("fused_attention", preprocessing=preprocessing, **{"size": "tiny", **options})
    assert isinstance(built, FusedAttention)
    return built


def pictures(count: int = 3, *frames: int, seed: int = 0) -> Tensor:
    return torch.randn(count, *frames, 3, 96, 48, generator=torch.Generator().manual_seed(seed))


def test_defaults_are_the_papers_with_the_small_trunk() -> None:
    assert "fused_attention" in list_models()
    model = create_model("fused_attention")
    assert (model.preprocessing.height_px, model.preprocessing.width_px) == (288, 144)
    assert model.options["size"] == "small"
    assert model.trunk.grids == ((24, 12), (18, 9))
    assert model.frames == 1
    assert model.embedding_dim == 192 + 384 + 192 + 384


def test_options_build_the_same_network() -> None:
    model = network(identities=4, attention=False, pooling_exponent=3.0)
    again = network(**model.options)
    assert again.options == model.options
    again.load_state_dict(model.state_dict())


def test_training_forward_gives_what_the_losses_need() -> None:
    output = network(identities=5)(pictures(), pictures(seed=1))
    for name in HALVES:
        head = getattr(output, name)
        assert isinstance(head, HeadOutput)
        assert head.feature.shape == head.embedding.shape == (3, 576)
        assert head.logits is not None
        assert head.logits.shape == (3, 5)


def test_rows_of_all_kinds_share_one_batch_norm() -> None:
    output = network()(pictures(), pictures(seed=1))
    heads = [getattr(output, name) for name in HALVES]
    assert all(head.logits is None for head in heads)
    embedding = torch.cat([head.embedding for head in heads])
    torch.testing.assert_close(embedding.mean(dim=0), torch.zeros(576), atol=1e-5, rtol=0)
    assert embedding[:3].mean(dim=0).abs().max() > 1e-3


def test_every_trained_parameter_gets_a_gradient() -> None:
    model = network(identities=5)
    output = model(pictures(), pictures(seed=1))
    sum(
        getattr(output, n).logits.square().mean() + getattr(output, n).feature.square().mean() for n in HALVES
    ).backward()
    # A key's shift moves all scores of a query alike, which softmax does not see.
    blind = [n for n, _ in model.named_parameters() if n.endswith("attention.key.bias")]
    without = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert set(without) <= set(blind)


def test_grey_rows_are_the_visible_ones_without_colour_seen_as_infrared() -> None:
    model = network().eval()
    with torch.inference_mode():
        seen, night = pictures(), pictures(seed=1)
        output = model(seen, night)
        as_infrared = model(night, model.counterpart(seen))
        torch.testing.assert_close(output.grey.feature, as_infrared.infrared.feature)
        assert not torch.allclose(output.grey.feature, output.visible.feature, atol=1e-3)


def test_without_grey_rows_there_is_none() -> None:
    output = network(grey=False, identities=2)(pictures(), pictures(seed=1))
    assert output.grey is None
    assert output.infrared.logits.shape == (3, 2)


def test_kinds_of_light_have_their_own_patch_embeddings_and_nothing_else() -> None:
    model = network().eval()
    with torch.inference_mode():
        assert not torch.allclose(model.embed(pictures(), Modality.VISIBLE), model.embed(pictures(), Modality.INFRARED))
        for mine, other in zip(
            model.trunk.patches["infrared"].parameters(), model.trunk.patches["visible"].parameters(), strict=True
        ):
            mine.copy_(other)
        torch.testing.assert_close(
            model.embed(pictures(), Modality.VISIBLE), model.embed(pictures(), Modality.INFRARED)
        )


@pytest.mark.parametrize("size", ["tiny", "small"])
@pytest.mark.parametrize("modality", list(Modality))
def test_one_modality_is_enough_for_a_query(size: str, modality: Modality) -> None:
    model = network(size=size).eval()
    with torch.inference_mode():
        vectors = model.embed(pictures(), modality)
    assert vectors.dtype == torch.float32
    assert vectors.shape == (3, model.embedding_dim)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


def test_training_and_query_agree() -> None:
    model = network().eval()
    with torch.inference_mode():
        output = model(pictures(), pictures(seed=1))
        for head, seed, modality in ((output.visible, 0, Modality.VISIBLE), (output.infrared, 1, Modality.INFRARED)):
            expected = torch.nn.functional.normalize(head.embedding, dim=1)
            torch.testing.assert_close(model.embed(pictures(seed=seed), modality), expected, atol=1e-5, rtol=1e-4)


def test_a_clip_is_the_mean_of_its_frames() -> None:
    model = network().eval()
    clips = pictures(2, 4)
    with torch.inference_mode():
        frames = torch.stack([model.embed(clips[:, t], Modality.VISIBLE) for t in range(4)])
        expected = torch.nn.functional.normalize(frames.mean(dim=0), dim=1)
        torch.testing.assert_close(model.embed(clips, Modality.VISIBLE), expected)
        torch.testing.assert_close(model.embed(clips[:, :1], Modality.VISIBLE), frames[0])
        output = model(clips, clips)
    assert output.visible.feature.shape == (2, 576)


def test_feature_is_class_tokens_then_pooled_maps() -> None:
    model = network().eval()
    with torch.inference_mode():
        tokens = [model.trunk.tokens(pictures(), Modality.VISIBLE, branch) for branch in range(2)]
        fine, coarse = model.trunk(tokens)
        feature = model(pictures(), pictures()).visible.feature
        maps = [weigh(out.maps).mean(dim=(2, 3)) for weigh, out in zip(model.attention, (fine, coarse), strict=True)]
        assert fine.maps.shape == (3, 96, 8, 4)
        assert coarse.maps.shape == (3, 192, 6, 3)
        torch.testing.assert_close(feature, torch.cat((fine.class_token, coarse.class_token, *maps), dim=1))


def test_maps_put_tokens_back_in_their_places() -> None:
    """A patch that changes changes its own place of the map most."""
    model = network().eval()
    with torch.inference_mode():
        changed = pictures(1)
        changed[:, :, 2 * 12 : 3 * 12, 12 : 2 * 12] += 5.0
        maps = [
            model.trunk([model.trunk.tokens(given, Modality.VISIBLE, branch) for branch in range(2)])[0].maps
            for given in (pictures(1), changed)
        ]
        shift = (maps[1] - maps[0]).norm(dim=1)[0]
    assert divmod(int(shift.argmax()), 4) == (2, 1)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 96, 48), "expected .B, 3, H, W. or .B, N, 3, H, W., got .2, 96, 48."),
        ((2, 4, 96, 48), "expected .B, 3, H, W."),
        ((2, 3, 96, 96), "expected pictures of 96 x 48 px, got 96 x 96"),
    ],
)
def test_wrong_pictures_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network().embed(torch.zeros(shape), Modality.VISIBLE)


@pytest.mark.parametrize("size_px", [(256, 128), (288, 128), (100, 48)])
def test_sizes_that_patches_do_not_divide_are_refused(size_px: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"expected multiples of 48 px.*got {size_px[0]} x {size_px[1]}"):
        network(Preprocessing(height_px=size_px[0], width_px=size_px[1]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": "base"}, ValueError, "size: expected tiny or small, got 'base'"),
        ({"identities": -1}, ValueError, "expected identities >= 0, got -1"),
        ({"pooling_exponent": 0.5}, ValueError, "exponent >= 1"),
        ({"headz": 3}, TypeError, "headz"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        network(**options)


@pytest.mark.parametrize("other", [pictures(4, seed=1), pictures(3, 2, seed=1)])
def test_halves_must_be_aligned(other: Tensor) -> None:
    with pytest.raises(ValueError, match="halves of one shape"):
        network()(pictures(), other)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what timm (there through boxmot) makes of random weights; see the program."""
    folder = tmp_path_factory.mktemp("timm")
    subprocess.run([sys.executable, str(REFERENCE), str(folder)], check=True)
    return folder


@pytest.fixture(params=["tiny", "small"])
def timm(request: pytest.FixtureRequest, references: Path) -> tuple[str, dict[str, Tensor]]:
    return request.param, load_file(references / f"{request.param}.safetensors")


def released(reference: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("state."): value for name, value in reference.items() if name.startswith("state.")}


def whole(trunk: CrossViT, tokens: list[Tensor]) -> list[Tensor]:
    """Class token and patches of each branch as timm has them, [B, 1 + M, d]."""
    return [torch.cat((out.class_token[:, None], out.maps.flatten(2).transpose(1, 2)), dim=1) for out in trunk(tokens)]


@pytest.mark.parametrize("modality", list(Modality))
def test_released_weights_compute_what_timm_computes(timm: tuple[str, dict[str, Tensor]], modality: Modality) -> None:
    """At timm's own 240 and 224 px, and with both branches on a person's 96 x 48 and positions resampled to it."""
    size, reference = timm
    square = CrossViT(SIZES[size], ((20, 20), (14, 14))).eval()
    square.load_released(released(reference))
    person = network(size=size).eval()
    person.load_pretrained(released(reference))
    given = {
        "square": (square, (reference["pictures"], reference["smaller"])),
        "person": (person.trunk, (reference["crops"], reference["crops"])),
    }
    for name, (trunk, shown) in given.items():
        with torch.inference_mode():
            out = whole(trunk, [trunk.tokens(x, modality, branch) for branch, x in enumerate(shown)])
        for branch, tokens in enumerate(out):
            torch.testing.assert_close(tokens, reference[f"{name}.{branch}"], atol=1e-4, rtol=1e-4)


def test_other_weights_are_refused(timm: tuple[str, dict[str, Tensor]]) -> None:
    size, reference = timm
    state = released(reference)
    network(size=size).load_pretrained(
        {name.replace("_embed_", "_embed.").replace("token_", "token."): value for name, value in state.items()}
    )  # IBM's own spelling
    other = {"tiny": "small", "small": "tiny"}[size]
    for name, wrong, message in (
        (other, state, "size mismatch"),
        (size, {key: value for key, value in state.items() if key != "norm.1.bias"}, "Missing key.*norms.1.bias"),
        (size, {**state, "fc.weight": torch.zeros(2)}, "Unexpected key.*fc.weight"),
        (size, {**state, "pos_embed_0": state["pos_embed_0"][:, :-1]}, "square grid, got 399 patches"),
    ):
        with pytest.raises(ValueError, match=f"(?s)not the weights of this CrossViT: .*{message}"):
            network(size=name).load_pretrained(wrong)


def test_trunk_parameters_are_what_released_weights_fill() -> None:
    model = network(identities=3)
    trunk = {id(parameter) for parameter in model.trunk_parameters()}
    rest = {name.split(".")[0] for name, parameter in model.named_parameters() if id(parameter) not in trunk}
    assert rest == {"attention", "out"}
    assert len(trunk) == len(list(model.trunk.parameters()))


@pytest.mark.parametrize(("size", "parameters", "macs"), [("tiny", 6_903_844, 1.220e9), ("small", 26_647_684, 4.468e9)])
def test_size_and_cost_of_a_query(size: str, parameters: int, macs: float) -> None:
    """At 288 x 144, without a classifier; one kind of light's patch embeddings run."""
    model = create_model("fused_attention", size=size).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model.embed(torch.zeros(1, 3, 288, 144), Modality.VISIBLE)
    assert counter.get_total_flops() / 2 == pytest.approx(macs, rel=1e-3)
