"""Attention, enhancement and alignment of AFEN and TACAFNet against plain loops."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.layers import (
    ChannelNorm,
    ConvMlp,
    FeatureEnhancement,
    FeatureRefinement,
    MedianEnhancedAttention,
    ModalityStems,
    PartGraphAttention,
    ReducedFeatureEnhancement,
    correspondence,
    cumulative_means,
    global_median,
    part_graph,
    person_mask,
    reconstruct,
)
from models.types import Modality
from tests.support.settled import awake


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return build()


SHAPE_PRESERVING = {
    "mecs": lambda: MedianEnhancedAttention(8),
    "literal mecs": lambda: MedianEnhancedAttention(8, literal=True),
    "frm": lambda: FeatureRefinement(8),
    "fem": lambda: FeatureEnhancement(8),
    "reduced fem": lambda: ReducedFeatureEnhancement(8, 4),
    "conv mlp": lambda: ConvMlp(8),
}


@pytest.mark.parametrize("name", SHAPE_PRESERVING)
@pytest.mark.parametrize("size", [(18, 9), (4, 2), (1, 1), (5, 8)])
def test_map_layers_keep_the_shape(name: str, size: tuple[int, int]) -> None:
    layer = seeded(SHAPE_PRESERVING[name])
    assert layer(random(2, 8, *size)).shape == (2, 8, *size)


@pytest.mark.parametrize("name", SHAPE_PRESERVING)
@pytest.mark.parametrize("maps", [random(2, 8, 6, 3), torch.zeros(2, 8, 6, 3), torch.ones(2, 8, 6, 3)])
def test_map_layers_have_finite_gradients(name: str, maps: Tensor) -> None:
    layer = awake(seeded(SHAPE_PRESERVING[name]))
    maps = maps.clone().requires_grad_()
    layer(maps).square().sum().backward()
    for tensor in (maps, *layer.parameters()):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


@pytest.mark.parametrize("name", SHAPE_PRESERVING)
def test_map_layers_run_in_bfloat16(name: str) -> None:
    layer = awake(seeded(SHAPE_PRESERVING[name]))
    maps = random(2, 8, 6, 3)
    exact = layer(maps)
    with torch.autocast("cpu", torch.bfloat16):
        rough = layer(maps)
    torch.testing.assert_close(rough.float(), exact, atol=0.1, rtol=0.1)


def test_stems_start_alike_and_learn_apart() -> None:
    stems = ModalityStems(seeded(lambda: nn.Conv2d(3, 4, 3)))
    pictures = random(1, 3, 8, 8)
    assert torch.equal(stems(pictures, Modality.VISIBLE), stems(pictures, Modality.INFRARED))
    stems(pictures, Modality.VISIBLE).sum().backward()
    assert stems.visible.weight.grad is not None
    assert stems.infrared.weight.grad is None


@pytest.mark.parametrize("size", [(18, 9), (3, 3), (1, 1), (2, 1)])
def test_median_is_torchs_lower_one(size: tuple[int, int]) -> None:
    maps = random(3, 5, *size)
    assert torch.equal(global_median(maps)[:, :, 0, 0], maps.flatten(2).median(dim=2).values)


def test_median_of_an_even_count_is_the_smaller_of_the_middle_two() -> None:
    assert global_median(torch.tensor([4.0, 1.0, 3.0, 2.0]).reshape(1, 1, 2, 2)).item() == 2.0


def test_mecs_computes_equations_1_to_4() -> None:
    layer = seeded(lambda: MedianEnhancedAttention(8, reduction=2, literal=True))
    maps = random(2, 8, 5, 4)
    first, _, second = layer.channel.mlp
    weighed = torch.empty_like(maps)
    for b in range(2):
        total = torch.zeros(8)
        for pooled in (maps[b].mean((1, 2)), maps[b].amax((1, 2)), maps[b].flatten(1).median(1).values):
            hidden = torch.relu(first.weight[:, :, 0, 0] @ pooled + first.bias)
            total += torch.sigmoid(second.weight[:, :, 0, 0] @ hidden + second.bias)
        weighed[b] = total[:, None, None] * maps[b]
    base = depthwise(weighed, layer.spatial.base)
    scales = base + sum(depthwise(base, strip) for strip in layer.spatial.strips)
    mix = layer.spatial.mix
    spatial = torch.einsum("oc,bchw->bohw", mix.weight[:, :, 0, 0], scales) + mix.bias[None, :, None, None]
    torch.testing.assert_close(layer(maps), spatial * weighed, atol=1e-5, rtol=1e-5)


def depthwise(maps: Tensor, layer: nn.Conv2d) -> Tensor:
    """A depthwise convolution at stride 1 and same size, place by place."""
    (high, wide), (_, _, height, width) = layer.kernel_size, maps.shape
    out = torch.empty_like(maps)
    padded = nn.functional.pad(maps, (wide // 2, wide // 2, high // 2, high // 2))
    for y in range(height):
        for x in range(width):
            window = padded[:, :, y : y + high, x : x + wide]
            out[:, :, y, x] = (window * layer.weight[:, 0]).sum((2, 3)) + layer.bias
    return out


def test_mecs_has_the_published_kernels() -> None:
    spatial = MedianEnhancedAttention(8).spatial
    assert spatial.base.kernel_size == (5, 5)
    assert {strip.kernel_size for strip in spatial.strips} == {(1, 7), (7, 1), (1, 11), (11, 1), (1, 21), (21, 1)}
    assert all(conv.groups == 8 for conv in (spatial.base, *spatial.strips))


def test_mecs_starts_as_the_identity_unless_literal() -> None:
    maps = random(2, 8, 5, 4)
    assert torch.equal(seeded(lambda: MedianEnhancedAttention(8))(maps), maps)
    literal = seeded(lambda: MedianEnhancedAttention(8, literal=True))
    assert not torch.allclose(literal(maps), maps, atol=0.1)
    scaled = seeded(lambda: MedianEnhancedAttention(8))
    nn.init.ones_(scaled.scale)
    torch.testing.assert_close(scaled(maps), literal(maps))


def test_channel_norm_normalises_each_place() -> None:
    maps = random(2, 6, 3, 2) * 4 + 1
    normalised = ChannelNorm(6)(maps)
    for b in range(2):
        for y in range(3):
            for x in range(2):
                place = maps[b, :, y, x]
                expected = (place - place.mean()) / (place.var(correction=0) + 1e-6).sqrt()
                torch.testing.assert_close(normalised[b, :, y, x], expected, atol=1e-5, rtol=1e-4)


def test_refinement_splits_edges_from_bodies() -> None:
    """Step by step, at the odd size of the paper's map (18 x 9 -> 9 x 5 -> 18 x 9)."""
    layer = seeded(lambda: FeatureRefinement(4))
    maps = random(2, 4, 18, 9)
    small = layer.blur(maps)
    assert small.shape == (2, 4, 9, 5)
    blurred = bilinear(small, (18, 9))
    branches = []
    for branch, part in ((layer.high, maps - blurred), (layer.low, maps * blurred)):
        _, conv, norm = branch
        gelu = part * 0.5 * (1 + torch.erf(part / math.sqrt(2)))
        branches.append(norm(depthwise(gelu, conv)))
    torch.testing.assert_close(layer(maps), layer.project(torch.cat(branches, 1)), atol=1e-5, rtol=1e-4)


