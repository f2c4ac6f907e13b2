"""Recipes: what ships, how files build on each other, and one sentence for every mistake."""

from pathlib import Path

import pytest

from models.data.datasets import list_datasets
from models.registry import list_models
from models.training import RecipeError, list_recipes, load_recipe

PAPERS = ("afen", "cmft", "fused_attention", "tacafnet")
DATA_SETS = ("sysu-mm01", "regdb", "llcm", "hitsz-vcm")


# For a machine without a GPU, on the rendered world; all but the first made the shipped checkpoint.
LIGHT = (
    "cmft_light_synthetic",
    "cmft_pictures_synthetic",
    "cmft_pictures_further_synthetic",
    "cmft_pictures_refit_synthetic",
    "cmft_pictures_large_synthetic",
    "cmft_pictures_whole_synthetic",
    "cmft_pictures_cameras_synthetic",
    "cmft_pictures_cameras_further_synthetic",
    "cmft_pictures_cameras_longer_synthetic",
    "cmft_pictures_thermal_synthetic",
)


def test_every_paper_has_a_recipe_for_every_data_set() -> None:
    expected = {f"{paper}_{data}" for paper in PAPERS for data in DATA_SETS}
    assert set(list_recipes()) == expected | {"cmft_synthetic", *LIGHT}
    assert set(PAPERS) == set(list_models())


@pytest.mark.parametrize("name", list_recipes())
def test_recipe_is_for_what_its_name_says(name: str) -> None:
    recipe = load_recipe(name)
    network, data = recipe.network.name, recipe.data.name
    assert name == f"{network}_{data}" or name in LIGHT
    assert data in list_datasets()
    size = (recipe.input.height_px, recipe.input.width_px)
    assert size == ((384, 144) if data == "llcm" else (256, 128) if network == "cmft" else (288, 144))
    clips = data == "hitsz-vcm"
    if network == "cmft" and data in DATA_SETS:
        assert recipe.network.options["frames"] == (6 if clips else 1)
        assert recipe.training.epochs == (24 if clips else 32)
        assert recipe.schedule.decay_epochs == ((10, 20) if clips else (10, 20, 30))
    assert (recipe.batch.frames == 6) is (clips and network != "cmft")  # which has its own length
    assert (recipe.objective.get("smoothing", 0) > 0) is (network == "fused_attention" or name in LIGHT)


def test_cmft_learns_in_two_stages() -> None:
    recipe = load_recipe("cmft_hitsz-vcm")
    assert recipe.stage_at(7).weights == {"id": 1, "cross": 1, "pair": 0.5}
    assert recipe.stage_at(8).weights == {"id": 1, "cross": 1, "msrl": 0.3, "mdl": 0.7, "pair": 0.5}


def test_changes_are_toml_or_text() -> None:
    changed = load_recipe(
        "cmft_llcm", ("training.epochs=2", "objective.triplet=adaptive", "stages.1.from_epoch=1", "data.options={a=1}")
    )
    assert changed.training.epochs == 2
    assert changed.objective["triplet"] == "adaptive"
    assert changed.stage_at(1).weights["mdl"] == 0.7
    assert changed.data.options == {"a": 1}


def test_fingerprint_follows_what_decides_the_result() -> None:
    plain = load_recipe("afen_regdb").fingerprint
    assert load_recipe("afen_regdb", ("training.log_every=3",)).fingerprint == plain
    assert load_recipe("afen_regdb", ("training.seed=1",)).fingerprint != plain
    assert load_recipe("afen_regdb", ("augmentation.flip=0.4",)).fingerprint != plain


def test_a_file_of_ones_own_builds_on_a_shipped_recipe(tmp_path: Path) -> None:
    (tmp_path / "longer.toml").write_text('extends = ["afen_llcm"]\n[training]\nepochs = 140\n')
    (tmp_path / "mine.toml").write_text('extends = ["longer.toml"]\n[objective]\ntriplet = "hard"\n')
    mine = load_recipe(tmp_path / "mine.toml")
    assert (mine.name, mine.training.epochs, mine.objective["triplet"]) == ("mine", 140, "hard")
    assert mine.input.height_px == 384


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("training.epochs=0", "training.epochs: Input should be greater than or equal to 1, got 0"),
        ("trainin.epochs=2", "trainin: is unknown"),
        ("optimiser.kind=adam", "optimiser.kind: Input should be 'sgd' or 'adamw', got 'adam'"),
        ("network.name=resnet", "network.name: no objective for a network called 'resnet'; there are afen, cmft"),
        ("objective.tripet=hard", "objective: expected options .*triplet.*, got tripet"),
        ("objective.triplet=soft", "triplet: expected hard, adaptive, weighted, squared, got 'soft'"),
        ("objective.refine=all", "refine: expected streams, fused, literal, got 'all'"),
        ("augmentation.flop=1", "augmentation: expected options .*flip.*, got flop"),
        ("augmentation.flip=2", "augmentation.flip: expected 0 to 1, got 2"),
        ("stages.1.from_epoch=0", r"stages: expected ascending from_epoch of which the first is 0, got \[0, 0\]"),
        (
            "stages.0.weights={idd=1}",
            "stages.0.weights: expected terms of id, cross, msrl, mdl, pair, contrast, got idd",
        ),
        ("stages.0.weights={id=0}", "stages.0.weights: expected a term that weighs more than 0, got none"),
        ("stages.4.weights={id=1}", "there is no '4' in what comes before it"),
        ("batch.identities=1", "batch.identities: Input should be greater than or equal to 2, got 1"),
        ("input.channel_order=gbr", "channel_order: expected rgb or bgr, got 'gbr'"),
        ("training.epochs", "expected table.key=value, got 'training.epochs'"),
        ("training.ema_share=0.5", "training.ema_share: expected training.ema_decay above 0 with it, got 0"),
    ],
)
def test_mistake_names_the_key(change: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        load_recipe("cmft_regdb", (change,))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epochs = = 2", "own.toml: no TOML"),
        ('extends = ["own.toml"]', "own.toml: extends itself"),
        ('extends = "afen_llcm"', "extends: expected a list of names"),
        ('extends = ["afen_lcm"]', "no recipe called 'afen_lcm'; there are afen_hitsz-vcm"),
        ('summary = "nothing else"', "own: data: is missing; network: is missing"),
    ],
)
def test_broken_file_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(RecipeError, match=sentence):
        load_recipe(tmp_path / "own.toml")


def test_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="no recipe called 'cmft_market'; there are afen_hitsz-vcm"):
        load_recipe("cmft_market")
