"""TACAFNet: parts as a graph, maps of both lights rebuilt from one another in training."""

import pytest
import torch
from torch import Tensor, nn

from models.layers import part_graph, reconstruct
from models.losses import dense_triplet
from models.preprocessing import Preprocessing
from models.registry import create_model
from models.reid import Tacafnet, TacafnetOutput
from models.types import Modality
from tests.support.settled import settled

ROWS = 4
NEGATIVES = torch.tensor([2, 3, 0, 1])


def network(backbone: str = "mobilenetv2", **options: object) -> Tacafnet:
    torch.manual_seed(0)
    values = {"parts": 3, "part_dim": 16, "identities": 5, **options}
    built = create_model("tacafnet", backbone=backbone, preprocessing=Preprocessing(96, 48), **values)
    assert isinstance(built, Tacafnet)
    return built


def pictures(count: int = ROWS, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 96, 48, generator=torch.Generator().manual_seed(seed))


def ready(**options: object) -> Tacafnet:
    return settled(network(**options), pictures(8, seed=8), pictures(8, seed=9))


def trained(model: Tacafnet, negatives: Tensor | None = NEGATIVES) -> TacafnetOutput:
    output: TacafnetOutput = model(pictures(), pictures(seed=1), negatives)
    return output


def test_defaults_and_dimensions() -> None:
    with torch.device("meta"):
        model = create_model("tacafnet")
        wider = create_model("tacafnet", cumulative=True)
    assert (model.preprocessing.height_px, model.preprocessing.width_px) == (288, 144)
    assert model.embedding_dim == 2048 + 6 * 512 == 5120
    assert wider.embedding_dim == 2048 + 11 * 512


@pytest.mark.parametrize("backbone", ["mobilenetv2", "resnet50"])
def test_training_forward_gives_all_heads(backbone: str) -> None:
    model = network(backbone)
    output = trained(model)
    channels = model.trunk.channels[5]
    for light in Modality:
        whole = [getattr(output, f"{light}{suffix}") for suffix in ("", "_reconstructed")]
        parts = [getattr(output, f"{light}{suffix}") for suffix in ("_parts", "_pair_parts")]
        assert all(head.feature.shape == head.embedding.shape == (ROWS, channels) for head in whole)
        assert [len(heads) for heads in parts] == [3, 3]
        assert all(head.feature.shape == head.embedding.shape == (ROWS, 16) for heads in parts for head in heads)
        assert all(head.logits.shape == (ROWS, 5) for head in (*whole, *parts[0], *parts[1]))
        dense = getattr(output, f"{light}_dense")
        assert dense.own.shape == dense.positive.shape == dense.negative.shape == (ROWS, channels, 6 * 3)
        assert dense.mask.shape == (ROWS, 6 * 3)
        assert torch.isfinite(dense_triplet(dense.own, dense.positive, dense.negative, dense.mask))


