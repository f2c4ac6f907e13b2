"""Losses where their equations have nothing to say: values and gradients stay finite. And what they refuse."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models import losses

# Every loss as a function of two halves [R, D] and their classes.
LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "identity": lambda v, i, c: losses.identity_loss(v, c.clamp_max(v.shape[1] - 1)),
    "batch hard": lambda v, i, c: losses.batch_hard_triplet(torch.cat((v, i)), c.repeat(2)),
    "adaptive weight": lambda v, i, c: losses.adaptive_weight_triplet(torch.cat((v, i)), c.repeat(2)),
    "weighted regularised": lambda v, i, c: losses.weighted_regularised_triplet(torch.cat((v, i)), c.repeat(2)),
    "squared": lambda v, i, c: losses.squared_weighted_triplet(torch.cat((v, i)), c.repeat(2)),
    "cross": lambda v, i, c: losses.cross_loss((v, i, v + i), c),
    "contrastive": lambda v, i, c: losses.supervised_contrastive(torch.cat((v, i)), c.repeat(2)),
    "contrastive across": lambda v, i, c: losses.supervised_contrastive(
        torch.cat((v, i)), c.repeat(2), groups=torch.arange(2).repeat_interleave(len(c))
    ),
    "msrl": losses.msrl_loss,
    "msrl fused": lambda v, i, c: losses.msrl_fused_loss(v + i, c, v, i),
    "mdl": losses.mdl_loss,
    "dense": lambda v, i, c: losses.dense_triplet(v[:, :, None], i[:, :, None], i.flip(0)[:, :, None], v[:, :1].abs()),
}
TRIPLETS = ("batch hard", "adaptive weight", "weighted regularised", "squared")
R, D = 8, 6
FOUR = torch.arange(R) // 2
DTYPES = (torch.float32, torch.bfloat16, torch.float64)


def drawn(seed: int, rows: int = R) -> Tensor:
    return torch.randn(rows, D, generator=torch.Generator().manual_seed(seed))


def duplicates(seed: int) -> Tensor:
    """Every row twice, once for its own class and once for another's."""
    return drawn(seed, R // 2).repeat(2, 1)


CASES: dict[str, tuple[Tensor, Tensor, Tensor]] = {
    "one identity": (drawn(0), drawn(1), torch.zeros(R, dtype=torch.int64)),
    "one row of each identity": (drawn(2), drawn(3), torch.arange(R)),
    "duplicates across classes": (duplicates(4), duplicates(5), FOUR),
    "both halves the same": (drawn(6), drawn(6), FOUR),
    "all features equal": (torch.ones(R, D), torch.ones(R, D), FOUR),
    "all features zero": (torch.zeros(R, D), torch.zeros(R, D), FOUR),
    "all equal in one identity": (torch.ones(R, D), torch.ones(R, D), torch.zeros(R, dtype=torch.int64)),
    "one row": (drawn(7, 1), drawn(8, 1), torch.zeros(1, dtype=torch.int64)),
    # Each class a point: no negative is closer to a centre than the negatives are on average.
    "two points": (FOUR.remainder(2)[:, None].expand(R, D).float(),) * 2 + (FOUR.remainder(2),),
    "very far apart": (1e4 * drawn(9), -1e4 * drawn(9), FOUR),
    "very close": (1e-6 * drawn(10), 1e-6 * drawn(11), FOUR),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_are_finite(name: str, case: str, dtype: torch.dtype) -> None:
    visible, infrared, classes = CASES[case]
    leaves = [x.to(dtype).clone().requires_grad_() for x in (visible, infrared)]
    loss = LOSSES[name](leaves[0], leaves[1], classes)
    assert torch.isfinite(loss)
    loss.backward()
    for leaf in leaves:
        assert leaf.grad is None or torch.isfinite(leaf.grad).all()
    assert leaves[0].grad is not None


@pytest.mark.parametrize("name", [*TRIPLETS, "cross", "mdl"])
def test_one_identity_costs_nothing(name: str) -> None:
    visible, infrared, classes = CASES["one identity"]
    assert LOSSES[name](visible, infrared, classes).item() == 0.0


def test_equal_features_leave_the_margin() -> None:
    visible, infrared, classes = CASES["all features equal"]
    assert LOSSES["batch hard"](visible, infrared, classes).item() == pytest.approx(0.3)
    assert LOSSES["adaptive weight"](visible, infrared, classes).item() == pytest.approx(1.0)


def test_mdl_without_a_closer_negative_takes_all_of_them() -> None:
    visible = torch.tensor([[-1.0], [1.0], [3.0], [3.0]])
    classes = torch.tensor([0, 0, 1, 1])
    # Strangers of centre 0 are all at 3, none is closer than their average; those of centre 3 at 2 and 4: 2 counts.
    assert losses.mdl_loss(visible, visible, classes).item() == pytest.approx(((1 + 0) / 2) / ((3 + 2) / 2))


def test_an_exact_duplicate_of_a_centre_counts() -> None:
    """PMT's code takes distances below 1e-6 for masked entries and so drops a stranger at the very centre."""
    visible = torch.tensor([[-1.0], [1.0], [0.0], [4.0]])
    classes = torch.tensor([0, 0, 1, 1])
    # Centres 0 and 2; strangers of 0 at 0, 4 (average 2): 0 counts; of 2 at 3, 1 (average 2): 1 counts.
    assert losses.mdl_loss(visible, visible, classes).item() == pytest.approx(((1 + 2) / 2) / ((0 + 1) / 2))


def test_msrl_skips_a_row_without_another_in_its_light() -> None:
    visible, infrared = torch.tensor([[0.0], [2.0], [9.0]]), torch.tensor([[0.0], [2.0], [5.0]])
    classes = torch.tensor([0, 0, 1])
    # Both lights: intra 2, cross (0 + 2) / 2 = 1 for each of the first two rows.
    assert losses.msrl_loss(visible, infrared, classes).item() == pytest.approx(1.0)


def test_the_squared_triplet_keeps_its_gradient_where_a_clamp_would_lose_it() -> None:
    """A positive 20 away and a negative at hand: u^2 = 400 > 88, and the slope is 2|u|."""
    rows = torch.tensor([[0.0], [20.0], [0.0], [20.0]], requires_grad=True)
    loss = losses.squared_weighted_triplet(rows, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(400, rel=1e-3)
    assert rows.grad is not None
    assert rows.grad.abs().min() > 1


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_changes_nothing(name: str) -> None:
    visible, infrared = drawn(12), drawn(13)
    plain = LOSSES[name](visible, infrared, FOUR)
    with torch.autocast("cpu", torch.bfloat16):
        cast = LOSSES[name](visible, infrared, FOUR)
    assert cast.dtype == torch.float32
    torch.testing.assert_close(cast, plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [*TRIPLETS, "contrastive", "contrastive across", "cross", "msrl", "msrl fused", "mdl"])
def test_the_order_of_rows_does_not_matter(name: str) -> None:
    visible, infrared = drawn(14), drawn(15)
    order = torch.randperm(R, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        LOSSES[name](visible[order], infrared[order], FOUR[order]), LOSSES[name](visible, infrared, FOUR)
    )


def test_gaps_say_which_anchors_count() -> None:
    gaps, counted = losses.weighted_gaps(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1]))
    assert counted.tolist() == [True, True, False]  # the last is alone
    assert gaps[:2].tolist() == pytest.approx([1 - 5, 1 - 4])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.batch_hard_triplet(torch.zeros(3, 2, 1), FOUR[:3]), r"features: expected floating \[3, D\]"),
        (lambda: losses.squared_weighted_triplet(torch.zeros(3, 2), FOUR), r"features: expected floating \[8, D\]"),
        (lambda: losses.identity_loss(torch.zeros(8, 2), FOUR.float()), r"classes: expected int64\[R\]"),
        (lambda: losses.identity_loss(torch.zeros(8, 4), FOUR, smoothing=2.0), "smoothing: expected 0..1, got 2.0"),
        (lambda: losses.msrl_loss(torch.zeros(8, 2), torch.zeros(4, 2), FOUR), r"infrared: expected floating \[8, D\]"),
        (lambda: losses.mdl_loss(torch.zeros(8, 2), torch.zeros(8, 2).long(), FOUR), "infrared: expected floating"),
        (lambda: losses.supervised_contrastive(torch.zeros(8, 2), FOUR, 0.0), "temperature: expected above 0, got 0.0"),
        (lambda: losses.cross_loss([], FOUR), "features: expected at least one matrix, got none"),
        (
            lambda: losses.dense_triplet(*(torch.zeros(2, 3, 4),) * 3, torch.zeros(2, 3)),
            r"expected maps of one shape \[R, C, U\] and a mask \[R, U\], got .*\[2, 3\]",
        ),
    ],
)
def test_other_shapes_are_refused(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
