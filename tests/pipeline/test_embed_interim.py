"""The interim checkpoint, from the package index to vectors."""

from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from models.checkpoint import load_checkpoint
from models.interim import INTERIM_LABEL, interim_checkpoint, measure_statistics
from models.types import Modality
from pipeline.embed import Embedder, load_embedder

V = Modality.VISIBLE


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def embedder(cache: Path) -> Embedder:
    return load_embedder(None, cache_dir=cache, threads=1)


def person(top: tuple[int, int, int], trousers: tuple[int, int, int], seed: int) -> np.ndarray:
    """A figure in two colours before a grey street, with noise, at a slightly other place and size each time."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(70, 130), rng.integers(30, 50)
    picture = np.full((height, width, 3), 140, np.float64)
    left, right = int(width * rng.uniform(0.15, 0.3)), int(width * rng.uniform(0.7, 0.85))
    picture[int(0.05 * height) : int(0.18 * height), width // 3 : 2 * width // 3] = (140, 170, 210)
    picture[int(0.18 * height) : int(0.52 * height), left:right] = top
    picture[int(0.52 * height) : int(0.95 * height), left:right] = trousers
    return np.clip(picture * rng.uniform(0.8, 1.2) + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)


def test_all_machines_make_the_same_model(embedder: Embedder, cache: Path) -> None:
    assert embedder.model_hash == "c1e728b9c0f46d0026707dda8b82d9594a78cb934ca22f56b2be12c3c9f75f33"
    path = interim_checkpoint(cache)
    written = path.stat().st_mtime_ns
    assert interim_checkpoint(cache) == path
    assert path.stat().st_mtime_ns == written


def test_a_damaged_one_is_built_again(cache: Path) -> None:
    path = interim_checkpoint(cache)
    path.write_bytes(path.read_bytes()[:1000])
    assert load_checkpoint(interim_checkpoint(cache)).label == INTERIM_LABEL


def test_it_says_what_it_is(embedder: Embedder, cache: Path) -> None:
    assert embedder.interim
    assert embedder.label == "interim: MobileNetV2 ImageNet, not trained for re-identification"
    assert embedder.calibration.of(V, V) is None
    assert embedder.dim == 512
    with capture_logs() as lines:
        load_embedder(None, cache_dir=cache)
    loaded = [line for line in lines if line["event"] == "embedder.loaded"]
    assert [(line["log_level"], line["interim"]) for line in loaded] == [("warning", True)]


def test_it_runs_in_float32(embedder: Embedder) -> None:
    assert embedder.describe().precision == "fp32"


def test_it_tells_clothes_apart(embedder: Embedder) -> None:
    clothes = [
        ((40, 40, 200), (90, 60, 40)),
        ((90, 60, 40), (40, 40, 200)),
        ((30, 30, 30), (120, 90, 50)),
        ((60, 160, 60), (30, 30, 30)),
    ]
    crops = [person(*wears, seed=10 * index + take) for index, wears in enumerate(clothes) for take in range(4)]
    vectors = embedder.embed_images(crops, [V] * len(crops))
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1)
    who = np.repeat(np.arange(len(clothes)), 4)
    assert (who[likeness.argmax(axis=1)] == who).all()
    clips = embedder.embed_clips([crops[4 * i : 4 * i + 4] for i in range(4)], [V] * 4)
    assert ((vectors @ clips.T).argmax(axis=1) == who).mean() > 0.9


def test_statistics_can_be_measured_again(cache: Path) -> None:
    crops = [person((40, 40, 200), (90, 60, 40), seed) for seed in range(6)]
    found = measure_statistics(crops, cache)
    assert set(found) == {"visible.mean", "visible.scale", "infrared.mean", "infrared.scale"}
    assert all(tensor.shape == (5952,) and tensor.isfinite().all() for tensor in found.values())
    assert (found["visible.scale"] > 0).all()
    assert not np.allclose(found["visible.mean"], found["infrared.mean"])
