"""From a recipe and a data set to a network with a classifier for those who take part."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from models.data.samples import ReidDataset
from models.data.sampling import IdentitySampler
from models.registry import ReidNetwork, create_model
from models.training.errors import TrainingError
from models.training.recipes.schema import Recipe

__all__ = ["build_network", "describe_run"]


def build_network(recipe: Recipe, dataset: ReidDataset) -> nn.Module:
    """Fresh weights, drawn from torch's global generator.

    Raises:
        TrainingError: options that the network does not take, or a module to freeze that it does not have.
        DataError: too few people with samples in both lights.
    """
    options = {**recipe.network.options, "identities": len(_sampler(recipe, dataset).classes)}
    try:
        network = create_model(recipe.network.name, preprocessing=recipe.preprocessing(), **options)
    except (TypeError, ValueError, KeyError) as error:
        raise TrainingError(f"network.options: {error}") from error
    own = cast(ReidNetwork, network).options.get("frames")
    if own is not None and recipe.batch.frames not in (0, 1, own):
        raise TrainingError(f"batch.frames: expected 0, or network.options.frames ({own}), got {recipe.batch.frames}")
    for name in recipe.optimiser.frozen:
        try:
            network.get_submodule(name).requires_grad_(False)
        except AttributeError as error:
            raise TrainingError(f"optimiser.frozen: the network has no module {name!r}") from error
    return network


def describe_run(recipe: Recipe, dataset: ReidDataset) -> dict[str, str | int | float]:
    """What a run would be, without running it: counts, steps, parameters. Errors as `build_network`."""
    sampler = _sampler(recipe, dataset)
    with torch.random.fork_rng([]):
        network = build_network(recipe, dataset)
    people = {part: len({s.identity for s in getattr(dataset, part)}) for part in ("train", "validation", "test")}
    return {
        "recipe": recipe.name,
        "fingerprint": recipe.fingerprint,
        "network": recipe.network.name,
        "parameters": sum(p.numel() for p in network.parameters()),
        "starts_from": recipe.network.pretrained or "random weights",
        "training_people": people["train"],
        "training_people_in_both_lights": len(sampler.classes),
        "training_samples": len(dataset.train),
        "validation_people": people["validation"],
        "validation_samples": len(dataset.validation),
        "test_people": people["test"],
        "rows_of_a_batch": 2 * recipe.batch.identities * recipe.batch.samples,
        "batches_of_an_epoch": len(sampler),
        "epochs": recipe.training.epochs,
        "steps": recipe.training.epochs * len(sampler),
        "stages": "; ".join(
            f"from epoch {stage.from_epoch}: " + ", ".join(f"{w:g} {name}" for name, w in stage.weights.items())
            for stage in recipe.stages
        ),
    }


def _sampler(recipe: Recipe, dataset: ReidDataset) -> IdentitySampler:
    return IdentitySampler(
        dataset.train,
        identities_per_batch=recipe.batch.identities,
        samples_per_identity=recipe.batch.samples,
        seed=recipe.training.seed,
    )
