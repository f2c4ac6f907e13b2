"""A vector is used again only where there is no doubt whose it is."""

import numpy as np
import pytest

from pipeline.appearance import AppearanceMemory
from pipeline.types import Tracks

VECTORS = np.eye(4, dtype=np.float32)


def box_at(x: float, y: float = 100.0) -> list[float]:
    return [x, y, x + 40, y + 120]


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def tracks(at: np.ndarray) -> Tracks:
    n = len(at)
    return Tracks(at, np.arange(1, n + 1), np.ones(n, np.float32), np.arange(n))


def walk(memory: AppearanceMemory, steps: int, *speeds: float) -> None:
    """People who walk at so many pixels a second, seen three times a second, every vector computed."""
    for step in range(steps):
        at = boxes(*(box_at(100 * i + speed * step / 3) for i, speed in enumerate(speeds)))
        memory.remember(tracks(at), VECTORS[: len(at)], list(VECTORS[: len(at)]), step / 3)


def test_person_alone_where_expected_is_not_looked_at_again() -> None:
    memory = AppearanceMemory()
    walk(memory, 3, 60.0)  # half a width between frames: only the expected place overlaps enough
    (vector,) = memory.recall(boxes(box_at(60.0)), 1.0)
    assert vector is not None
    assert vector.tolist() == VECTORS[0].tolist()


@pytest.mark.parametrize(
    ("found", "at_s", "why"),
    [
        (boxes(box_at(110.0)), 1.0, "not where the person should be"),
        (boxes(box_at(60.0), box_at(75.0)), 1.0, "two are there"),
        (boxes(box_at(60.0)), 5.0, "too long ago"),
        (boxes(box_at(60.0)), 0.1, "the clock fell back"),
    ],
)
def test_doubt_means_a_new_look(found: np.ndarray, at_s: float, why: str) -> None:
    memory = AppearanceMemory()
    walk(memory, 3, 60.0)
    assert memory.recall(found, at_s) == [None] * len(found), why


def test_two_who_meet_are_looked_at() -> None:
    memory = AppearanceMemory()
    walk(memory, 3, 60.0, -60.0)  # at 1 s they are expected at 60 and at 40
    assert memory.recall(boxes(box_at(60.0), box_at(40.0)), 1.0) == [None, None]


def test_vector_answers_only_twice_in_a_row() -> None:
    memory = AppearanceMemory(reuse=2)
    walk(memory, 3, 0.0)
    used = []
    for step in range(3, 9):
        (recalled,) = memory.recall(boxes(box_at(0.0)), step / 3)
        memory.remember(
            tracks(boxes(box_at(0.0))), VECTORS[:1], [None if recalled is not None else VECTORS[0]], step / 3
        )
        used.append(recalled is not None)
    assert used == [True, True, False, True, True, False]


def test_nobody_known_and_nobody_found() -> None:
    memory = AppearanceMemory()
    assert memory.recall(boxes(), 0.0) == []
    assert memory.recall(boxes(box_at(1.0)), 0.0) == [None]
