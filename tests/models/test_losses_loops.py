"""Every loss against its equation in plain loops over Python numbers."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from models import losses

Rows = Sequence[Sequence[float]]
DTYPES = (torch.float64, torch.float32, torch.bfloat16)
# (classes, features a row): equal counts, P x K with K = 1, unequal counts, more of everything
SHAPES = [
    ([0, 0, 1, 1], 3),
    ([2, 0, 1], 5),
    ([4, 4, 4, 7, 7, 1, 1, 1, 1], 2),
    ([0, 1, 2, 3] * 4, 17),
    ([i // 4 for i in range(24)], 64),
]


def distance(a: Sequence[float], b: Sequence[float]) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def identity(logits: Rows, classes: list[int], smoothing: float) -> float:
    total = []
    for row, label in zip(logits, classes, strict=True):
        count = len(row)
        log_sum = math.log(sum(math.exp(x) for x in row))
        q = [1 - (count - 1) / count * smoothing if i == label else smoothing / count for i in range(count)]
        total.append(-sum(weight * (x - log_sum) for weight, x in zip(q, row, strict=True)))
    return mean(total)


def batch_hard(rows: Rows, classes: list[int], margin: float) -> float:
    terms = []
    for a, label in zip(rows, classes, strict=True):
        positives = [distance(a, b) for b, other in zip(rows, classes, strict=True) if other == label]
        negatives = [distance(a, b) for b, other in zip(rows, classes, strict=True) if other != label]
        if negatives:
            terms.append(max(max(positives) - min(negatives) + margin, 0.0))
    return mean(terms)


def contrastive(rows: Rows, classes: list[int], temperature: float, groups: list[int] | None) -> float:
    def cosine(a: Sequence[float], b: Sequence[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    terms = []
    for i, a in enumerate(rows):
        others = [j for j in range(len(rows)) if (j != i if groups is None else groups[j] != groups[i])]
        scores = {j: cosine(a, rows[j]) / temperature for j in others}
        positives = [j for j in others if classes[j] == classes[i]]
        if positives:
            log_sum = math.log(sum(math.exp(s) for s in scores.values()))
            terms.append(-mean([scores[j] - log_sum for j in positives]))
    return mean(terms)


def gaps(rows: Rows, classes: list[int]) -> list[float]:
    found = []
    for i, a in enumerate(rows):
        positives = [distance(a, b) for j, b in enumerate(rows) if classes[j] == classes[i] and j != i]
        negatives = [distance(a, b) for j, b in enumerate(rows) if classes[j] != classes[i]]
        if positives and negatives:
            up, down = [math.exp(d) for d in positives], [math.exp(-d) for d in negatives]
            far = sum(w * d for w, d in zip(up, positives, strict=True)) / sum(up)
            near = sum(w * d for w, d in zip(down, negatives, strict=True)) / sum(down)
            found.append(far - near)
    return found


def msrl(visible: Rows, infrared: Rows, classes: list[int]) -> float:
    terms = []
    for own, other in ((visible, infrared), (infrared, visible)):
        for j, label in enumerate(classes):
            intra = [distance(own[j], own[i]) for i in range(len(own)) if i != j and classes[i] == label]
            cross = [distance(own[j], other[i]) for i in range(len(own)) if classes[i] == label]
            if intra:
                terms.append((mean(intra) - mean(cross)) ** 2)
    return mean(terms)


def msrl_fused(fused: Rows, classes: list[int], visible: Rows, infrared: Rows) -> float:
    terms = []
    for own in (visible, infrared):
        for j, label in enumerate(classes):
            others = [i for i in range(len(own)) if i != j and classes[i] == label]
            if others:
                intra = mean([distance(own[j], own[i]) for i in others])
                terms.append((intra - mean([distance(fused[j], fused[i]) for i in others])) ** 2)
    return mean(terms)


def mdl(visible: Rows, infrared: Rows, classes: list[int]) -> float:
    rows, labels = [*visible, *infrared], classes * 2
    near, far = [], []
    for label in sorted(set(classes)):
        own = [row for row, other in zip(rows, labels, strict=True) if other == label]
        centre = [mean(column) for column in zip(*own, strict=True)]
        strangers = [distance(row, centre) for row, other in zip(rows, labels, strict=True) if other != label]
        closer = [d for d in strangers if d < mean(strangers)]
        near.append(mean([distance(row, centre) for row in own]))
        far.append(mean(closer or strangers))
    return mean(near) / mean(far)


def dense(own: list[Rows], positive: list[Rows], negative: list[Rows], mask: Rows, margin: float) -> float:
    terms = []
    for r, weights in enumerate(mask):
        for u, weight in enumerate(weights):
            a, p, n = ([channel[u] for channel in maps[r]] for maps in (own, positive, negative))
            terms.append(weight * max(distance(a, p) - distance(a, n) + margin, 0.0))
    return mean(terms)


def drawn(count: int, dim: int, dtype: torch.dtype, seed: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def check(found: Tensor, expected: float, dtype: torch.dtype) -> None:
    """bfloat16 rows are summed in float32, so that they are as exact as float32 ones."""
    assert found.shape == ()
    assert found.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
    assert found.item() == pytest.approx(expected, rel=1e-10 if dtype is torch.float64 else 2e-5, abs=1e-6)


ONE_MATRIX: dict[str, tuple[Callable[..., Tensor], Callable[[Rows, list[int]], float]]] = {
    "batch hard": (losses.batch_hard_triplet, lambda rows, classes: batch_hard(rows, classes, 0.3)),
    "adaptive weight": (
        losses.adaptive_weight_triplet,
        lambda rows, classes: mean([max(u + 1.0, 0.0) for u in gaps(rows, classes)]),
    ),
    "weighted regularised": (
        losses.weighted_regularised_triplet,
        lambda rows, classes: mean([softplus(u) for u in gaps(rows, classes)]),
    ),
    "squared": (
        losses.squared_weighted_triplet,
        lambda rows, classes: mean([softplus(u * abs(u)) for u in gaps(rows, classes)]),
    ),
}
TWO_MATRICES = {"msrl": (losses.msrl_loss, msrl), "mdl": (losses.mdl_loss, mdl)}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("classes", "dim"), SHAPES)
@pytest.mark.parametrize("name", ONE_MATRIX)
def test_triplets(name: str, classes: list[int], dim: int, dtype: torch.dtype) -> None:
    loss, loop = ONE_MATRIX[name]
    rows = drawn(len(classes), dim, dtype, seed=1)
    check(loss(rows, torch.tensor(classes)), loop(rows.tolist(), classes), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("classes", "dim"), SHAPES)
@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("grouped", [False, True])
def test_contrastive(classes: list[int], dim: int, temperature: float, grouped: bool, dtype: torch.dtype) -> None:
    rows = drawn(len(classes), dim, dtype, seed=7)
    groups = [i % 2 for i in range(len(classes))] if grouped else None
    found = losses.supervised_contrastive(
        rows, torch.tensor(classes), temperature, None if groups is None else torch.tensor(groups)
    )
    check(found, contrastive(rows.tolist(), classes, temperature, groups), dtype)


@pytest.mark.parametrize("margin", [0.0, 0.1, 5.0])
def test_margins_are_used(margin: float) -> None:
    classes, dim = SHAPES[2]
    rows, labels = drawn(len(classes), dim, torch.float64, seed=2), torch.tensor(classes)
    check(
        losses.batch_hard_triplet(rows, labels, margin=margin), batch_hard(rows.tolist(), classes, margin), rows.dtype
    )
    hinged = mean([max(u + margin, 0.0) for u in gaps(rows.tolist(), classes)])
    check(losses.adaptive_weight_triplet(rows, labels, margin=margin), hinged, rows.dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("classes", "dim"), SHAPES)
@pytest.mark.parametrize("name", TWO_MATRICES)
def test_losses_of_both_kinds_of_light(name: str, classes: list[int], dim: int, dtype: torch.dtype) -> None:
    loss, loop = TWO_MATRICES[name]
    visible, infrared = (drawn(len(classes), dim, dtype, seed) for seed in (3, 4))
    check(loss(visible, infrared, torch.tensor(classes)), loop(visible.tolist(), infrared.tolist(), classes), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("classes", "dim"), SHAPES)
def test_fused_losses(classes: list[int], dim: int, dtype: torch.dtype) -> None:
    visible, infrared, fused = (drawn(len(classes), size, dtype, 5 + size) for size in (dim, dim, dim + 3))
    lists = [x.tolist() for x in (visible, infrared, fused)]
    labels = torch.tensor(classes)
    check(
        losses.msrl_fused_loss(fused, labels, visible, infrared),
        msrl_fused(lists[2], classes, lists[0], lists[1]),
        dtype,
    )
    check(
        losses.cross_loss((visible, infrared, fused), labels),
        sum(batch_hard(rows, classes, 0.1) for rows in lists),
        dtype,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("count", "identities", "smoothing"), [(1, 2, 0.1), (6, 5, 0.1), (9, 395, 0.3), (4, 3, 0.0)])
def test_identity(count: int, identities: int, smoothing: float, dtype: torch.dtype) -> None:
    logits = drawn(count, identities, dtype, seed=6)
    classes = [(3 * i) % identities for i in range(count)]
    expected = identity(logits.tolist(), classes, smoothing)
    check(losses.identity_loss(logits, torch.tensor(classes), smoothing=smoothing), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("rows", "channels", "places"), [(1, 1, 1), (2, 5, 3), (4, 8, 12)])
def test_dense_triplet(rows: int, channels: int, places: int, dtype: torch.dtype) -> None:
    own, positive, negative = (
        drawn(rows, channels * places, dtype, seed).reshape(rows, channels, places) for seed in (7, 8, 9)
    )
    mask = drawn(rows, places, dtype, seed=10).sigmoid()
    expected = dense(own.tolist(), positive.tolist(), negative.tolist(), mask.tolist(), 0.3)
    check(losses.dense_triplet(own, positive, negative, mask), expected, dtype)


def test_gradients_are_those_of_the_values() -> None:
    classes = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    rows = [drawn(9, 4, torch.float64, seed).requires_grad_() for seed in (11, 12, 13)]
    for loss, _ in ONE_MATRIX.values():
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, classes), (rows[0],))
    for loss, _ in TWO_MATRICES.values():
        assert torch.autograd.gradcheck(lambda x, y, loss=loss: loss(x, y, classes), (rows[0], rows[1]))
    assert torch.autograd.gradcheck(
        lambda fused, x, y: losses.msrl_fused_loss(fused, classes, x, y), (rows[2], rows[0], rows[1])
    )
