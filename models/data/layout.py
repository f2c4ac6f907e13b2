"""What the reader of a data set's folder returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.data.findings import Findings
from models.data.lists import first_few
from models.data.samples import Sample
from models.types import Modality

__all__ = ["Layout", "Parts", "count_samples", "disjoint"]


@dataclass(frozen=True)
class Parts:
    """A data set as its lists divide it.

    Attributes:
        protocol: how the test part is judged.
        training: all samples of the official training identities.
        held_out: those of its identities that validate instead.
        test, queries: as in `ReidDataset`.
    """

    protocol: str
    training: tuple[Sample, ...]
    held_out: frozenset[int]
    test: tuple[Sample, ...]
    queries: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Layout:
    """A known data set.

    Attributes:
        read: ``(root, findings, **options) -> Parts``.
        official: what `count_samples` gives for the released data with the default options; empty where
            there is no release.
        variants: the options of the reads that together see every list.
    """

    read: Callable[..., Parts]
    official: Mapping[str, int]
    variants: tuple[Mapping[str, Any], ...] = field(default=({},))


def count_samples(parts: Parts) -> dict[str, int]:
    """Identities and samples of each kind of light, of the training and the test part."""
    counts: dict[str, int] = {}
    for name, samples in (("training", parts.training), ("test", parts.test)):
        light = Counter(sample.modality for sample in samples)
        counts[f"{name} identities"] = len({sample.identity for sample in samples})
        counts[f"{name} visible"] = light[Modality.VISIBLE]
        counts[f"{name} infrared"] = light[Modality.INFRARED]
    return counts


def disjoint(training: list[Sample], test: list[Sample], findings: Findings) -> tuple[Sample, ...]:
    """The training samples; people who are in the test part too are a problem and left out."""
    both = {sample.identity for sample in training} & {sample.identity for sample in test}
    if both:
        findings.problem(f"{len(both)} people are in the training and the test part: {first_few(sorted(both))}")
    return tuple(sample for sample in training if sample.identity not in both)
