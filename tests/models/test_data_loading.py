"""Batches: aligned rows, everybody's turn, and the same content whoever prepares them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data import DataError, Sample, loading, open_dataset
from models.data.augment import AugmentOptions
from models.data.batch import TrainingBatch
from models.data.clips import choose_frames
from models.data.loading import TrainingLoader, training_loader
from models.data.pictures import read_picture
from models.data.samples import ArrayRow
from models.data.sampling import IdentitySampler
from models.preprocessing import Preprocessing
from models.types import Modality
from tests.support import miniatures

SMALL = Preprocessing(height_px=24, width_px=12, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
BUSY = AugmentOptions(channels="exchange", erasing=0.5, trivial=0.5, gamma=0.3, noise=3.0, infrared_blur=0.5)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """Five people, 3 to 7 visible and 2 to 6 infrared tracklets; every pixel of a frame tells whose it is.

    Blue is the person, green the light (0 or 200), red the number of the frame, ten times.
    """
    file = tmp_path_factory.mktemp("rows") / "rows.npy"
    rows: list[np.ndarray] = []
    samples: list[Sample] = []
    for person in range(1, 6):
        for light, count in ((VISIBLE, 2 + person), (INFRARED, 1 + person)):
            for _ in range(count):
                first = len(rows)
                for frame in range(8):
                    rows.append(np.full((24, 12, 3), (10 * frame, 200 * (light is INFRARED), person), np.uint8))
                pictures = tuple(ArrayRow(file, row) for row in range(first, len(rows)))
                samples.append(Sample(pictures, 10 * person, 1, light))
    samples.append(Sample(samples[0].pictures, 99, 1, VISIBLE))  # never seen in infrared
    np.save(file, np.stack(rows))
    return tuple(samples)


def loader(samples: tuple[Sample, ...], **changes: object) -> TrainingLoader:
    settings: dict[str, object] = {
        "frames": 1,
        "identities_per_batch": 2,
        "samples_per_identity": 3,
        "augmentation": AugmentOptions.off(),
        "counterparts": False,
        "seed": 5,
    }
    return training_loader(samples, SMALL, **(settings | changes))  # type: ignore[arg-type]


def same(one: TrainingBatch, other: TrainingBatch) -> bool:
    pairs = zip(
        (one.visible, one.infrared, one.classes, *one.counterparts()),
        (other.visible, other.infrared, other.classes, *other.counterparts()),
        strict=True,
    )
    return all((a is None and b is None) or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


@pytest.mark.parametrize("frames", [1, 4])
def test_rows_of_both_halves_show_the_same_person(numbered: tuple[Sample, ...], frames: int) -> None:
    loaded = loader(numbered, frames=frames)
    assert loaded.classes == {10: 0, 20: 1, 30: 2, 40: 3, 50: 4}
    shape = (6, 3, 24, 12) if frames == 1 else (6, frames, 3, 24, 12)
    for batch in loaded.batches(0):
        assert tuple(batch.visible.shape) == tuple(batch.infrared.shape) == shape
        assert batch.classes.dtype == torch.int64
        assert batch.classes.reshape(2, 3).unique(dim=1).shape == (2, 1), "rows of one identity lie together"
        assert len(batch.classes.unique()) == 2
        for half, green in ((batch.visible, 0), (batch.infrared, 200)):
            red, middle, blue = half.unflatten(0, (6, 1)).movedim(-3, 0)
            assert torch.equal(blue.reshape(6, -1).unique(dim=1), batch.classes[:, None] + 1.0)
            assert torch.equal(middle.unique(), torch.tensor([float(green)]))
            assert red.max() <= 70


def test_an_epoch_sees_everybody_and_about_every_sample(numbered: tuple[Sample, ...]) -> None:
    sampler = IdentitySampler(numbered, identities_per_batch=2, samples_per_identity=3, seed=0)
    assert len(sampler) == -(-25 // 6), "25 visible samples of people seen in both lights"
    for epoch in range(5):
        chosen, classes = sampler.plan(epoch)
        assert chosen.shape == (5, 2, 2, 3)
        assert set(Counter(classes.ravel().tolist()).values()) == {2}, "ten turns for five people"
        for light, modality in enumerate((VISIBLE, INFRARED)):
            rows = chosen[:, light]
            assert {numbered[row].modality for row in rows.ravel()} == {modality}
            owners = np.vectorize(lambda row: sampler.classes[numbered[row].identity])(rows)
            assert (owners == classes[..., None]).all()
            for number in range(5):
                turns = Counter(rows[classes == number].ravel().tolist())
                assert max(turns.values()) - min(turns.values()) <= 1
                own = [s for s in numbered if s.modality is modality and sampler.classes.get(s.identity) == number]
                assert len(turns) == min(6, len(own)), "all of them, unless there are more than turns"


@settings(max_examples=40, deadline=None)
@given(
    people=st.integers(1, 9),
    identities=st.integers(1, 9),
    each=st.integers(1, 5),
    epoch=st.integers(0, 1000),
    seed=st.integers(0, 2**31),
)
def test_plan_holds_for_any_size(people: int, identities: int, each: int, epoch: int, seed: int) -> None:
    luck = np.random.default_rng(seed)
    samples = [
        Sample((Path("x"),), person, 1, light)
        for person in range(people)
        for light in Modality
        for _ in range(luck.integers(1, 9))
    ]
    if people < identities:
        with pytest.raises(DataError, match=f"at least {identities} training identities"):
            IdentitySampler(samples, identities_per_batch=identities, samples_per_identity=each, seed=seed)
        return
    sampler = IdentitySampler(samples, identities_per_batch=identities, samples_per_identity=each, seed=seed)
    chosen, classes = sampler.plan(epoch)
    assert classes.shape == (len(sampler), identities)
    assert all(len(set(batch)) == identities for batch in classes.tolist())
    seen = Counter(classes.ravel().tolist())
    assert max(seen.values()) - min(seen.get(number, 0) for number in range(people)) <= 1
    larger = max(sum(s.modality is light for s in samples) for light in Modality)
    assert 0 <= len(sampler) * identities * each - larger < identities * each
    again = sampler.plan(epoch)
    assert np.array_equal(chosen, again[0])
    assert np.array_equal(classes, again[1])


def test_epochs_differ_and_seeds_differ(numbered: tuple[Sample, ...]) -> None:
    first = next(loader(numbered, augmentation=BUSY).batches(0))
    assert not same(first, next(loader(numbered, augmentation=BUSY).batches(1)))
    assert not same(first, next(loader(numbered, augmentation=BUSY, seed=6).batches(0)))
    assert same(first, next(loader(numbered, augmentation=BUSY).batches(0)))


@pytest.mark.parametrize("frames", [1, 3])
def test_content_is_the_same_for_any_number_of_workers(numbered: tuple[Sample, ...], frames: int) -> None:
    alone = loader(numbered, augmentation=BUSY, counterparts=True, frames=frames)
    crowd = loader(numbered, augmentation=BUSY, counterparts=True, frames=frames, workers=2)
    for epoch in (0, 1):
        pairs = list(zip(alone.batches(epoch), crowd.batches(epoch), strict=True))
        assert len(pairs) == len(alone)
        assert all(same(one, other) for one, other in pairs)


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_gives_what_an_uninterrupted_epoch_would(numbered: tuple[Sample, ...], workers: int) -> None:
    whole = list(loader(numbered, augmentation=BUSY, counterparts=True).batches(3))
    resumed = loader(numbered, augmentation=BUSY, counterparts=True, workers=workers)
    broken_off = resumed.batches(2)
    next(broken_off)
    for first in (2, 4, len(whole)):
        rest = list(resumed.batches(3, first))
        assert len(rest) == len(whole) - first
        assert all(same(one, other) for one, other in zip(rest, whole[first:], strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_torchs_own_generator_alone(numbered: tuple[Sample, ...], workers: int) -> None:
    before = torch.random.get_rng_state()
    list(loader(numbered, workers=workers).batches(0))
    list(loading.test_batches(numbered[:3], SMALL, frames=1, batch_size=2, workers=workers))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_ranks_share_the_identities_of_one_batch(numbered: tuple[Sample, ...]) -> None:
    whole = list(loader(numbered, identities_per_batch=4, augmentation=BUSY, counterparts=True).batches(0))
    ranks = [
        loader(numbered, identities_per_batch=4, augmentation=BUSY, counterparts=True, rank=rank, world_size=2)
        for rank in range(2)
    ]
    assert len(ranks[0]) == len(ranks[1]) == len(whole)
    for batch, first, second in zip(whole, *(rank.batches(0) for rank in ranks), strict=True):
        assert not set(first.classes.tolist()) & set(second.classes.tolist())
        for half in ("visible", "infrared", "classes", "visible_counterpart", "infrared_counterpart"):
            assert torch.equal(torch.cat([getattr(first, half), getattr(second, half)]), getattr(batch, half))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": 0}, "frames: expected at least 1"),
        ({"workers": -1}, "workers: expected at least 0"),
        ({"seed": -1}, "seed: expected 0 or more"),
        ({"samples_per_identity": 0}, "at least one identity a batch and one sample an identity"),
        ({"rank": 1}, "rank below world_size"),
        ({"world_size": 3, "identities_per_batch": 4}, "divides by it"),
    ],
)
def test_numbers_out_of_range_are_refused(numbered: tuple[Sample, ...], changes: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        loader(numbered, **changes)


def test_places_beyond_an_epoch_are_refused(numbered: tuple[Sample, ...]) -> None:
    loaded = loader(numbered)
    for epoch, first in ((-1, 0), (0, -1), (0, len(loaded) + 1)):
        with pytest.raises(ValueError, match="expected epoch >= 0 and first"):
            loaded.batches(epoch, first)


def test_counterparts_have_the_shape_of_their_halves_and_change_nothing_else(numbered: tuple[Sample, ...]) -> None:
    for one, other in zip(
        loader(numbered, augmentation=BUSY, frames=2).batches(0),
        loader(numbered, augmentation=BUSY, frames=2, counterparts=True).batches(0),
        strict=True,
    ):
        assert one.counterparts() == (None, None)
        assert torch.equal(one.visible, other.visible)
        assert torch.equal(one.infrared, other.infrared)
        assert other.visible_counterpart is not None
        assert other.visible_counterpart.shape == other.visible.shape


@pytest.mark.parametrize("workers", [0, 2])
def test_test_batches_keep_the_order(numbered: tuple[Sample, ...], workers: int) -> None:
    samples = [sample for sample in numbered if sample.modality is VISIBLE]
    single = list(loading.test_batches(samples, SMALL, frames=1, batch_size=4, workers=workers))
    assert [len(batch) for batch in single] == [4] * 6 + [2]
    blue = torch.cat(single)[:, 2, 0, 0]
    assert blue[:-1].tolist() == [sample.identity // 10 for sample in samples[:-1]]
    (clips,) = loading.test_batches(samples[:3], SMALL, frames=3, batch_size=4, workers=workers)
    assert clips.shape == (3, 3, 3, 24, 12)
    assert clips[:, :, 0, 0, 0].tolist() == [[0.0, 30.0, 60.0]] * 3, "the first of each strip of three frames"


def test_test_batches_are_what_the_network_sees_in_service(tmp_path: Path) -> None:
    dataset = open_dataset("llcm", miniatures.write_llcm(tmp_path))
    samples = [sample for sample in dataset.test if sample.modality is INFRARED]
    prepare = Preprocessing(height_px=48, width_px=24)
    (batch,) = loading.test_batches(samples, prepare, frames=1, batch_size=100)
    crops = [read_picture(sample.pictures[0]) for sample in samples]
    assert np.array_equal(batch.numpy(), prepare.batch(crops))


def test_test_batches_of_two_lights_are_refused(numbered: tuple[Sample, ...]) -> None:
    with pytest.raises(ValueError, match="one modality, got infrared, visible"):
        loading.test_batches(numbered, SMALL, frames=1, batch_size=4)
    assert list(loading.test_batches([], SMALL, frames=1, batch_size=4)) == []


def test_damaged_picture_is_named(tmp_path: Path) -> None:
    root = miniatures.write_regdb(tmp_path, people=4, pictures=1)
    dataset = open_dataset("regdb", root, validation="none")
    broken = dataset.train[0].pictures[0]
    assert isinstance(broken, Path)
    broken.write_bytes(b"")
    with pytest.raises(DataError, match=broken.name):
        list(loader(dataset.train, samples_per_identity=1).batches(0))
    with pytest.raises(DataError, match=rf"^{broken}: expected a picture, got 0 bytes that are none$"):
        list(loader(dataset.train, samples_per_identity=1, workers=1).batches(0))


def field_rule(available: int, frames: int) -> list[list[int]]:
    """MITML's strips, written out: the list padded with its last frame, then cut into equal parts."""
    strip = max(1, -(-available // frames))
    padded = list(range(available)) + [available - 1] * (strip * frames - available)
    return [padded[strip * part : strip * (part + 1)] for part in range(frames)]


@settings(max_examples=60, deadline=None)
@given(available=st.integers(1, 200), frames=st.integers(1, 30), seed=st.integers(0, 99))
def test_clips_are_made_of_equal_strips(available: int, frames: int, seed: int) -> None:
    strips = field_rule(available, frames)
    assert choose_frames(available, frames) == [strip[0] for strip in strips]
    drawn = choose_frames(available, frames, np.random.default_rng(seed))
    assert all(place in strip for place, strip in zip(drawn, strips, strict=True))
    assert drawn == sorted(drawn)


def test_every_frame_of_a_strip_is_drawn_sometimes() -> None:
    generator = np.random.default_rng(0)
    drawn = np.array([choose_frames(18, 6, generator) for _ in range(200)])
    assert [sorted(set(column)) for column in drawn.T] == field_rule(18, 6)
    with pytest.raises(ValueError, match="at least one frame"):
        choose_frames(0, 6)
