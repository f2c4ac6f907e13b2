"""Appearance vectors that need not be computed again: a person alone in the place where they were expected.

Embedding every box of every frame is the second cost after detection. Where a detection lies where exactly one
followed person should be by now, and nobody else is near, association has no question to ask; the person's last
vector answers as well as a new one. Wherever there is doubt the vector is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.boxes import intersection_over_union
from pipeline.types import FloatArray, Tracks

__all__ = ["AppearanceMemory"]


@dataclass(slots=True)
class _Known:
    box: FloatArray
    velocity: FloatArray  # pixels a second, of each side
    pts_s: float
    vector: FloatArray
    reused: int


class AppearanceMemory:
    """The last vectors of one camera's tracks.

    Args:
        alone: largest overlap that any second person or detection may have; none by default.
        expected: smallest overlap of the detection with the place where the person should be.
        reuse: a vector answers at most so often in a row.
        forget_s: older places say nothing.
    """

    def __init__(self, *, alone: float = 0.0, expected: float = 0.5, reuse: int = 2, forget_s: float = 1.0):
        self._alone, self._expected, self._reuse, self._forget_s = alone, expected, reuse, forget_s
        self._known: dict[int, _Known] = {}

    def recall(self, boxes: FloatArray, pts_s: float) -> list[FloatArray | None]:
        """For each detection ``float32[N, 4]`` a vector that may be used again, or None where it must be computed."""
        answer: list[FloatArray | None] = [None] * len(boxes)
        known = [k for k in self._known.values() if 0 < pts_s - k.pts_s <= self._forget_s]
        if not known or not len(boxes):
            return answer
        places = np.stack([k.box + k.velocity * (pts_s - k.pts_s) for k in known]).astype(np.float32)
        near = intersection_over_union(boxes, places)
        crowd = intersection_over_union(boxes, boxes)
        np.fill_diagonal(crowd, 0.0)
        for row in range(len(boxes)):
            best = int(near[row].argmax())
            second = np.delete(near[row], best).max(initial=0.0)
            rivals = np.delete(near[:, best], row).max(initial=0.0)
            unsure = max(second, rivals, crowd[row].max(initial=0.0)) > self._alone
            if near[row, best] >= self._expected and not unsure and known[best].reused < self._reuse:
                answer[row] = known[best].vector
        return answer

    def remember(self, tracks: Tracks, vectors: FloatArray, fresh: list[FloatArray | None], pts_s: float) -> None:
        """Learn from the tracks of a frame; `vectors` and `fresh` as in `pipeline.analyse.Look`."""
        seen: dict[int, _Known] = {}
        rows = zip(tracks.track_ids.tolist(), tracks.boxes, tracks.detection_indices.tolist(), strict=True)
        for track_id, box, detection in rows:
            if not 0 <= detection < len(vectors):
                continue
            old = self._known.get(track_id)
            elapsed_s = pts_s - old.pts_s if old is not None else 0.0
            velocity = (box - old.box) / elapsed_s if old is not None and elapsed_s > 0 else np.zeros(4)
            reused = (old.reused + 1 if old is not None else 1) if fresh[detection] is None else 0
            seen[track_id] = _Known(box, velocity.astype(np.float32), pts_s, vectors[detection], reused)
        kept = {i: k for i, k in self._known.items() if i not in seen and pts_s - k.pts_s <= self._forget_s}
        self._known = {**kept, **seen}
