"""Does an engine say the same as the reference? By tolerance, and by what the answers are used for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.boxes import intersection_over_union

__all__ = ["DetectionParity", "EmbeddingParity", "compare_detections", "compare_embeddings"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingParity:
    """How well the vectors of two engines agree.

    Attributes:
        max_abs_error: largest difference of an entry.
        min_cosine: of the two vectors of one input, the worst.
        neighbours: share of the k nearest neighbours that are the same, 1 is all.
        first_neighbour: share of inputs whose nearest neighbour is the same.
    """

    max_abs_error: float
    min_cosine: float
    neighbours: float
    first_neighbour: float


@dataclass(frozen=True, slots=True)
class DetectionParity:
    """How well the boxes of two engines agree.

    Attributes:
        recall: share of the reference's boxes that the other has.
        precision: share of the other's boxes that the reference has.
        mean_iou: of the matched boxes.
        mean_score_shift: other minus reference.
        max_score_shift: the largest, by size.
        reference_count: boxes of the reference above the score.
    """

    recall: float
    precision: float
    mean_iou: float
    mean_score_shift: float
    max_score_shift: float
    reference_count: int


def compare_embeddings(reference: FloatArray, other: FloatArray, *, k: int = 10) -> EmbeddingParity:
    """Compare vectors ``[N, D]`` of the same N inputs, ranked among each other by cosine.

    Raises:
        ValueError: different shapes, or fewer than k + 1 inputs.
    """
    if reference.shape != other.shape or reference.ndim != 2:
        raise ValueError(f"expected two arrays [N, D], got {reference.shape} and {other.shape}")
    if len(reference) <= k:
        raise ValueError(f"expected more than {k} vectors, got {len(reference)}")
    unit = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (reference, other)]
    ranked = [_neighbours(x, k) for x in unit]
    same = [len(np.intersect1d(a, b)) for a, b in zip(*ranked, strict=True)]
    return EmbeddingParity(
        max_abs_error=float(np.abs(reference - other).max()),
        min_cosine=float((unit[0] * unit[1]).sum(1).min()),
        neighbours=float(np.mean(same) / k),
        first_neighbour=float((ranked[0][:, 0] == ranked[1][:, 0]).mean()),
    )


def compare_detections(
    reference: Sequence[FloatArray], other: Sequence[FloatArray], *, score: float = 0.4, iou: float = 0.5
) -> DetectionParity:
    """Compare rows ``[N, 6]`` (x1 y1 x2 y2 score class) picture by picture, one box to one box.

    Raises:
        ValueError: different numbers of pictures.
    """
    if len(reference) != len(other):
        raise ValueError(f"expected as many pictures, got {len(reference)} and {len(other)}")
    overlaps: list[float] = []
    shifts: list[float] = []
    counts = [0, 0]
    for rows in zip(reference, other, strict=True):
        a, b = (row[row[:, 4] >= score] for row in rows)
        counts[0] += len(a)
        counts[1] += len(b)
        for i, j, overlap in _match(a, b, iou):
            overlaps.append(overlap)
            shifts.append(float(b[j, 4] - a[i, 4]))
    return DetectionParity(
        recall=len(shifts) / counts[0] if counts[0] else 1.0,
        precision=len(shifts) / counts[1] if counts[1] else 1.0,
        mean_iou=float(np.mean(overlaps)) if overlaps else 1.0,
        mean_score_shift=float(np.mean(shifts)) if shifts else 0.0,
        max_score_shift=float(max(shifts, key=abs)) if shifts else 0.0,
        reference_count=counts[0],
    )


def _neighbours(unit: FloatArray, k: int) -> npt.NDArray[np.int64]:
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    return np.argsort(-likeness, axis=1, kind="stable")[:, :k].astype(np.int64)


def _match(a: FloatArray, b: FloatArray, limit: float) -> list[tuple[int, int, float]]:
    """Pairs by falling overlap, each box once."""
    if not len(a) or not len(b):
        return []
    overlap = intersection_over_union(a[:, :4], b[:, :4])
    pairs: list[tuple[int, int, float]] = []
    free_a, free_b = set(range(len(a))), set(range(len(b)))
    for flat in np.argsort(-overlap, axis=None):
        i, j = divmod(int(flat), len(b))
        if overlap[i, j] < limit:
            break
        if i in free_a and j in free_b:
            pairs.append((i, j, float(overlap[i, j])))
            free_a.discard(i)
            free_b.discard(j)
    return pairs
