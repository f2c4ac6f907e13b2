"""Every network, trained by its own recipe's losses, learns a tiny set of people in two kinds of light by heart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.checkpoint import load_checkpoint
from models.evaluation import evaluate
from models.registry import list_models
from models.training import embed_samples, train
from models.types import Modality
from tests.support.training import draw_samples, one_thread, small_dataset, small_recipe

__all__ = ["one_thread"]

REPEATS = 10  # of the few pictures in an epoch
EPOCHS = {"fused_attention": 2, "afen": 6}  # of 20 steps; 5 where batch norms have to forget their first statistics
# At the rates of its recipe AFEN hangs on how the processor rounds: now and then one of the four stays behind.
RATES = {"afen": ("optimiser.head_rate=5e-4", "optimiser.trunk_rate=5e-4")}


@pytest.mark.parametrize("network", list_models())
def test_network_overfits_to_all_of_rank_1(network: str, tmp_path: Path) -> None:
    few = draw_samples(tmp_path, (1, 2, 3, 4))
    dataset = replace(small_dataset(tmp_path, validation=False), train=few * REPEATS)
    recipe = small_recipe(
        network,
        f"training.epochs={EPOCHS.get(network, 5)}",
        "batch.samples=1",
        "augmentation={flip=0, crop_px=0}",
        "schedule.final_factor=0",
        *RATES.get(network, ()),
    )
    result = train(recipe, dataset, tmp_path / "run")
    trained = load_checkpoint(result.checkpoint).build()
    features = embed_samples(trained, few)
    identities = np.array([sample.identity for sample in few])
    cameras = np.array([sample.camera for sample in few])
    light = np.array([sample.modality for sample in few])
    for asking in Modality:
        query, gallery = light == asking, light == asking.other
        found = evaluate(
            "regdb",
            features[query],
            features[gallery],
            identities[query],
            identities[gallery],
            cameras[query],
            cameras[gallery],
        )
        assert found.rank[1] == 1.0
