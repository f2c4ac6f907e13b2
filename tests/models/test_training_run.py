"""A run: what it leaves behind, what it resumes, what it refuses, and that a bad step leaves no trace."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.calibration import Calibration
from models.checkpoint import load_checkpoint
from models.data.samples import Sample
from models.training import TrainingError, TrainingResult, TrainingStopped, embed_samples, train
from models.training.validation import Promises, association_distance
from tests.support.training import one_thread, small_dataset, small_recipe

__all__ = ["one_thread"]


def curve(folder: Path, kind: str = "step") -> dict[int, float]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    figure = "map_visible_to_infrared" if kind == "validation" else "loss"
    kept = [record for record in records if record["kind"] == kind]
    assert len({record["step"] for record in kept}) == len(kept)  # no step is recorded twice
    return {record["step"]: record[figure] for record in kept}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingResult]:
    root = tmp_path_factory.mktemp("finished")
    result = train(small_recipe("afen", "training.ema_decay=0.5"), small_dataset(root), root / "run")
    return root, result


def test_checkpoint_loads_embeds_and_is_what_was_validated(finished: tuple[Path, TrainingResult]) -> None:
    root, result = finished
    checkpoint = load_checkpoint(result.checkpoint)
    assert checkpoint.options["identities"] == 0
    assert checkpoint.trained_on["options"] == {}
    samples = small_dataset(root).validation
    vectors = embed_samples(checkpoint.build(), samples)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    best = max(curve(root / "run", "validation").values())
    assert result.figures["map_visible_to_infrared"] <= best + 1e-9
    assert len(curve(root / "run", "validation")) == 2
    assert result.best_epoch in (1, 2)


def test_folder_holds_the_result_and_no_state(finished: tuple[Path, TrainingResult]) -> None:
    root, _ = finished
    names = {path.name for path in (root / "run").iterdir()} - {".lock"}
    assert names == {
        "checkpoint.safetensors",
        "metrics.jsonl",
        "model_card.md",
        "recipe.json",
        "result.json",
        "tensorboard",
    }
    assert list(curve(root / "run")) == [1, 2, 3, 4]
    assert any((root / "run" / "tensorboard").iterdir())


def test_card_says_data_recipe_figures_limits_and_licences(finished: tuple[Path, TrainingResult]) -> None:
    _, result = finished
    card = result.card.read_text()
    assert load_checkpoint(result.checkpoint).model_card == card
    for words in (
        "4 people, 16 visible and 16 infrared pictures",
        "recipe `afen_regdb`",
        "seed 0",
        f"| rank1 visible to infrared | {100 * result.figures['rank1_visible_to_infrared']:.2f} % |",
        "not the figures of the test",
        "random weights",
        "## Limits",
        "## Licences",
    ):
        assert words in card


def test_finished_run_is_not_repeated(finished: tuple[Path, TrainingResult]) -> None:
    root, result = finished
    recipe = small_recipe("afen", "training.ema_decay=0.5")
    before = result.checkpoint.stat().st_mtime_ns
    assert train(recipe, small_dataset(root), root / "run") == result
    assert result.checkpoint.stat().st_mtime_ns == before
    with pytest.raises(TrainingError, match="finished run with another recipe; take another folder"):
        train(small_recipe("afen"), small_dataset(root), root / "run")
    with pytest.raises(TrainingError, match="finished run with another data set"):
        train(recipe, small_dataset(root, takes=2), root / "run")


def test_share_of_the_moving_average_lies_between_it_and_the_last_step(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path, validation=False)
    last, averaged, mixed = (
        load_checkpoint(train(small_recipe("afen", *changes), dataset, tmp_path / name).checkpoint).state
        for name, changes in {
            "last": (),
            "averaged": ("training.ema_decay=0.5",),
            "mixed": ("training.ema_decay=0.5", "training.ema_share=0.25"),
        }.items()
    )
    moved = [name for name in last if last[name].is_floating_point() and not torch.equal(last[name], averaged[name])]
    assert len(moved) > 10
    for name in moved:
        torch.testing.assert_close(mixed[name], last[name].lerp(averaged[name], 0.25), rtol=1e-4, atol=1e-6)


def test_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    recipe, dataset = small_recipe("fused_attention", "training.ema_decay=0.9"), small_dataset(tmp_path)
    whole = train(recipe, dataset, tmp_path / "whole")
    for steps in (1, 2, 1):
        asked = iter([False] * (steps - 1) + [True])
        with pytest.raises(TrainingStopped, match="the same command goes on from there"):
            train(recipe, dataset, tmp_path / "parts", stop=lambda asked=asked: next(asked))
    parts = train(recipe, dataset, tmp_path / "parts")
    assert curve(tmp_path / "parts") == pytest.approx(curve(tmp_path / "whole"), rel=1e-5)
    assert curve(tmp_path / "parts", "epoch") == pytest.approx(curve(tmp_path / "whole", "epoch"), rel=1e-5)
    assert parts.figures == pytest.approx(whole.figures)
    one, other = (load_checkpoint(result.checkpoint).state for result in (parts, whole))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name])


def test_state_of_another_recipe_is_refused_and_can_be_thrown_away(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)
    with pytest.raises(TrainingStopped):
        train(small_recipe(), dataset, tmp_path / "run", stop=lambda: True)
    with pytest.raises(TrainingError, match="is of a run with another recipe"):
        train(small_recipe("afen", "training.seed=1"), dataset, tmp_path / "run")
    (tmp_path / "run" / "state.pt").write_bytes(b"no state")
    with pytest.raises(TrainingError, match=r"no whole state.*start anew with --fresh"):
        train(small_recipe(), dataset, tmp_path / "run")
    (tmp_path / "run" / "mine.txt").write_text("not of the run")
    result = train(
        small_recipe("afen", "training.seed=1", "training.epochs=1"), dataset, tmp_path / "run", resume=False
    )
    assert result.steps == 2
    assert (tmp_path / "run" / "mine.txt").exists()


def test_global_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with pytest.raises(TrainingStopped):
        train(small_recipe(), small_dataset(tmp_path), tmp_path / "run", stop=lambda: True)
    assert torch.equal(torch.rand(3), expected)


def test_without_a_validation_part_the_last_epoch_is_kept(tmp_path: Path) -> None:
    recipe = small_recipe("afen", "training.epochs=1")
    result = train(recipe, small_dataset(tmp_path, validation=False), tmp_path / "run")
    assert (result.figures, result.best_epoch) == ({}, 1)
    assert "nothing was measured" in result.card.read_text()
    assert load_checkpoint(result.checkpoint).calibration == Calibration()


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        ("afen", ("batch.frames=3",)),
        ("cmft", ("network.options.frames=3", "batch.frames=1")),  # learns from pictures, is asked with clips
    ],
)
def test_tracklets_are_judged_whole_and_the_trackers_distance_is_fitted_on_single_pictures(
    network: str, changes: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = {}

    def fit(samples: object, features: np.ndarray, crops: Sequence[Sample], crop_features: np.ndarray) -> Promises:
        fitted.update(tracklets=(samples, features), crops=(crops, crop_features))
        return Promises(Calibration(), 0.25)

    monkeypatch.setattr("models.training.finishing.fit_promises", fit)
    dataset = small_dataset(tmp_path, frames=3)
    recipe = small_recipe(network, *changes, "training.epochs=1")
    checkpoint = load_checkpoint(train(recipe, dataset, tmp_path / "run").checkpoint)
    assert (checkpoint.tracklet_frames, checkpoint.association_distance) == (3, 0.25)
    for what, frames in (("tracklets", 3), ("crops", 1)):
        samples, found = fitted[what]
        np.testing.assert_allclose(found, embed_samples(checkpoint.build(), samples, frames=frames), atol=1e-5)
    assert fitted["tracklets"][0] == dataset.validation
    ends = [crop.pictures for crop in fitted["crops"][0]]
    assert ends == [(picture,) for s in dataset.validation for picture in (s.pictures[0], s.pictures[-1])]


def test_validation_part_that_cannot_be_judged_is_found_before_the_first_step(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)
    one_light = replace(dataset, validation=tuple(s for s in dataset.validation if s.modality == "visible"))
    with pytest.raises(TrainingError, match=r"validation part cannot be judged .*samples of both lights"):
        train(small_recipe(), one_light, tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("network.options={headz=3}", "network.options: .*headz"),
        ("network.pretrained=resnet50", "torchvision's ResNet-50.* --pretrained FILE"),
        ("network.pretrained=nowhere.pth", "nowhere.pth: cannot be read"),
        ("training.sync_batch_norm=true", "sync_batch_norm: expected CUDA"),
    ],
)
def test_run_that_cannot_begin_says_why(change: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=words):
        train(small_recipe("afen", change), small_dataset(tmp_path, takes=2), tmp_path / "run", device="cpu")


def test_gradients_that_are_not_finite_end_the_run_with_a_reason(tmp_path: Path) -> None:
    recipe = small_recipe(
        "afen",
        "optimiser={kind='sgd', head_rate=1e30, trunk_rate=1e30}",
        "schedule.warm_up_epochs=0",
        "training={epochs=9, max_bad_steps=3}",
    )
    dataset = small_dataset(tmp_path, validation=False)
    with pytest.raises(TrainingError, match=r"not finite in 3 steps in a row.*lower the rates"):
        train(recipe, dataset, tmp_path / "run")


@pytest.mark.parametrize(
    ("same", "other", "expected"),
    [
        ([0.1, 0.2], [0.6, 0.8], 0.4),
        ([0.1, 0.2, 0.9], [0.5, 0.6, 0.7], 0.35),
        ([0.5, 0.6], [0.1, 0.2], None),
        ([], [0.1], None),
    ],
)
def test_tracker_distance_is_where_errors_are_fewest(
    same: list[float], other: list[float], expected: float | None
) -> None:
    found = association_distance(np.array(same), np.array(other))
    assert found == (None if expected is None else pytest.approx(expected))
