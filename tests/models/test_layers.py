"""Layers against plain loops and against what their papers count."""

import numpy as np
import pytest
import torch
from torch import nn

from models.layers import (
    BNNeck,
    CrossAttention,
    CrossModalFusion,
    DepthwisePool,
    GeM,
    GreyCounterpart,
    PartPool,
    temporal_shift,
)
from models.preprocessing import Preprocessing


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("exponent", [1.0, 3.0, 4.5])
def test_gem_is_the_generalised_mean(exponent: float) -> None:
    maps = torch.rand(2, 5, 4, 3, generator=torch.Generator().manual_seed(0)) + 0.1
    pooled = GeM(exponent)(maps)
    for b in range(2):
        for c in range(5):
            expected = float((maps[b, c].double() ** exponent).mean() ** (1 / exponent))
            assert pooled[b, c].item() == pytest.approx(expected, rel=1e-5)


def test_part_pool_pools_each_stripe_by_itself() -> None:
    maps = torch.randn(2, 3, 8, 2, generator=torch.Generator().manual_seed(1))
    pooled = PartPool(4, 1.0)(maps)
    assert pooled.shape == (2, 12)
    for part in range(4):
        stripe = maps[:, :, 2 * part : 2 * part + 2].mean(dim=(2, 3))
        torch.testing.assert_close(pooled[:, 3 * part : 3 * part + 3], stripe)


def test_part_pool_refuses_a_height_it_cannot_divide() -> None:
    with pytest.raises(ValueError, match="expected a height that 3 parts divide, got 8"):
        PartPool(3)(torch.zeros(1, 2, 8, 2))


def test_depthwise_pool_starts_as_the_mean_and_weighs_every_place() -> None:
    maps = torch.randn(2, 3, 4, 2, generator=torch.Generator().manual_seed(2))
    pool = DepthwisePool(3, 4, 2)
    torch.testing.assert_close(pool(maps), maps.mean(dim=(2, 3)))
    with torch.no_grad():
        pool.weight.copy_(torch.randn(3, 1, 4, 2, generator=torch.Generator().manual_seed(3)))
    convolved = nn.functional.conv2d(maps, pool.weight, pool.bias, groups=3)
    torch.testing.assert_close(pool(maps), convolved[:, :, 0, 0])
    with pytest.raises(ValueError, match="expected maps of 4 x 2, got 4 x 4"):
        pool(torch.zeros(1, 3, 4, 4))


def test_gem_has_finite_gradients_on_an_empty_map() -> None:
    maps = torch.zeros(1, 2, 4, 4, requires_grad=True)
    GeM()(maps).sum().backward()
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


def test_temporal_shift_moves_the_channels_it_should() -> None:
    clips, frames, channels = 2, 3, 16
    x = torch.randn(clips * frames, channels, 2, 2, generator=torch.Generator().manual_seed(2))
    shifted = temporal_shift(x, frames)
    for clip in range(clips):
        for t in range(frames):
            for c in range(channels):
                source = t + 1 if c < 2 else t - 1 if c < 4 else t
                expected = x[clip * frames + source, c] if 0 <= source < frames else torch.zeros(2, 2)
                assert torch.equal(shifted[clip * frames + t, c], expected)


def test_temporal_shift_leaves_single_pictures_alone() -> None:
    x = torch.randn(4, 16, 2, 2)
    assert temporal_shift(x, 1) is x
    with pytest.raises(ValueError, match="multiple of 3 frames, got 4"):
        temporal_shift(x, 3)


def test_neck_keeps_a_mean_for_each_kind() -> None:
    neck = BNNeck(4, ("visible", "infrared"))
    neck(torch.randn(64, 4) + 5, "visible")
    assert (neck.norm_of("visible").running_mean > 0.1).all()
    assert (neck.norm_of("infrared").running_mean == 0).all()
    assert not neck.norm_of("visible").bias.requires_grad
    shared = BNNeck(4, ("visible", "infrared"), shared=True)
    assert shared.norm_of("visible") is shared.norm_of("infrared")


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_grey_counterpart_is_the_luminance_of_the_picture(order: str) -> None:
    preprocessing = Preprocessing(height_px=8, width_px=8, channel_order=order)
    crop = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)
    luminance = crop @ np.array([0.114, 0.587, 0.299])
    grey = GreyCounterpart(preprocessing)(torch.from_numpy(preprocessing.batch([crop])))[0]
    for channel in range(3):
        expected = (luminance / 255 - preprocessing.mean[channel]) / preprocessing.std[channel]
        np.testing.assert_allclose(grey[channel], expected, atol=1e-5)


