"""Objectives: each term is the loss its paper names, of the rows it names, and only wanted ones are calculated."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from models import losses
from models.data.batch import TrainingBatch
from models.registry import list_models
from models.reid.cmft import CmftOutput
from models.reid.heads import HeadOutput
from models.reid.tacafnet import DenseMaps, TacafnetOutput
from models.training.building import build_network
from models.training.objectives import TRIPLETS, objective_of
from models.training.objectives.tacafnet import other_person
from tests.support.training import one_thread, small_dataset, small_recipe

__all__ = ["one_thread"]

CLASSES = torch.tensor([0, 0, 1, 1, 2, 2])
BATCH = TrainingBatch(torch.zeros(6, 3, 4, 2), torch.ones(6, 3, 4, 2), CLASSES)


def heads(seed: int = 0) -> Iterator[HeadOutput]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        feature = torch.randn(6, 5, generator=generator)
        yield HeadOutput(feature, feature, torch.randn(6, 3, generator=generator))


class Answers(nn.Module):
    """A network that gives a known output and remembers what it was asked."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output, self.asked = output, ()

    def forward(self, *asked: Tensor | None) -> object:
        self.asked = asked
        return self.output


def identity(*rows: HeadOutput) -> Tensor:
    return losses.identity_loss(torch.cat([r.logits for r in rows]), CLASSES.repeat(len(rows)), 0.0)


def hard(*rows: HeadOutput, margin: float = 0.3) -> Tensor:
    return losses.batch_hard_triplet(torch.cat([r.feature for r in rows]), CLASSES.repeat(len(rows)), margin)


def cmft_output() -> CmftOutput:
    drawn = heads()
    return CmftOutput(*(next(drawn) for _ in range(7)))


def test_cmft_sums_over_streams_and_fusion() -> None:
    out = cmft_output()
    terms = objective_of("cmft")()(Answers(out), BATCH)
    through = [
        (out.visible, out.infrared_counterpart),
        (out.visible_counterpart, out.infrared),
        (out.fused_visible, out.fused_infrared),
    ]
    torch.testing.assert_close(terms["id"], torch.stack([identity(*rows) for rows in through]).sum())
    torch.testing.assert_close(terms["cross"], torch.stack([hard(*rows, margin=0.1) for rows in through]).sum())
    torch.testing.assert_close(terms["pair"], identity(out.fused_pair) + hard(out.fused_pair, margin=0.1))


@pytest.mark.parametrize("refine", ["streams", "fused", "literal"])
def test_cmft_refines_what_the_recipe_says(refine: str) -> None:
    out = cmft_output()
    terms = objective_of("cmft")(refine=refine)(Answers(out), BATCH, {"msrl", "mdl"})
    assert set(terms) == {"msrl", "mdl"}
    by_light = (out.fused_visible, out.fused_infrared) if refine == "fused" else (out.visible, out.infrared)
    features = [head.feature for head in by_light]
    torch.testing.assert_close(terms["mdl"], losses.mdl_loss(*features, CLASSES))
    if refine == "literal":
        expected = losses.msrl_fused_loss(out.fused_pair.feature, CLASSES, *features)
    else:
        expected = losses.msrl_loss(*features, CLASSES)
    torch.testing.assert_close(terms["msrl"], expected)


def test_cmft_without_fusion_has_two_features_and_no_pair() -> None:
    drawn = heads()
    out = CmftOutput(*(next(drawn) for _ in range(4)), None, None, None)
    terms = objective_of("cmft")()(Answers(out), BATCH, {"id", "cross"})
    torch.testing.assert_close(
        terms["id"], identity(out.visible, out.infrared_counterpart) + identity(out.visible_counterpart, out.infrared)
    )
    with pytest.raises(ValueError, match="expected a network with fusion, got one without"):
        objective_of("cmft")()(Answers(out), BATCH, {"pair"})


def test_tacafnet_weighs_whole_parts_and_what_was_rebuilt() -> None:
    drawn = heads()
    parts = [(next(drawn), next(drawn)) for _ in range(4)]
    maps = [
        DenseMaps(*(torch.randn(6, 4, 8, generator=torch.Generator().manual_seed(3 * n + i)) for i in range(3)), mask)
        for n, mask in enumerate((torch.ones(6, 8), torch.full((6, 8), 0.5)))
    ]
    out = TacafnetOutput(next(drawn), next(drawn), *parts, next(drawn), next(drawn), *maps)
    network = Answers(out)
    terms = objective_of("tacafnet")()(network, BATCH)
    torch.testing.assert_close(terms["id"], identity(out.visible, out.infrared))
    torch.testing.assert_close(terms["id_parts"], torch.stack([identity(r) for pair in parts for r in pair]).mean())
    torch.testing.assert_close(
        terms["id_reconstructed"], identity(out.visible_reconstructed, out.infrared_reconstructed)
    )
    dense = [losses.dense_triplet(m.own, m.positive, m.negative, m.mask, 0.3) for m in maps]
    torch.testing.assert_close(terms["dense"], (dense[0] + dense[1]) / 2)
    assert network.asked[2].tolist() == [2, 2, 4, 4, 0, 0]
    objective_of("tacafnet")()(network, BATCH, {"id"})
    assert network.asked[2] is None


def test_the_other_person_is_another() -> None:
    classes = torch.tensor([4, 7, 4, 4, 1])
    found = other_person(classes)
    assert found.tolist() == [1, 2, 4, 4, 0]
    assert bool((classes[found] != classes).all())
    with pytest.raises(ValueError, match="expected at least two people in a batch, got one"):
        other_person(torch.zeros(3, dtype=torch.int64))


EQUATIONS = {
    "hard": lambda f, c: losses.batch_hard_triplet(f, c, 0.3),
    "adaptive": lambda f, c: losses.adaptive_weight_triplet(f, c, 1.0),
    "weighted": losses.weighted_regularised_triplet,
    "squared": losses.squared_weighted_triplet,
}


@pytest.mark.parametrize("kind", TRIPLETS)
@pytest.mark.parametrize("network", ["afen", "tacafnet"])
def test_triplet_is_a_choice(kind: str, network: str) -> None:
    drawn = heads()
    out = TacafnetOutput(next(drawn), next(drawn), (), (), (), (), None, None, None, None)
    terms = objective_of(network)(triplet=kind)(Answers(out), BATCH, {"triplet"})
    features = torch.cat([out.visible.feature, out.infrared.feature])
    torch.testing.assert_close(terms["triplet"], EQUATIONS[kind](features, CLASSES.repeat(2)))
    assert ("mean_gap" in terms) is (kind == "squared")


@pytest.mark.parametrize("network", list_models())
def test_every_term_of_a_real_network_is_finite_and_trains_it(
    network: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recipe = small_recipe(network)
    built = build_network(recipe, small_dataset(tmp_path_factory.mktemp("people"), takes=1))
    size = (recipe.input.height_px, recipe.input.width_px)
    generator = torch.Generator().manual_seed(0)
    halves = [torch.randn(6, 3, *size, generator=generator) for _ in range(2)]
    objective = recipe.create_objective()
    terms = objective(built, TrainingBatch(*halves, CLASSES))
    assert set(objective.terms) <= set(terms)
    trained = [p for p in built.parameters() if p.requires_grad]
    for name in objective.terms:
        gradients = torch.autograd.grad(terms[name], trained, retain_graph=True, allow_unused=True)
        norms = [g.norm() for g in gradients if g is not None]
        assert torch.isfinite(torch.stack(norms)).all()
        assert max(norms) > 0, name
