"""The embedder with real engines: what goes in, what comes out, what is refused."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from models.checkpoint import Checkpoint, CheckpointError, save_checkpoint
from models.preprocessing import Preprocessing
from models.registry import create_model
from models.runtime.engine import Engine, EngineDescription, EngineError, TensorSpec
from models.types import Modality
from pipeline.embed import Embedder, load_embedder, sample_evenly

V = Modality.VISIBLE
I = Modality.INFRARED  # noqa: E741 - the field's own letters


def small_checkpoint(folder: Path, frames: int = 3) -> Path:
    torch.manual_seed(0)
    preprocessing = Preprocessing(height_px=64, width_px=32)
    model = create_model(
        "cmft",
        preprocessing=preprocessing,
        backbone="mobilenetv2",
        embedding="stream",
        fusion=False,
        frames=frames,
        stream_dim=24,
        stream_levels=[2, 3],
        stream_parts=[4, 2],
        pooling_exponent=1.0,
    )
    path = folder / "small.safetensors"
    save_checkpoint(Checkpoint("cmft", model.options, preprocessing, model.state_dict(), "small"), path)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def embedder(request: pytest.FixtureRequest, cache: Path) -> Embedder:
    return load_embedder(small_checkpoint(cache), cache_dir=cache, backend=request.param, threads=1)


def crop(seed: int, height: int = 90, width: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_vectors_come_in_the_order_of_the_crops(embedder: Embedder) -> None:
    crops = [crop(i) for i in range(5)]
    modalities = [V, I, V, V, I]
    together = embedder.embed_images(crops, modalities)
    assert together.shape == (5, embedder.dim) == (5, 24)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for row, picture, modality in zip(together, crops, modalities, strict=True):
        np.testing.assert_allclose(embedder.embed_images([picture], [modality])[0], row, atol=1e-5)
    assert not np.allclose(embedder.embed_images([crops[0]], [V]), embedder.embed_images([crops[0]], [I]))


def test_more_crops_than_a_batch_holds(embedder: Embedder) -> None:
    crops = [crop(i, 20, 10) for i in range(70)]
    vectors = embedder.embed_images(crops, [V] * 70)
    np.testing.assert_allclose(vectors[69], embedder.embed_images(crops[69:], [V])[0], atol=1e-5)


def test_nothing_in_nothing_out(embedder: Embedder) -> None:
    assert embedder.embed_images([], []).shape == (0, 24)
    assert embedder.embed_clips([], []).shape == (0, 24)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((90, 30, 3), np.uint8),
        np.full((90, 30, 3), 255, np.uint8),
        np.zeros((16000, 1, 3), np.uint8),
        np.zeros((1, 16000, 3), np.uint8),
        np.asfortranarray(crop(1)),
        crop(1)[::-1, ::-2],
    ],
    ids=["one pixel", "black", "white", "very tall", "very wide", "fortran order", "strided"],
)
def test_strange_pictures_give_sound_vectors(embedder: Embedder, picture: np.ndarray) -> None:
    for vectors in (embedder.embed_images([picture], [I]), embedder.embed_clips([[picture]], [I])):
        assert np.isfinite(vectors).all()
        assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)


def test_wrong_input_is_refused_with_expected_and_got(embedder: Embedder) -> None:
    with pytest.raises(ValueError, match=r"crops\[1\]: expected uint8\[H, W, 3\] BGR, got float32\[4, 4, 3\]"):
        embedder.embed_images([crop(0), np.zeros((4, 4, 3), np.float32)], [V, V])
    with pytest.raises(ValueError, match=r"modalities: expected one for each of 2 crops, got 1"):
        embedder.embed_images([crop(0), crop(1)], [V])
    with pytest.raises(ValueError, match=r"clips\[0\]: expected at least one crop, got none"):
        embedder.embed_clips([[]], [V])
    with pytest.raises(ValueError, match=r"clips\[0\]\[1\]: expected uint8"):
        embedder.embed_clips([[crop(0), crop(0)[:, :, 0]]], [V])
    with pytest.raises(ValueError, match="'thermal' is not a valid Modality"):
        embedder.embed_images([crop(0)], ["thermal"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("count", "wanted", "chosen"),
    [
        (1, 3, [0, 0, 0]),
        (2, 6, [0, 0, 0, 1, 1, 1]),
        (4, 6, [0, 1, 1, 2, 3, 3]),
        (6, 6, [0, 1, 2, 3, 4, 5]),
        (12, 6, [1, 3, 5, 7, 9, 11]),
        (100, 2, [25, 75]),
    ],
)
def test_clips_are_sampled_evenly(count: int, wanted: int, chosen: list[int]) -> None:
    assert sample_evenly(count, wanted) == chosen


def test_clips_of_any_length(embedder: Embedder) -> None:
    crops = [crop(i) for i in range(9)]
    assert embedder.frames == 3
    vectors = embedder.embed_clips([crops, crops[:1], crops[:2]], [V, V, I])
    assert vectors.shape == (3, 24)
    np.testing.assert_allclose(vectors[0], embedder.embed_clips([[crops[1], crops[4], crops[7]]], [V])[0], atol=1e-5)
    np.testing.assert_allclose(vectors[1], embedder.embed_clips([[crops[0]] * 3], [V])[0], atol=1e-5)


def test_engines_agree(cache: Path) -> None:
    path = small_checkpoint(cache)
    crops = [crop(i) for i in range(6)]
    a, b = (
        load_embedder(path, cache_dir=cache, backend=backend, threads=1).embed_images(crops, [V] * 6)
        for backend in ("onnxruntime", "openvino")
    )
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_network_of_single_pictures_averages_a_clip(tmp_path: Path) -> None:
    embedder = load_embedder(small_checkpoint(tmp_path, frames=1), cache_dir=tmp_path, backend="onnxruntime", threads=1)
    crops = [crop(i) for i in range(4)]
    mean = embedder.embed_images(crops, [V] * 4).mean(axis=0)
    vectors = embedder.embed_clips([crops, crops[:1]], [V, I])
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(vectors[1], embedder.embed_images(crops[:1], [I])[0], atol=1e-5)


def test_engines_are_opened_when_they_are_needed(cache: Path) -> None:
    opened: list[tuple[Modality, int]] = []
    real = load_embedder(small_checkpoint(cache), cache_dir=cache, backend="onnxruntime", threads=1)

    def open_engine(modality: Modality, frames: int) -> Engine:
        opened.append((modality, frames))
        return real._engine(modality, frames)

    embedder = Embedder(
        Checkpoint("cmft", {}, Preprocessing(height_px=64, width_px=32), {}, "x"),
        dim=24,
        clip_frames=3,
        open_engine=open_engine,
    )
    assert embedder.embed_images([], []).shape == (0, 24)
    assert opened == []
    embedder.embed_images([crop(0)], [V])
    embedder.embed_images([crop(0)], [V])
    assert opened == [(V, 1)]
    embedder.embed_clips([[crop(0)]], [I])
    assert opened == [(V, 1), (I, 3)]


class BrokenEngine:
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, value: float) -> None:
        self.value = value

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"vector": np.full((len(feeds["crops"]), 24), self.value, np.float32)}

    def warm_up(self, shapes: Mapping[str, tuple[int, ...]]) -> None: ...

    def describe(self) -> EngineDescription:
        return EngineDescription("broken", "0", "cpu", "fp32", 1, "x")


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_vectors_that_mean_nothing_never_come_out(value: float) -> None:
    checkpoint = Checkpoint("cmft", {}, Preprocessing(height_px=64, width_px=32), {}, "x")
    embedder = Embedder(checkpoint, dim=24, clip_frames=3, open_engine=lambda *_: BrokenEngine(value))
    with pytest.raises(EngineError, match="not finite or have no length"):
        embedder.embed_images([crop(0)], [V])


def test_low_precision_only_where_the_checkpoint_allows_it(cache: Path) -> None:
    embedder = load_embedder(small_checkpoint(cache), cache_dir=cache, backend="openvino", threads=1)
    assert embedder.describe().precision == "fp32"


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing\.safetensors: cannot be read"):
        load_embedder(tmp_path / "nothing.safetensors", cache_dir=tmp_path)
