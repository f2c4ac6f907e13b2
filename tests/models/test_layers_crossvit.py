"""The layers of fused attention against their equations, written out in plain loops."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.layers import (
    ChannelSpatialAttention,
    ClassTokenFusion,
    CrossAttention,
    MultiScaleBlock,
    ViTBlock,
    resample_positions,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(module: nn.Module) -> nn.Module:
    """In double precision, with random scales and shifts in its layer norms too."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module.double()


def attended(layer: CrossAttention, asking: Tensor, asked: Tensor) -> Tensor:
    """softmax(q k' / sqrt(d / h)) v, head by head and token by token, for one picture: [M, d], [M', d] -> [M, d]."""
    q, k, v = layer.query(asking), layer.key(asked), layer.value(asked)
    width = q.shape[1] // layer.heads
    mixed = torch.zeros_like(q)
    for head in range(layer.heads):
        part = slice(head * width, (head + 1) * width)
        for token in range(len(q)):
            scores = torch.stack([q[token, part] @ k[other, part] / math.sqrt(width) for other in range(len(k))])
            weights = scores.exp() / scores.exp().sum()
            mixed[token, part] = sum(weights[other] * v[other, part] for other in range(len(k)))
    return layer.out(mixed)


@pytest.mark.parametrize(("tokens", "width", "heads"), [(1, 8, 1), (5, 12, 3), (7, 16, 4)])
def test_vit_block_is_equations_2_and_3(tokens: int, width: int, heads: int) -> None:
    block = built(ViTBlock(width, heads, expansion=2))
    z = random(2, tokens, width)
    for picture in range(2):
        normalised = block.norm1(z[picture])
        y = z[picture] + attended(block.attention, normalised, normalised)
        expected = y + block.feed_forward(block.norm2(y))
        torch.testing.assert_close(block(z)[picture], expected)


@pytest.mark.parametrize(("width", "other"), [(8, 12), (12, 8)])
def test_class_token_asks_the_other_branch(width: int, other: int) -> None:
    """Eqs. 5-7: projected, itself among the asked, added, projected back; no feed-forward layer."""
    fusion = built(ClassTokenFusion(width, other, heads=2))
    own, others = random(2, 4, width), random(2, 6, other, seed=1)
    for picture in range(2):
        token = fusion.project(own[picture, :1])
        z = torch.cat((token, others[picture, 1:]))
        y = token + attended(fusion.attention, fusion.norm(token), fusion.norm(z))
        torch.testing.assert_close(fusion(own, others)[picture], fusion.project_back(y))


def test_a_branch_keeps_its_own_patches() -> None:
    """The mended eq. 8: without blocks of its own, a branch changes in its class token only."""
    block = built(MultiScaleBlock((8, 12), (0, 0), (2, 3)))
    fine, coarse = random(2, 7, 8), random(2, 4, 12, seed=1)
    out = block((fine, coarse))
    for before, after in zip((fine, coarse), out, strict=True):
        assert torch.equal(after[:, 1:], before[:, 1:])
        assert not torch.allclose(after[:, 0], before[:, 0])


def test_branches_ask_at_the_same_time() -> None:
    """Both see the other as it was before the exchange, each after its own blocks."""
    block = built(MultiScaleBlock((8, 12), (1, 2), (2, 3)))
    fine, coarse = random(2, 7, 8), random(2, 4, 12, seed=1)
    alone = [branch(z) for branch, z in zip(block.branches, (fine, coarse), strict=True)]
    out = block((fine, coarse))
    torch.testing.assert_close(out[0][:, :1], block.fusions[0](alone[0], alone[1]))
    torch.testing.assert_close(out[1][:, :1], block.fusions[1](alone[1], alone[0]))
    assert [len(branch) for branch in block.branches] == [1, 2]


def test_two_branches_are_expected() -> None:
    with pytest.raises(ValueError, match="two branches, got 1"):
        MultiScaleBlock((8, 12), (1, 1), (2, 2))([torch.zeros(1, 2, 8)])


def test_positions_of_the_same_grid_stay() -> None:
    positions = random(1, 1 + 400, 3)
    assert resample_positions(positions, (20, 20)) is positions


@pytest.mark.parametrize("grid", [(24, 12), (18, 9), (30, 30)])
def test_positions_keep_their_class_token_and_their_course(grid: tuple[int, int]) -> None:
    """What grows evenly down and across does so on the new grid too, away from the borders."""

    def slopes(rows: int, columns: int) -> Tensor:
        down, across = ((torch.arange(n, dtype=torch.float64) + 0.5) / n for n in (rows, columns))
        down, across = torch.meshgrid(down, across, indexing="ij")
        return torch.stack((down, across, 2 * down - across), dim=-1)

    token = random(1, 1, 3)
    out = resample_positions(torch.cat((token, slopes(20, 20).reshape(1, 400, 3)), dim=1), grid)
    assert out.dtype == torch.float64
    assert out.shape == (1, 1 + grid[0] * grid[1], 3)
    assert torch.equal(out[:, :1], token)
    inner = (slice(3, -3), slice(3, -3))
    torch.testing.assert_close(out[0, 1:].reshape(*grid, 3)[inner], slopes(*grid)[inner], atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 4, 2), "square grid, got 3 patches"),
        ((2, 5, 2), r"expected position embeddings \[1, 1 \+ S \* S, d\], got \[2, 5, 2\]"),
        ((5, 2), r"got \[5, 2\]"),
        ((1, 1, 2), r"got \[1, 1, 2\]"),
    ],
)
def test_other_positions_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resample_positions(torch.zeros(shape), (2, 2))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(("channels", "height", "width"), [(32, 5, 3), (48, 2, 9)])
def test_channel_and_spatial_attention_are_equations_9_to_12(channels: int, height: int, width: int) -> None:
    layer = built(ChannelSpatialAttention(channels))
    maps = random(2, channels, height, width)
    first, second = (layer.channel.mlp[i].weight[:, :, 0, 0].detach().numpy() for i in (0, 2))
    assert first.shape == (channels // 16, channels)
    kernel = layer.spatial.conv.weight[0].detach().numpy()  # 2 7 7
    for picture in range(2):
        m = maps[picture].numpy()
        hidden = [second @ np.maximum(first @ pooled, 0) for pooled in (m.mean(axis=(1, 2)), m.max(axis=(1, 2)))]
        m = np.array([sigmoid(x) for x in hidden[0] + hidden[1]])[:, None, None] * m
        pooled = np.pad(np.stack((m.mean(axis=0), m.max(axis=0))), ((0, 0), (3, 3), (3, 3)))
        expected = np.empty_like(m)
        for y in range(height):
            for x in range(width):
                expected[:, y, x] = m[:, y, x] * sigmoid((pooled[:, y : y + 7, x : x + 7] * kernel).sum())
        np.testing.assert_allclose(layer(maps)[picture].detach().numpy(), expected, atol=1e-9)


def test_attention_of_few_channels_keeps_a_hidden_one() -> None:
    assert ChannelSpatialAttention(8)(torch.randn(1, 8, 3, 3)).shape == (1, 8, 3, 3)
