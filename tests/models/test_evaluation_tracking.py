"""Tracking figures on tracks whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.tracking import BoxRows, judge_tracks, match_boxes

FRAMES = np.repeat(np.arange(1, 11), 2)
PEOPLE = np.tile([7, 9], 10)
BOXES = np.array([[10 * p, 0, 10 * p + 8, 20] for p in PEOPLE], float)
TRUTH = BoxRows(FRAMES, PEOPLE, BOXES)
ALL = np.ones(len(TRUTH), bool)


def test_perfect_tracks_are_perfect() -> None:
    figures = judge_tracks(TRUTH, ALL, BoxRows(FRAMES, PEOPLE + 100, BOXES))
    assert (figures.recall, figures.precision, figures.hota, figures.idf1) == pytest.approx((1, 1, 1, 1))
    assert (figures.people, figures.tracks, figures.switches) == (2, 2, 0)


def test_swapped_ids_cost_identity_but_not_detection() -> None:
    swapped = np.where(FRAMES > 5, 16 - PEOPLE, PEOPLE)
    figures = judge_tracks(TRUTH, ALL, BoxRows(FRAMES, swapped, BOXES))
    assert (figures.recall, figures.precision) == (1, 1)
    assert figures.idf1 == pytest.approx(0.5)  # ten of twenty boxes keep the better assignment
    assert figures.switches == 2


def test_who_is_missed_and_who_is_invented() -> None:
    half = FRAMES % 2 == 0
    ghosts = BoxRows(np.array([1, 2, 3]), np.array([50, 50, 50]), np.tile([[500.0, 0, 508, 20]], (3, 1)))
    tracks = BoxRows(
        np.concatenate([FRAMES[half], ghosts.frame]),
        np.concatenate([PEOPLE[half], ghosts.identity]),
        np.concatenate([BOXES[half], ghosts.boxes]),
    )
    figures = judge_tracks(TRUTH, ALL, tracks)
    assert figures.recall == pytest.approx(0.5)
    assert figures.precision == pytest.approx(10 / 13)


@pytest.mark.parametrize("found", [True, False])
def test_who_is_hardly_to_be_seen_counts_neither_way(found: bool) -> None:
    counted = PEOPLE == 7
    rows = ALL if found else counted
    figures = judge_tracks(TRUTH, counted, BoxRows(FRAMES[rows], PEOPLE[rows], BOXES[rows]))
    assert (figures.recall, figures.precision, figures.idf1) == pytest.approx((1, 1, 1))
    assert (figures.people, figures.tracks) == (1, 1)


def test_nothing_found_and_nobody_there() -> None:
    nothing = BoxRows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)))
    figures = judge_tracks(TRUTH, ALL, nothing)
    assert (figures.recall, figures.precision, figures.hota, figures.idf1) == (0, None, 0, 0)
    figures = judge_tracks(nothing, np.zeros(0, bool), TRUTH)
    assert (figures.recall, figures.precision, figures.hota, figures.idf1) == (None, 0, None, None)


def test_boxes_match_one_to_one_and_only_where_they_overlap_enough() -> None:
    truth = BoxRows(
        np.array([1, 1, 2]), np.array([1, 2, 1]), np.array([[0, 0, 10, 10], [4, 0, 14, 10], [0, 0, 10, 10.0]])
    )
    tracks = BoxRows(
        np.array([1, 1, 1, 2]),
        np.array([5, 6, 7, 8]),
        np.array([[1, 0, 11, 10], [4, 0, 14, 10], [3, 0, 13, 10], [8, 0, 18, 10.0]]),
    )
    assert match_boxes(truth, tracks).tolist() == [0, 1, -1, -1]
    with pytest.raises(ValueError, match="expected frame"):
        BoxRows(np.array([1]), np.array([1, 2]), np.zeros((1, 4)))
