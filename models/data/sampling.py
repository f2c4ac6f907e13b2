"""Which samples make a batch: P identities x K samples of each kind of light, rows aligned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from models.data.samples import DataError, Sample
from models.types import Modality

__all__ = ["IdentitySampler"]

IntArray = npt.NDArray[np.int64]


class IdentitySampler:
    """Plans the batches of an epoch; epoch e is the same whenever and by whomever it is planned.

    Only identities with samples of both kinds take part. They come in shuffled rounds, so all are seen before one
    is seen again, and so do the samples of an identity within a kind; one with fewer than K is repeated. An epoch
    has as many batches as it takes for K x P x batches to reach the number of samples of the more frequent kind.

    Attributes:
        classes: identity -> class, 0 to the number of identities that take part - 1, ascending.
    """

    def __init__(
        self, samples: Sequence[Sample], *, identities_per_batch: int, samples_per_identity: int, seed: int
    ) -> None:
        if identities_per_batch < 1 or samples_per_identity < 1:
            raise ValueError(
                f"expected at least one identity a batch and one sample an identity, "
                f"got {identities_per_batch} and {samples_per_identity}"
            )
        if seed < 0:
            raise ValueError(f"seed: expected 0 or more, got {seed}")
        rows: dict[Modality, dict[int, list[int]]] = {modality: defaultdict(list) for modality in Modality}
        for row, sample in enumerate(samples):
            rows[sample.modality][sample.identity].append(row)
        visible, infrared = rows[Modality.VISIBLE], rows[Modality.INFRARED]
        self.classes = {identity: number for number, identity in enumerate(sorted(visible.keys() & infrared.keys()))}
        if len(self.classes) < identities_per_batch:
            raise DataError(
                f"expected at least {identities_per_batch} training identities with visible and infrared samples, "
                f"got {len(self.classes)}"
            )
        self._rows = [[np.array(kind[identity]) for identity in self.classes] for kind in (visible, infrared)]
        self._identities_per_batch, self._samples_per_identity = identities_per_batch, samples_per_identity
        self._seed = seed
        larger = max(sum(map(len, kind)) for kind in self._rows)
        self._batches = -(-larger // (identities_per_batch * samples_per_identity))

    def __len__(self) -> int:
        """Batches an epoch."""
        return self._batches

    def plan(self, epoch: int) -> tuple[IntArray, IntArray]:
        """Rows of the samples: ``int64[batches, 2, P, K]`` (visible, infrared), and classes ``int64[batches, P]``."""
        generator = np.random.default_rng([self._seed, epoch])
        classes = np.array(list(self._rounds(generator)), np.int64)
        chosen = np.empty((self._batches, 2, self._identities_per_batch, self._samples_per_identity), np.int64)
        for light, rows in enumerate(self._rows):
            for number, own in enumerate(rows):
                batches, places = np.nonzero(classes == number)
                needed = len(batches) * self._samples_per_identity
                rounds = [generator.permutation(own) for _ in range(-(-needed // len(own)))]
                if rounds:
                    drawn = np.concatenate(rounds)[:needed]
                    chosen[batches, light, places] = drawn.reshape(-1, self._samples_per_identity)
        return chosen, classes

    def _rounds(self, generator: np.random.Generator) -> Iterator[list[int]]:
        """P different classes for each batch, in shuffled rounds through all of them."""
        waiting: list[int] = []
        for _ in range(self._batches):
            if len(waiting) < self._identities_per_batch:
                fresh = generator.permutation(len(self.classes)).tolist()
                # What is left of the last round goes first, and not a second time into the same batch.
                waiting += [number for number in fresh if number not in waiting] + waiting
            yield waiting[: self._identities_per_batch]
            waiting = waiting[self._identities_per_batch :]
