"""Parity by tolerance and by what the answers are used for."""

from __future__ import annotations

import numpy as np
import pytest

from models.runtime.parity import compare_detections, compare_embeddings

RANDOM = np.random.default_rng(0)


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array([(*value, 0.0) for value in values], np.float32).reshape(-1, 6)


def test_the_same_vectors() -> None:
    vectors = RANDOM.normal(size=(30, 16)).astype(np.float32)
    parity = compare_embeddings(vectors, vectors.copy(), k=5)
    assert (parity.max_abs_error, parity.neighbours, parity.first_neighbour) == (0, 1, 1)
    assert parity.min_cosine == pytest.approx(1)


def test_ranking_ignores_length_and_sees_disorder() -> None:
    vectors = RANDOM.normal(size=(200, 16)).astype(np.float32)
    longer = compare_embeddings(vectors, vectors * 3)
    assert longer.neighbours == 1
    assert longer.max_abs_error > 1
    other = compare_embeddings(vectors, RANDOM.normal(size=(200, 16)).astype(np.float32))
    assert other.neighbours < 0.2
    assert other.first_neighbour < 0.1


def test_half_of_the_neighbours() -> None:
    """Four points on a circle, one of which moves."""
    angles = np.array([0.0, 0.1, 0.3, 2.0])
    moved = np.array([0.0, 1.9, 0.3, 2.0])
    a, b = (np.column_stack((np.cos(x), np.sin(x))).astype(np.float32) for x in (angles, moved))
    # Nearest first: 0-12, 1-02, 2-10, 3-21 against 0-21, 1-32, 2-01, 3-12.
    assert compare_embeddings(a, b, k=1).neighbours == 0
    assert compare_embeddings(a, b, k=2).neighbours == 7 / 8


def test_wrong_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="two arrays"):
        compare_embeddings(np.zeros((3, 4), np.float32), np.zeros((3, 5), np.float32))
    with pytest.raises(ValueError, match="more than 10 vectors, got 3"):
        compare_embeddings(np.zeros((3, 4), np.float32), np.zeros((3, 4), np.float32))


def test_boxes() -> None:
    reference = [rows((0, 0, 10, 10, 0.9), (20, 0, 30, 10, 0.8), (50, 50, 60, 60, 0.2))]
    other = [rows((0, 0, 10, 9, 0.85), (0, 0, 10, 10, 0.5), (70, 0, 80, 10, 0.6))]
    parity = compare_detections(reference, other)
    assert parity.reference_count == 2
    assert parity.recall == 0.5
    assert parity.precision == pytest.approx(1 / 3)
    assert parity.mean_iou == 1  # the better overlap is taken, one box to one box
    assert parity.max_score_shift == pytest.approx(-0.4)


def test_no_boxes_agree() -> None:
    parity = compare_detections([rows()], [rows()])
    assert (parity.recall, parity.precision, parity.reference_count) == (1, 1, 0)
    with pytest.raises(ValueError, match="as many pictures"):
        compare_detections([rows()], [])