def test_a_grey_picture_is_its_own_counterpart() -> None:
    preprocessing = Preprocessing(height_px=4, width_px=4)
    crop = np.repeat(np.arange(16, dtype=np.uint8).reshape(4, 4, 1) * 16, 3, axis=2)
    x = torch.from_numpy(preprocessing.batch([crop]))
    torch.testing.assert_close(GreyCounterpart(preprocessing)(x), x, atol=1e-5, rtol=0)


def test_cross_attention_against_torch() -> None:
    ours = CrossAttention(32, 4)
    theirs = nn.MultiheadAttention(32, 4, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    asking, asked = torch.randn(2, 6, 32), torch.randn(2, 6, 32)
    expected, _ = theirs(asking, asked, asked)
    torch.testing.assert_close(ours(asking, asked), expected)


def test_fusion_part_has_the_parameters_of_the_paper() -> None:
    one_branch = CrossModalFusion(2048, 1024, branches=1, bias=False)
    two_branches = CrossModalFusion(2048, 1024, bias=False)
    identity_head = nn.Linear(1024, 500, bias=False)
    assert parameters(one_branch) == 8_388_608  # the paper's S6F: 8.39 M
    assert parameters(two_branches) + parameters(identity_head) == 17_289_216  # its D6F: 17.29 M


def test_fusion_computes_equations_4_to_6() -> None:
    torch.manual_seed(4)
    ccf = CrossModalFusion(16, 16, previous_width=8, pool=2, heads=2)
    first, second = torch.randn(3, 16, 4, 2), torch.randn(3, 16, 4, 2)
    previous = torch.randn(3, 8 * 4, 16)
    tokens = []
    for i, maps in enumerate((first, second)):
        half = previous[:, :, 8 * i : 8 * i + 8].reshape(3, 8, 4, 8)  # B H W d of the finer grid
        pooled = half.reshape(3, 4, 2, 2, 2, 8).mean(dim=(2, 4)).reshape(3, 8, 8)
        gate = 1 + torch.tanh(ccf.gates[i].to_width(pooled))
        tokens.append(maps.flatten(2).transpose(1, 2) * gate)
    z12 = ccf.norms[0](ccf.attention[0](tokens[0], tokens[1]) + tokens[0])
    z21 = ccf.norms[1](ccf.attention[1](tokens[1], tokens[0]) + tokens[1])
    both = torch.cat([z12, z21], dim=-1)
    torch.testing.assert_close(ccf(first, second, previous), ccf.mix_norm(ccf.mix(both) + both))


def test_literal_product_lets_a_zero_gate_kill_the_features() -> None:
    first, second, previous = torch.randn(1, 16, 2, 2), torch.randn(1, 16, 2, 2), torch.randn(1, 4, 32)
    outputs = []
    for literal in (True, False):
        torch.manual_seed(5)
        ccf = CrossModalFusion(16, 16, previous_width=16, heads=2, literal_product=literal)
        for gate in ccf.gates:
            nn.init.zeros_(gate.to_width.weight)
            nn.init.zeros_(gate.to_width.bias)
        outputs.append((ccf(first, second, previous), ccf(first * 2, second, previous)))
    assert torch.equal(*outputs[0])  # nothing of the pictures is left
    assert not torch.allclose(*outputs[1])


def test_fusion_says_what_is_missing() -> None:
    maps = torch.zeros(1, 16, 2, 2)
    with pytest.raises(ValueError, match="earlier fusion exactly when"):
        CrossModalFusion(16, 16, previous_width=16, heads=2)(maps, maps)
    with pytest.raises(ValueError, match="1 or 2 branches, got 3"):
        CrossModalFusion(16, 16, branches=3)