def bilinear(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Between pixel centres (``align_corners=False``), place by place."""
    out = maps.new_empty(*maps.shape[:2], *size)
    for y in range(size[0]):
        for x in range(size[1]):
            place = []
            for at, new, old in ((y, size[0], maps.shape[2]), (x, size[1], maps.shape[3])):
                source = max((at + 0.5) * old / new - 0.5, 0.0)
                low = int(source)
                place.append((low, min(low + 1, old - 1), source - low))
            (y0, y1, v), (x0, x1, u) = place
            top = maps[:, :, y0, x0] * (1 - u) + maps[:, :, y0, x1] * u
            bottom = maps[:, :, y1, x0] * (1 - u) + maps[:, :, y1, x1] * u
            out[:, :, y, x] = top * (1 - v) + bottom * v
    return out


def test_conv_mlp_adds_what_the_neighbours_say() -> None:
    layer = seeded(lambda: ConvMlp(3, expansion=2))
    maps = random(1, 3, 4, 3)
    wide = layer.widen(maps)
    near = depthwise(wide, layer.neighbours)
    expected = layer.narrow(wide + near * 0.5 * (1 + torch.erf(near / math.sqrt(2))))
    torch.testing.assert_close(layer(maps), expected, atol=1e-6, rtol=1e-5)


def test_enhancement_follows_its_steps() -> None:
    layer = seeded(lambda: FeatureEnhancement(8))
    maps = random(2, 8, 6, 3)
    embedded = layer.norm(maps)
    conv, gelu, norm = layer.embed
    embedded = embedded + norm(gelu(conv(embedded)))
    conv, gelu, norm = layer.compress
    half = norm(gelu(conv(embedded)))
    assert half.shape[1] == 4
    fused = maps + layer.restore(layer.refine(half))
    torch.testing.assert_close(layer(maps), fused + layer.mlp(layer.mlp_norm(fused)))
    with pytest.raises(ValueError, match="even number of channels, got 7"):
        FeatureEnhancement(7)


def test_reduced_enhancement_starts_as_the_identity_and_saves_parameters() -> None:
    maps = random(2, 8, 6, 3)
    layer = seeded(lambda: ReducedFeatureEnhancement(8, 4))
    assert torch.equal(layer(maps), maps)
    awake(layer)
    torch.testing.assert_close(layer(maps), maps + layer.expand(layer.enhance(layer.reduce(maps))))
    with torch.device("meta"):
        wide, narrow = ConvMlp(2048), ReducedFeatureEnhancement(2048, 512)
    count = [sum(p.numel() for p in module.parameters()) for module in (wide, narrow)]
    assert count[0] > 33.5e6
    assert count[1] < 5e6


def test_part_graph_is_a_chain_that_knows_the_whole() -> None:
    expected = [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 0, 1, 1, 1],
        [1, 0, 0, 1, 1],
    ]
    assert part_graph(4).int().tolist() == expected
    assert part_graph(1).all()


@pytest.mark.parametrize("pair", [False, True])
def test_graph_attention_against_loops(pair: bool) -> None:
    layer = seeded(lambda: PartGraphAttention(6, 3))
    nodes = random(2, 4, 6)
    asked = random(2, 4, 6, seed=1) if pair else nodes
    graph = part_graph(3)
    expected = nodes.clone()
    for b in range(2):
        for i in range(4):
            known = [j for j in range(4) if graph[i, j]]
            cosines = [torch.cosine_similarity(nodes[b, i], asked[b, j], dim=0) for j in known]
            total = sum(math.exp(c) for c in cosines)
            heard = sum((math.exp(c) / total * asked[b, j] for c, j in zip(cosines, known, strict=True)))
            expected[b, i] += torch.relu(layer.weight.weight @ heard)
    torch.testing.assert_close(layer(nodes, asked if pair else None), expected, atol=1e-5, rtol=1e-5)


def test_strangers_are_not_heard() -> None:
    layer = seeded(lambda: PartGraphAttention(6, 4))
    nodes, changed = random(1, 5, 6), random(1, 5, 6)
    changed[0, 4] += 10  # the lowest part
    same = (layer(nodes) == layer(changed)).all(dim=2)[0]
    assert same.tolist() == [False, True, True, False, False]


def test_cumulative_means_grow_from_two_parts_to_all() -> None:
    parts = random(2, 4, 3)
    means = cumulative_means(parts)
    assert means.shape == (2, 3, 3)
    for count in (2, 3, 4):
        torch.testing.assert_close(means[:, count - 2], parts[:, :count].mean(dim=1))


def test_reconstruction_against_loops() -> None:
    own, other = random(2, 5, 6).relu() + 0.1, random(2, 5, 6, seed=1).relu() + 0.1
    rebuilt = reconstruct(own, other, sharpness=50.0)
    for r in range(2):
        masks = []
        for maps in (own, other):
            norms = [maps[r, :, u].norm().item() for u in range(6)]
            masks.append([(n - min(norms)) / (max(norms) - min(norms)) for n in norms])
        shared = []
        for u in range(6):
            cosines = [torch.cosine_similarity(own[r, :, u], other[r, :, v], dim=0).item() for v in range(6)]
            weights = [math.exp(50 * (c - max(cosines))) for c in cosines]
            weights = [w / sum(weights) for w in weights]
            warped = sum(w * other[r, :, v] for v, w in enumerate(weights))
            expected = masks[0][u] * warped + (1 - masks[0][u]) * own[r, :, u]
            torch.testing.assert_close(rebuilt.maps[r, :, u], expected, atol=1e-4, rtol=1e-4)
            shared.append(masks[0][u] * sum(w * masks[1][v] for v, w in enumerate(weights)))
        shared = [(s - min(shared)) / (max(shared) - min(shared)) for s in shared]
        torch.testing.assert_close(rebuilt.mask[r], torch.tensor(shared), atol=1e-4, rtol=1e-4)


def test_correspondence_finds_what_was_moved() -> None:
    own = random(1, 32, 12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    matches = correspondence(own, 7 * own[:, :, order])
    torch.testing.assert_close(matches.sum(dim=2), torch.ones(1, 12))
    assert torch.equal(matches[0].argmax(dim=1), order.argsort())
    assert matches.amax(dim=2).min() > 0.99


def test_the_background_stays_and_the_person_is_replaced() -> None:
    own, other = random(1, 8, 4) * torch.tensor([0.0, 1, 2, 20]), random(1, 8, 4, seed=1)
    rebuilt = reconstruct(own, other).maps
    assert torch.equal(rebuilt[:, :, 0], own[:, :, 0])
    assert not torch.allclose(rebuilt[:, :, 3], own[:, :, 3])


@pytest.mark.parametrize("maps", [torch.zeros(2, 4, 6), torch.ones(2, 4, 6)])
def test_maps_without_a_person_are_left_alone(maps: Tensor) -> None:
    maps = maps.clone().requires_grad_()
    assert not person_mask(maps).any()
    rebuilt = reconstruct(maps, maps)
    assert torch.equal(rebuilt.maps, maps)
    rebuilt.maps.sum().backward()
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


def test_masks_are_no_way_for_gradients() -> None:
    own, other = random(1, 4, 6).requires_grad_(), random(1, 4, 6, seed=1).requires_grad_()
    assert not person_mask(own).requires_grad
    rebuilt = reconstruct(own, other)
    assert not rebuilt.mask.requires_grad
    rebuilt.maps.square().sum().backward()
    for maps in (own, other):
        assert maps.grad is not None
        assert torch.isfinite(maps.grad).all()
        assert maps.grad.any()


def test_reconstruction_is_exact_under_autocast() -> None:
    own, other = random(2, 16, 6), random(2, 16, 6, seed=1)
    exact = reconstruct(own, other)
    with torch.autocast("cpu", torch.bfloat16):
        same = reconstruct(own, other)
        from_rough = reconstruct(own.bfloat16(), other.bfloat16())
    assert torch.equal(exact.maps, same.maps)
    assert from_rough.maps.dtype == torch.float32
    assert torch.isfinite(from_rough.maps).all()
