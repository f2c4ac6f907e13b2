"""CMFT: shapes for both trunks, one-modality queries, clips and pictures, gradients, errors."""

import pytest
import torch
from torch import Tensor

from models.preprocessing import Preprocessing
from models.registry import create_model, list_models
from models.reid import Cmft, CmftOptions
from models.types import Modality

BACKBONES = ["efficientnet_lite0", "mobilenetv2", "osnet", "resnet50"]
SMALL = {"fusion_width": 64, "final_width": 64, "fused_dim": 48, "stream_dim": 32, "frames": 3}


def network(backbone: str = "mobilenetv2", **options: object) -> Cmft:
    torch.manual_seed(0)
    built = create_model("cmft", backbone=backbone, **{**SMALL, **options})
    assert isinstance(built, Cmft)
    return built


def settled(backbone: str = "mobilenetv2", **options: object) -> Cmft:
    """In evaluation mode, its batch norms having seen data: fresh ones let the signal of a picture die out."""
    model = network(backbone, **options)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean of what was seen
    with torch.no_grad():
        model(clips(4, seed=8), clips(4, seed=9))
    return model.eval()


def clips(count: int = 2, frames: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(count, frames, 3, 64, 32, generator=torch.Generator().manual_seed(seed))


def test_registry_lists_and_names() -> None:
    assert "cmft" in list_models()
    with pytest.raises(KeyError, match=r"no network called 'cmtf'; there are .*cmft"):
        create_model("cmtf")
    with pytest.raises(TypeError, match="cmft has no option headz"):
        create_model("cmft", headz=3)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_training_forward_gives_what_the_losses_need(backbone: str) -> None:
    model = network(backbone, identities=5)
    output = model(clips(), clips(seed=1))
    for name in ("visible", "infrared", "visible_counterpart", "infrared_counterpart"):
        head = getattr(output, name)
        assert head.feature.shape == head.embedding.shape == (2, 32)
        assert head.logits.shape == (2, 5)
    for name in ("fused_visible", "fused_infrared", "fused_pair"):
        head = getattr(output, name)
        assert head.feature.shape == (2, 48)
        assert head.logits.shape == (2, 5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_trained_parameter_gets_a_gradient(backbone: str) -> None:
    model = network(backbone, identities=5)
    output = model(clips(), clips(seed=1))
    heads = [getattr(output, name) for name in output.__slots__]
    sum(head.logits.square().mean() + head.feature.square().mean() for head in heads).backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert without == []


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("modality", list(Modality))
@pytest.mark.parametrize(("form", "dim"), [("fused", 48), ("stream", 32), ("both", 80)])
def test_one_modality_is_enough_for_a_query(backbone: str, modality: Modality, form: str, dim: int) -> None:
    model = settled(backbone, embedding=form)
    with torch.inference_mode():
        of_clips = model.embed(clips(), modality)
        of_pictures = model.embed(clips()[:, 0], modality)
    assert model.embedding_dim == dim
    assert of_clips.shape == of_pictures.shape == (2, dim)
    torch.testing.assert_close(of_clips.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(of_pictures.norm(dim=1), torch.ones(2))


def test_default_embedding_has_512_dimensions() -> None:
    assert CmftOptions().fused_dim == CmftOptions().stream_dim == 512


@pytest.mark.parametrize("form", ["fused", "stream"])
def test_a_clip_of_one_frame_is_that_picture(form: str) -> None:
    model = settled(embedding=form)
    with torch.inference_mode():
        torch.testing.assert_close(
            model.embed(clips(frames=1), Modality.VISIBLE), model.embed(clips(frames=1)[:, 0], Modality.VISIBLE)
        )


def test_temporal_shift_makes_the_order_of_frames_matter() -> None:
    forward, backward = clips(), clips().flip(1)
    with torch.inference_mode():
        for shifted in (True, False):
            model = settled(temporal_shift=shifted, embedding="stream")
            a, b = model.embed(forward, Modality.VISIBLE), model.embed(backward, Modality.VISIBLE)
            assert torch.allclose(a, b, atol=1e-4) is not shifted


def test_stream_embedding_runs_one_stream_only() -> None:
    model = network(embedding="stream").eval()
    with torch.no_grad():
        for parameter in model.stream(Modality.INFRARED).parameters():
            parameter.fill_(torch.nan)
        assert torch.isfinite(model.embed(clips(), Modality.VISIBLE)).all()
        assert not torch.isfinite(model.embed(clips(), Modality.INFRARED)).all()


def test_fused_embedding_shows_the_other_stream_the_grey_copy() -> None:
    model = settled()
    seen = {}
    for modality in Modality:
        model.stream(modality).register_forward_pre_hook(
            lambda _, inputs, m=modality: seen.__setitem__(m, inputs[0].clone())
        )
    with torch.inference_mode():
        model.embed(clips(), Modality.VISIBLE)
        folded = clips().flatten(0, 1)
        assert torch.equal(seen[Modality.VISIBLE], folded)
        torch.testing.assert_close(seen[Modality.INFRARED], model.counterpart(folded))


def test_training_and_query_agree_on_the_fused_embedding() -> None:
    model = settled()
    with torch.inference_mode():
        output = model(clips(), clips(seed=1))
        assert output.fused_visible is not None
        assert output.fused_infrared is not None
        for head, pictures, modality in (
            (output.fused_visible, clips(), Modality.VISIBLE),
            (output.fused_infrared, clips(seed=1), Modality.INFRARED),
        ):
            expected = torch.nn.functional.normalize(head.embedding, dim=1)
            torch.testing.assert_close(model.embed(pictures, modality), expected, atol=1e-5, rtol=1e-4)


def test_counterparts_can_be_given() -> None:
    model = settled()
    with torch.inference_mode():
        plain = model(clips(), clips(seed=1))
        same = model(clips(), clips(seed=1), model.counterpart(clips().flatten(0, 1)).reshape(clips().shape), None)
        other = model(clips(), clips(seed=1), clips(seed=7), None)
    torch.testing.assert_close(plain.fused_visible.feature, same.fused_visible.feature)
    assert not torch.allclose(plain.fused_visible.feature, other.fused_visible.feature)
    torch.testing.assert_close(plain.fused_pair.feature, other.fused_pair.feature)


def test_without_fusion_there_is_none() -> None:
    model = network(embedding="stream", fusion=False, identities=3)
    output = model(clips(), clips(seed=1))
    assert output.fused_pair is None
    assert output.visible.logits.shape == (2, 3)
    with pytest.raises(ValueError, match="expected stream without fusion, got 'fused'"):
        CmftOptions(fusion=False)


@pytest.mark.parametrize("last_stride", [1, 2])
@pytest.mark.parametrize("stages", [(), (5,), (4, 5), (2, 3, 4, 5)])
def test_fusion_stages_fit_together(stages: tuple[int, ...], last_stride: int) -> None:
    model = network(fusion_stages=stages, last_stride=last_stride).eval()
    with torch.inference_mode():
        assert model.embed(clips(1), Modality.VISIBLE).shape == (1, 48)


@pytest.mark.parametrize(("height_px", "width_px"), [(96, 48), (72, 40)])
def test_fusion_stages_fit_where_a_stage_rounds_an_odd_side_up(height_px: int, width_px: int) -> None:
    preprocessing = Preprocessing(height_px=height_px, width_px=width_px)
    model = network(fusion_stages=(2, 3, 4, 5), last_stride=2, preprocessing=preprocessing).eval()
    with torch.inference_mode():
        vectors = model.embed(torch.randn(2, 3, height_px, width_px), Modality.VISIBLE)
    assert vectors.shape == (2, 48)
    assert torch.isfinite(vectors).all()


def test_counterparts_move_no_neck_a_query_is_embedded_by() -> None:
    model = network(identities=5).train()
    output = model(clips(), clips(seed=1))
    for kind, head in (("visible", output.visible), ("infrared_counterpart", output.infrared_counterpart)):
        norm = model.stream_out.neck.norm_of(kind)
        torch.testing.assert_close(norm.running_mean, norm.momentum * head.feature.mean(dim=0))


def test_lights_that_share_a_stream_differ_by_their_necks_alone() -> None:
    model = settled("osnet", shared_streams=True, embedding="both", identities=5)
    assert model.stream(Modality.VISIBLE) is model.stream(Modality.INFRARED)
    with torch.no_grad():
        output = model(clips(), clips(seed=1))
    assert output.visible_counterpart is None
    assert output.infrared_counterpart is None
    assert output.fused_pair is not None
    assert torch.equal(model(clips(), clips()).visible.feature, model(clips(), clips()).infrared.feature)
    for modality, head in ((Modality.VISIBLE, output.visible), (Modality.INFRARED, output.infrared)):
        seed = 0 if modality is Modality.VISIBLE else 1
        with torch.inference_mode():
            stream = model.embed(clips(seed=seed), modality)[:, -32:] * 2**0.5
        torch.testing.assert_close(stream, torch.nn.functional.normalize(head.embedding), rtol=1e-4, atol=1e-5)


def test_a_shared_stream_without_fusion_needs_no_counterparts() -> None:
    model = network(
        "osnet", shared_streams=True, fusion=False, fusion_stages=(), embedding="stream", identities=5, frames=1
    )
    runs: list[int] = []
    model.stream(Modality.VISIBLE).register_forward_pre_hook(lambda _module, given: runs.append(len(given[0])))
    output = model(clips(frames=1)[:, 0], clips(frames=1, seed=1)[:, 0])
    assert runs == [4]
    assert output.fused_visible is None
    output.visible.logits.sum().backward()


def released_head(height: int, width: int) -> dict[str, Tensor]:
    return {
        "pool.weight": torch.rand(256, 1, height, width),
        "pool.bias": torch.rand(256),
        "project.weight": torch.rand(32, 256),
    }


def test_a_depthwise_pool_starts_from_a_released_head() -> None:
    options = {"shared_streams": True, "stream_pool": "depthwise", "stream_dim": 32}
    model = create_model("cmft", preprocessing=Preprocessing(64, 32), backbone="osnet", **{**SMALL, **options})
    assert isinstance(model, Cmft)
    head = released_head(4, 2)
    trunk = {name: value + 0.5 for name, value in model.stream(Modality.VISIBLE).state_dict().items()}
    model.load_pretrained({**trunk, **{f"head.{name}": value for name, value in head.items()}})
    state = model.state_dict()
    assert torch.equal(state["stream_heads.both.project.weight"], head["project.weight"])
    assert torch.equal(state["stream_heads.both.pools.0.weight"], head["pool.weight"])
    assert {id(p) for p in model.stream_heads.parameters()} <= {id(p) for p in model.trunk_parameters()}
    with pytest.raises(ValueError, match="maps of the released head's size"):
        model.load_pretrained({**trunk, **{f"head.{name}": value for name, value in released_head(16, 8).items()}})


def test_one_branch_form_runs() -> None:
    model = network(fusion_branches=1, fusion_stages=(), fusion_bias=False).eval()
    with torch.inference_mode():
        assert model.embed(clips(1), Modality.INFRARED).shape == (1, 48)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 64, 32), "expected .B, 3, H, W. or .B, N, 3, H, W., got .2, 64, 32."),
        ((2, 4, 64, 32), "expected .B, 3, H, W."),
        ((2, 5, 3, 64, 32), "expected clips of 1 or 3 frames, got 5"),
    ],
)
def test_wrong_pictures_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network().embed(torch.zeros(shape), Modality.VISIBLE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding": "all"}, "expected fused, stream or both, got 'all'"),
        ({"fusion_stages": (5, 4)}, "ascending stages"),
        ({"fusion_stages": (1,)}, "stages of 2..5"),
        ({"stream_levels": (4, 5), "stream_parts": (1,)}, "expected one number a level"),
        ({"stream_pool": "max"}, "expected gem or depthwise, got 'max'"),
        ({"stream_pool": "depthwise", "stream_parts": (2,)}, r"expected \(1,\) with a depthwise pool"),
        ({"backbone": "osnet", "last_stride": 2}, "OSNet's last stage"),
        ({"last_stride": 3}, "expected 1 or 2, got 3"),
        ({"stride_in_1x1": True}, "matter of ResNet"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**options)


@pytest.mark.parametrize("in_1x1", [False, True])
def test_resnet_has_the_names_and_the_size_of_released_weights(in_1x1: bool) -> None:
    trunk = network("resnet50", stride_in_1x1=in_1x1).stream(Modality.VISIBLE)
    assert sum(p.numel() for p in trunk.parameters()) == 23_508_032
    assert {"conv1.weight", "layer1.0.downsample.0.weight", "layer4.2.bn3.running_var"} <= set(trunk.state_dict())
    strides = {n: m.stride for n, m in trunk.named_modules() if n in ("layer2.0.conv1", "layer2.0.conv2")}
    assert strides["layer2.0.conv1"] == ((2, 2) if in_1x1 else (1, 1))
    assert strides["layer2.0.conv2"] == ((1, 1) if in_1x1 else (2, 2))


def test_resnet_maps_have_the_sizes_of_the_field() -> None:
    trunk = network("resnet50").stream(Modality.VISIBLE).eval()
    with torch.inference_mode():
        maps = trunk(torch.zeros(1, 3, 288, 144))
    assert {s: tuple(m.shape[1:]) for s, m in maps.items()} == {
        2: (256, 72, 36),
        3: (512, 36, 18),
        4: (1024, 18, 9),
        5: (2048, 18, 9),
    }


@pytest.mark.parametrize("backbone", BACKBONES)
def test_released_weights_load_into_both_streams(backbone: str) -> None:
    released = {
        k: v + 0.5 if v.is_floating_point() else v
        for k, v in network(backbone).stream(Modality.VISIBLE).state_dict().items()
    }
    model = network(backbone)
    model.load_pretrained({**released, "fc.weight": torch.zeros(1000, 2048), "classifier.1.bias": torch.zeros(1000)})
    for modality in Modality:
        state = model.stream(modality).state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in released.items())
    released.pop(next(iter(released)))
    with pytest.raises(ValueError, match=r"not the weights of a .*missing"):
        model.load_pretrained(released)
