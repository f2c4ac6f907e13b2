"""Intersection over union against plain arithmetic."""

from __future__ import annotations

import numpy as np

from models.boxes import intersection_over_union


def test_overlap_is_the_shared_share() -> None:
    boxes = [[0, 0, 2, 2], [5, 5, 15, 15], [5, 5, 5, 9]]  # the last has no area
    others = [[1, 0, 3, 2], [0, 0, 2, 2], [0, 0, 10, 20], [5, 5, 5, 9]]
    expected = [[1 / 3, 1, 4 / 200, 0], [0, 0, 50 / 250, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(intersection_over_union(boxes, others), expected)


def test_nothing_overlaps_with_nobody() -> None:
    assert intersection_over_union(np.zeros((0, 4)), [[0, 0, 1, 1]]).shape == (0, 1)
