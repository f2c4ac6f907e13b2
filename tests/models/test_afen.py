"""AFEN: two stems, attention between shared stages, enhancement before pooling."""

import pytest
import torch
from torch import Tensor, nn

from models.layers.fem import FeatureEnhancement, ReducedFeatureEnhancement
from models.preprocessing import Preprocessing
from models.registry import create_model
from models.reid import Afen, AfenOptions
from models.reid.backbones import create_backbone
from models.types import Modality
from tests.support.settled import settled

BACKBONES = ["mobilenetv2", "resnet50"]


def network(backbone: str = "mobilenetv2", **options: object) -> Afen:
    torch.manual_seed(0)
    built = create_model("afen", backbone=backbone, preprocessing=Preprocessing(96, 48), **options)
    assert isinstance(built, Afen)
    return built


def pictures(count: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 96, 48, generator=torch.Generator().manual_seed(seed))


def released(backbone: str) -> dict[str, Tensor]:
    torch.manual_seed(1)
    state = create_backbone(backbone, last_stride=1, stride_in_1x1=False).state_dict()
    return {k: v * 1.02 + 0.001 if v.is_floating_point() else v for k, v in state.items()}


def test_defaults_are_the_papers() -> None:
    with torch.device("meta"):
        model = create_model("afen")
    assert (model.preprocessing.height_px, model.preprocessing.width_px) == (288, 144)
    assert (model.config.backbone, model.config.last_stride) == ("resnet50", 1)
    assert model.embedding_dim == 2048
    assert list(model.mecs) == ["3", "4"]
    assert isinstance(model.fem, ReducedFeatureEnhancement)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_training_forward_gives_features_before_and_logits_after_the_neck(backbone: str) -> None:
    model = network(backbone, identities=5)
    output = model(pictures(4), pictures(4, seed=1))
    for head in (output.visible, output.infrared):
        assert head.feature.shape == head.embedding.shape == (4, model.embedding_dim)
        assert head.logits.shape == (4, 5)
        torch.testing.assert_close(head.logits, head.embedding @ model.head.out.classifier.weight.T)
    joint = torch.cat((output.visible.embedding, output.infrared.embedding))
    torch.testing.assert_close(joint.mean(dim=0), torch.zeros(model.embedding_dim), atol=1e-4, rtol=0)


def test_necks_for_each_kind_of_light_normalise_each_half() -> None:
    output = network(neck_per_modality=True)(pictures(4), pictures(4, seed=1) * 3)
    for head in (output.visible, output.infrared):
        torch.testing.assert_close(head.embedding.mean(dim=0), torch.zeros(1280), atol=1e-4, rtol=0)


@pytest.mark.parametrize("neck_per_modality", [False, True])
def test_training_and_query_agree(neck_per_modality: bool) -> None:
    model = settled(network(neck_per_modality=neck_per_modality), pictures(4), pictures(4, seed=1))
    with torch.inference_mode():
        output = model(pictures(), pictures(seed=1))
        for head, shown, modality in (
            (output.visible, pictures(), Modality.VISIBLE),
            (output.infrared, pictures(seed=1), Modality.INFRARED),
        ):
            expected = nn.functional.normalize(head.embedding, dim=1)
            torch.testing.assert_close(model.embed(shown, modality), expected, atol=1e-5, rtol=1e-4)


def test_each_light_has_its_stem_and_shares_the_rest() -> None:
    model = settled(network(), pictures(4, seed=2), pictures(4, seed=3))  # in training, rows feel the others
    model(pictures(4), pictures(4, seed=1)).visible.feature.sum().backward()
    stems = model.trunk.stems
    assert all(p.grad is not None and p.grad.any() for p in stems.visible.parameters())
    assert not any(p.grad is not None and p.grad.any() for p in stems.infrared.parameters())
    model(pictures(4), pictures(4, seed=1)).infrared.feature.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in stems.infrared.parameters())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_one_released_state_fills_both_stems_and_the_shared_stages(backbone: str) -> None:
    model = network(backbone)
    state = released(backbone)
    model.load_pretrained({**state, "fc.weight": torch.zeros(1000, 2048)})
    whole = create_backbone(backbone, last_stride=1, stride_in_1x1=False)
    whole.load_imagenet(state)
    whole.eval()
    model.eval()
    with torch.inference_mode():
        expected = whole(pictures())[5]
        for modality in Modality:  # MECS starts as the identity, so that the released network is what one starts from
            after = {int(stage): module for stage, module in model.mecs.items()}
            torch.testing.assert_close(model.trunk({modality: pictures()}, after), expected)
            torch.testing.assert_close(model.fem(expected), expected)
    filled = sum(p.numel() for p in model.trunk_parameters())
    stem = sum(p.numel() for p in model.trunk.stems.visible.parameters())
    assert filled == sum(p.numel() for p in whole.parameters()) + stem


@pytest.mark.parametrize("options", [{}, {"literal_mecs": True}, {"fem_width": 0}, {"mecs_stages": ()}])
def test_every_trained_parameter_gets_a_finite_gradient(options: dict[str, object]) -> None:
    model = network(identities=3, **options)
    output = model(pictures(4), pictures(4, seed=1))
    loss = sum(h.logits.square().sum() + h.feature.square().sum() for h in (output.visible, output.infrared))
    loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_literal_forms() -> None:
    gentle, literal = network(), network(literal_mecs=True)
    assert {name.split(".")[-1] for name, _ in gentle.mecs["3"].named_parameters()} >= {"scale"}
    assert not any("scale" in name for name, _ in literal.mecs.named_parameters())
    assert isinstance(network(fem_width=1280).fem, FeatureEnhancement)
    bare = settled(network(mecs_stages=(), fem_width=0), pictures(4, seed=2), pictures(4, seed=4))
    gentle.load_state_dict(bare.state_dict(), strict=False)
    gentle.eval()
    with torch.inference_mode():  # untrained, the modules change nothing
        a, b = (model.embed(pictures(), Modality.VISIBLE) for model in (gentle, bare))
    torch.testing.assert_close(a, b)


def test_mecs_stands_where_it_is_told() -> None:
    model = network(mecs_stages=[2, 5])
    assert [m.spatial.mix.in_channels for m in model.mecs.values()] == [24, 1280]
    assert model.options["mecs_stages"] == [2, 5]
    with torch.device("meta"):
        default = create_model("afen")
    assert [m.spatial.mix.in_channels for m in default.mecs.values()] == [512, 1024]  # layer2 and layer3


def test_clips_are_averaged_in_training() -> None:
    model = settled(network(), pictures(4, seed=2), pictures(4, seed=4))
    clips = torch.stack((pictures(), pictures(seed=3)), dim=1)
    with torch.inference_mode():
        of_clips = model(clips, clips).visible.feature
        of_frames = [model(clips[:, n], clips[:, n]).visible.feature for n in range(2)]
    torch.testing.assert_close(of_clips, (of_frames[0] + of_frames[1]) / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mecs_stages": (4, 3)}, "ascending stages of 2..5"),
        ({"mecs_stages": (1,)}, "ascending stages of 2..5"),
        ({"mecs_reduction": 0}, "mecs_reduction >= 1"),
        ({"fem_width": -1}, "fem_width >= 0"),
        ({"fem_width": 511}, "even number of channels, got 511"),
        ({"last_stride": 3}, "expected 1 or 2, got 3"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**options)


def test_options_are_plain() -> None:
    assert AfenOptions(mecs_stages=[3]).mecs_stages == (3,)
    with pytest.raises(TypeError, match="mecs_stage"):
        network(mecs_stage=3)