def test_dense_maps_come_from_the_rows_they_should() -> None:
    model = ready()
    with torch.no_grad():
        output = trained(model)
        seen, night = (
            model.trunk({m: p}).flatten(2)
            for m, p in ((Modality.VISIBLE, pictures()), (Modality.INFRARED, pictures(seed=1)))
        )
    for dense, own, other in ((output.visible_dense, seen, night), (output.infrared_dense, night, seen)):
        torch.testing.assert_close(dense.own, own)
        for row in range(ROWS):
            positive = reconstruct(own[[row]], other[[row]])
            negative = reconstruct(own[[row]], other[[int(NEGATIVES[row])]])
            torch.testing.assert_close(dense.positive[[row]], positive.maps, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(dense.mask[[row]], positive.mask, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(dense.negative[[row]], negative.maps, atol=1e-4, rtol=1e-4)


def test_reconstructed_heads_pool_the_positive_maps() -> None:
    model = ready()
    with torch.no_grad():
        output = trained(model)
        expected = model.pool(output.infrared_dense.positive[..., None])
    torch.testing.assert_close(output.infrared_reconstructed.feature, expected)


def test_pair_parts_ask_the_other_light() -> None:
    model = ready()
    with torch.no_grad():
        output = trained(model)
        nodes = [
            model._nodes(maps, model.pool(maps))
            for maps in (
                model.trunk({Modality.VISIBLE: pictures()}),
                model.trunk({Modality.INFRARED: pictures(seed=1)}),
            )
        ]
        for own, other, parts, pairs in (
            (*nodes, output.visible_parts, output.visible_pair_parts),
            (*nodes[::-1], output.infrared_parts, output.infrared_pair_parts),
        ):
            for part in range(3):
                torch.testing.assert_close(parts[part].feature, model.graph(own)[:, part + 1])
                torch.testing.assert_close(pairs[part].feature, model.graph(own, other)[:, part + 1])
    assert torch.equal(model.graph.graph, part_graph(3))


def test_without_negatives_there_are_no_dense_maps() -> None:
    output = trained(network(), None)
    assert output.visible_dense is None
    assert output.infrared_dense is None
    assert output.visible_reconstructed is not None


def test_modules_can_be_left_out() -> None:
    output = trained(network(cmaam=False, ipcam=False))
    assert output.visible_reconstructed is output.infrared_reconstructed is output.visible_dense is None
    assert output.visible_pair_parts == output.infrared_pair_parts == ()
    assert len(output.visible_parts) == 3


def test_cumulative_heads_follow_the_parts() -> None:
    model = ready(cumulative=True)
    with torch.no_grad():
        output = trained(model)
        vector = model.embed(pictures(), Modality.VISIBLE)
    heads = output.visible_parts
    assert len(heads) == len(output.visible_pair_parts) == 5
    torch.testing.assert_close(heads[3].feature, (heads[0].feature + heads[1].feature) / 2)
    torch.testing.assert_close(heads[4].feature, sum(h.feature for h in heads[:3]) / 3)
    assert vector.shape == (ROWS, 1280 + 5 * 16)


@pytest.mark.parametrize("neck_per_modality", [False, True])
def test_a_query_is_global_and_parts_after_batch_norm(neck_per_modality: bool) -> None:
    model = ready(neck_per_modality=neck_per_modality)
    with torch.no_grad():
        output = trained(model)
        for light in Modality:
            heads = (getattr(output, light), *getattr(output, f"{light}_parts"))
            expected = nn.functional.normalize(torch.cat([h.embedding for h in heads], dim=1), dim=1)
            shown = pictures() if light is Modality.VISIBLE else pictures(seed=1)
            torch.testing.assert_close(model.embed(shown, light), expected, atol=1e-5, rtol=1e-4)


def test_what_only_training_has_moves_no_statistics_of_a_query() -> None:
    plain, full = network(), network()
    for model, negatives in ((plain, None), (full, NEGATIVES)):
        trained(model, negatives)
    name = "head.out.neck.norms.both.running_mean"
    assert torch.equal(plain.state_dict()[name], full.state_dict()[name])
    without = network(cmaam=False)
    without.load_state_dict(network().state_dict(), strict=False)
    trained(without)
    torch.testing.assert_close(without.state_dict()[name], full.state_dict()[name])
    assert full.state_dict()["head.out.neck.norms.reconstructed.running_mean"].any()


@pytest.mark.parametrize("options", [{}, {"cumulative": True}, {"neck_per_modality": True}])
def test_every_trained_parameter_gets_a_finite_gradient(options: dict[str, object]) -> None:
    model = network(**options)
    output = trained(model)
    loss = torch.zeros(())
    for light in Modality:
        heads = [getattr(output, f"{light}{s}") for s in ("", "_reconstructed")]
        heads += [h for s in ("_parts", "_pair_parts") for h in getattr(output, f"{light}{s}")]
        dense = getattr(output, f"{light}_dense")
        loss = loss + sum(h.logits.square().sum() + h.feature.square().sum() for h in heads)
        loss = loss + dense_triplet(dense.own, dense.positive, dense.negative, dense.mask)
    loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_clips_are_aligned_frame_by_frame() -> None:
    model = ready()
    seen, night = (torch.stack((pictures(seed=s), pictures(seed=s + 5)), dim=1) for s in (0, 1))
    with torch.no_grad():
        of_clips = model(seen, night, NEGATIVES)
        of_frames = [model(seen[:, n], night[:, n], NEGATIVES) for n in range(2)]
    assert of_clips.visible_dense.own.shape[0] == 2 * ROWS
    for n, single in enumerate(of_frames):
        torch.testing.assert_close(
            of_clips.visible_dense.negative[n::2], single.visible_dense.negative, atol=2e-4, rtol=2e-3
        )
    for name in ("visible", "infrared_reconstructed"):
        mean = sum(getattr(single, name).feature for single in of_frames) / 2
        torch.testing.assert_close(getattr(of_clips, name).feature, mean)
        assert getattr(of_clips, name).logits.shape == (ROWS, 5)


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        (torch.tensor([0, 1]), r"expected int64\[4\], got torch.int64\[2\]"),
        (torch.tensor([0.0, 1, 2, 3]), r"expected int64\[4\], got torch.float32\[4\]"),
        (torch.tensor([1, 2, 3, 4]), r"expected rows of 0..3, got \[1, 2, 3, 4\]"),
    ],
)
def test_wrong_negatives_are_refused(negatives: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trained(network(), negatives)


def test_parts_must_divide_the_map() -> None:
    with pytest.raises(ValueError, match="divides the 6 rows of the last map for a height of 96 px, got 4"):
        network(parts=4)
    with pytest.raises(ValueError, match="expected a height that 3 parts divide, got 4"):
        network().embed(torch.zeros(1, 3, 64, 32), Modality.VISIBLE)
    with torch.device("meta"):
        for height in (288, 384, 96):
            create_model("tacafnet", preprocessing=Preprocessing(height, 48))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": 0}, "parts >= 1"),
        ({"part_dim": 0}, "part_dim >= 1"),
        ({"sharpness": 0.0}, "sharpness: expected more than 0, got 0.0"),
        ({"identities": -1}, "identities >= 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**options)
