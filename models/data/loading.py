"""Batches of network input from samples: for training in shuffled order, for testing in theirs.

Pictures are decoded and augmented by worker processes, so that nothing competes with the training loop for the
interpreter's lock. Batches travel through shared memory: containers need more of it than Docker's 64 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.data.augment import Augmenter, AugmentOptions
from models.data.batch import TrainingBatch
from models.data.clips import choose_frames
from models.data.pictures import read_picture
from models.data.samples import DataError, Sample
from models.data.sampling import IdentitySampler, IntArray
from models.preprocessing import Image, Preprocessing
from models.types import Modality

__all__ = ["TrainingLoader", "test_batches", "training_loader"]

FloatArray = npt.NDArray[np.float32]
_LIGHTS = (Modality.VISIBLE, Modality.INFRARED)


def training_loader(
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    *,
    frames: int,
    identities_per_batch: int,
    samples_per_identity: int,
    augmentation: AugmentOptions,
    counterparts: bool,
    seed: int,
    workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> TrainingLoader:
    """Lay out training on samples of both kinds of light.

    Args:
        frames: N of a clip; 1 gives single pictures, of tracklets a random one.
        identities_per_batch: P of the whole batch. Of `world_size` processes each gets P / world_size of them, so a
            recipe means the same on any number of GPUs; losses that mine within a batch see their process's share.
        samples_per_identity: K of each kind.
        counterparts: also give what stands in for the missing light.
        seed: decides everything that is random, together with epoch, batch and row.
        workers: processes that prepare batches; 0 prepares them in this one.
        rank, world_size: of `torch.distributed`.

    Raises:
        ValueError: a number out of its range.
        DataError: fewer identities with both kinds of light than a batch needs.
    """
    _check(frames=(frames, 1), workers=(workers, 0), world_size=(world_size, 1), rank=(rank, 0))
    if rank >= world_size or identities_per_batch % world_size:
        raise ValueError(
            f"expected a rank below world_size and identities_per_batch that divides by it, got rank {rank}, "
            f"world_size {world_size}, identities_per_batch {identities_per_batch}"
        )
    sampler = IdentitySampler(
        samples,
        identities_per_batch=identities_per_batch,
        samples_per_identity=samples_per_identity,
        seed=seed,
    )
    share = identities_per_batch // world_size
    batches = _TrainingBatches(
        samples, sampler, Augmenter(augmentation, preprocessing), frames, counterparts, seed, rank * share, share
    )
    return TrainingLoader(batches, workers)


def test_batches(
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    *,
    frames: int,
    batch_size: int,
    workers: int = 0,  # noqa: PT028 - a test part's batches, not a test
) -> Iterator[Tensor]:
    """Prepare samples in their order, unchanged: ``float32[B, 3, H, W]``, or ``[B, N, 3, H, W]`` for `frames` > 1.

    Of a tracklet the first frame of each of N equal strips; of N = 1 its first. The last batch may be smaller.

    Raises:
        ValueError: samples of both kinds of light, or a number out of its range.
        DataError: a picture cannot be read (when its batch is asked for).
    """
    _check(frames=(frames, 1), workers=(workers, 0), batch_size=(batch_size, 1))
    lights = {sample.modality for sample in samples}
    if len(lights) > 1:
        raise ValueError(f"test_batches: expected samples of one modality, got {', '.join(sorted(lights))}")
    batches = _TestBatches(samples, preprocessing, frames, batch_size)
    return _raising(_processes(batches, range(len(batches)), min(workers, len(batches))))


def _check(**values: tuple[int, int]) -> None:
    for name, (value, least) in values.items():
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}")


class TrainingLoader:
    """The batches of every epoch. Their content depends on seed, epoch, batch and row, not on who prepares them.

    Attributes:
        classes: identity -> class of those who take part (samples of both kinds of light).
    """

    def __init__(self, batches: _TrainingBatches, workers: int) -> None:
        self.classes = batches.sampler.classes
        self._batches = batches
        self._order = _Order()
        # One pool for all epochs: starting processes takes longer than a short epoch.
        self._pool = _processes(batches, self._order, workers, persistent=True) if workers else None

    def __len__(self) -> int:
        """Batches an epoch, the same for every rank."""
        return len(self._batches.sampler)

    def batches(self, epoch: int, first: int = 0) -> Iterator[TrainingBatch]:
        """The batches of an epoch from `first` on, which continue exactly as if none had been left out.

        Raises:
            ValueError: a negative epoch, or `first` beyond the epoch's end.
            DataError: a picture cannot be read.
        """
        if epoch < 0 or not 0 <= first <= len(self):
            raise ValueError(f"batches: expected epoch >= 0 and first 0 to {len(self)}, got {epoch} and {first}")
        order = [(epoch, batch) for batch in range(first, len(self))]
        if self._pool is None:
            return (self._batches[place] for place in order)
        self._order.places = order
        return _raising(iter(self._pool))


class _Order:
    """What a pool shall prepare next; it is asked when iteration begins."""

    def __init__(self) -> None:
        self.places: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def _processes(batches: Dataset[Any], order: Any, workers: int, *, persistent: bool = False) -> DataLoader[Any]:
    """Whole batches, each made by one process, in order."""
    return DataLoader(
        _Reporting(batches),
        batch_size=None,
        sampler=order,
        num_workers=workers,
        persistent_workers=persistent,
        worker_init_fn=_start_worker if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # else it draws from torch's own, and a resumed run would go another way
    )


def _start_worker(worker: int) -> None:
    cv2.setNumThreads(0)  # OpenCV's threads do not survive a fork, and one core is this process's share


class _Reporting(Dataset[Any]):
    """Hands a `DataError` over as a value: raised in a worker, its one sentence would arrive as a traceback."""

    def __init__(self, batches: Dataset[Any]) -> None:
        self._batches = batches

    def __getitem__(self, place: Any) -> Any:
        try:
            return self._batches[place]
        except DataError as error:
            return error


def _raising(batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        if isinstance(batch, DataError):
            raise batch
        yield batch


class _TrainingBatches(Dataset[TrainingBatch]):
    """Makes batch ``(epoch, batch)`` for identities `first` to `first + share` of its P."""

    def __init__(
        self,
        samples: Sequence[Sample],
        sampler: IdentitySampler,
        augmenter: Augmenter,
        frames: int,
        counterparts: bool,
        seed: int,
        first: int,
        share: int,
    ) -> None:
        self.sampler = sampler
        self._samples, self._augmenter, self._frames = samples, augmenter, frames
        self._counterparts, self._seed = counterparts, seed
        self._identities = slice(first, first + share)
        self._planned: tuple[int, tuple[IntArray, IntArray]] | None = None

    def __getitem__(self, place: tuple[int, int]) -> TrainingBatch:
        epoch, batch = place
        if self._planned is None or self._planned[0] != epoch:
            self._planned = epoch, self.sampler.plan(epoch)
        chosen, classes = self._planned[1]
        rows = chosen[batch, :, self._identities]  # 2 P K
        _, share, each = rows.shape
        prepare = self._augmenter.preprocessing
        # Visible, infrared and, where asked for, what stands in for either: R N 3 H W
        shape = (share * each, self._frames, 3, prepare.height_px, prepare.width_px)
        halves = [torch.empty(shape) for _ in range(4 if self._counterparts else 2)]
        for light, modality in enumerate(_LIGHTS):
            for row, number in enumerate(rows[light].ravel()):
                key = [self._seed, epoch, batch, self._identities.start * each + row, light]
                generator = np.random.default_rng(key)
                pictures = _frames_of(self._samples[number], self._frames, generator)
                views = [half[row].numpy() for half in halves[light::2]]
                self._augmenter.write(pictures, modality, generator, *views)
        if self._frames == 1:
            halves = [half[:, 0] for half in halves]
        return TrainingBatch(
            halves[0],
            halves[1],
            torch.from_numpy(np.repeat(classes[batch, self._identities], each)),
            *halves[2:],
        )


class _TestBatches(Dataset[Tensor]):
    def __init__(self, samples: Sequence[Sample], preprocessing: Preprocessing, frames: int, batch_size: int) -> None:
        self._samples, self._preprocessing = samples, preprocessing
        self._frames, self._batch_size = frames, batch_size

    def __len__(self) -> int:
        return -(-len(self._samples) // self._batch_size)

    def __getitem__(self, batch: int) -> Tensor:
        chosen = self._samples[batch * self._batch_size : (batch + 1) * self._batch_size]
        crops = [crop for sample in chosen for crop in _frames_of(sample, self._frames, None)]
        prepared = torch.from_numpy(self._preprocessing.batch(crops))
        return prepared if self._frames == 1 else prepared.reshape(len(chosen), self._frames, *prepared.shape[1:])


def _frames_of(sample: Sample, frames: int, generator: np.random.Generator | None) -> list[Image]:
    places = choose_frames(len(sample.pictures), frames, generator)
    read = {place: read_picture(sample.pictures[place]) for place in sorted(set(places))}  # a repeated frame once
    return [read[place] for place in places]
