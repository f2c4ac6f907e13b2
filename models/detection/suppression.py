"""Non-maximum suppression in the graph, and what detectors of other makes need behind their output.

The result is ``output0`` ``float32[B, N, 6]``: x1 y1 x2 y2 score class, by falling score, zeros behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.detection.graph import GraphWriter

__all__ = ["MAX_PERSONS", "OUTPUT", "Suppression", "persons_of_anchors", "persons_of_rows", "suppress"]

OUTPUT = "output0"
MAX_PERSONS = 300
MAX_CANDIDATES = 512
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Suppression:
    """What leaves the graph: boxes above the score that overlap no better one by more than the IoU."""

    score: float = 0.1
    iou: float = 0.6


def suppress(writer: GraphWriter, boxes: str, scores: str, suppression: Suppression) -> None:
    """Greedy non-maximum suppression as plain arithmetic, ``[B, 300, 6]``.

    The suppression operator of ONNX gives a ragged result, which not every engine builds. Here the best
    candidates are compared each with each, and "kept unless a better kept one overlaps" is applied again
    and again until it no longer changes; a chain of overlapping boxes longer than the rounds is cut.
    """
    # Rows of nothing, so that the smallest picture has enough candidates.
    batch = writer.node("Gather", [writer.node("Shape", [boxes]), writer.constant([0], np.int64)], axis=0)
    spare = [writer.constant([MAX_CANDIDATES], np.int64), writer.constant([4], np.int64)]
    zero = writer.constant(0.0, np.float32)
    no_boxes = writer.node("Expand", [zero, writer.node("Concat", [batch, *spare], axis=0)])
    no_scores = writer.node("Expand", [zero, writer.node("Concat", [batch, spare[0]], axis=0)])
    boxes = writer.node("Concat", [boxes, no_boxes], axis=1)
    scores = writer.node("Concat", [scores, no_scores], axis=1)

    score, box = _best(writer, scores, boxes, MAX_CANDIDATES, "candidates")
    above = writer.node("Greater", [score, writer.constant(suppression.score, np.float32)])
    alive = writer.node("Cast", [above], to=1)  # [B, K]
    beaten_by = _beaten_by(writer, box, suppression.iou)  # [B, K, K]
    kept = alive
    for _ in range(_ROUNDS):
        across = writer.node("Unsqueeze", [kept, writer.constant([1], np.int64)])
        beaten = writer.node("ReduceMax", [writer.node("Mul", [beaten_by, across])], axes=[2], keepdims=0)
        kept = writer.node("Mul", [alive, writer.node("Sub", [writer.constant(1.0, np.float32), beaten])])

    score, box = _best(writer, writer.node("Mul", [score, kept]), box, MAX_PERSONS, "persons")
    column = writer.node("Unsqueeze", [score, writer.constant([2], np.int64)])
    seen = writer.node("Cast", [writer.node("Greater", [column, zero])], to=1)
    parts = [writer.node("Mul", [box, seen]), column, writer.node("Mul", [column, zero])]
    writer.node("Concat", parts, OUTPUT, axis=2)


def _best(writer: GraphWriter, scores: str, boxes: str, count: int, name: str) -> tuple[str, str]:
    """The highest scores ``[B, count]`` in falling order, and their boxes ``[B, count, 4]``."""
    found = (f"{name}_score", f"{name}_index")
    score, index = writer.nodes("TopK", [scores, writer.constant([count], np.int64)], found, axis=1)
    place = writer.node("Unsqueeze", [index, writer.constant([2], np.int64)])
    return score, writer.node("GatherND", [boxes, place], batch_dims=1)


def _beaten_by(writer: GraphWriter, boxes: str, iou: float) -> str:
    """1 where candidate j is better than i and overlaps it by more than the IoU, ``[B, i, j]``."""
    corners = writer.nodes("Split", [boxes, writer.constant([1] * 4, np.int64)], ("x1", "y1", "x2", "y2"), axis=2)
    left, top, right, bottom = corners
    turned = {c: writer.node("Transpose", [c], perm=[0, 2, 1]) for c in corners}

    def extent(low: str, high: str) -> str:
        end = writer.node("Min", [high, turned[high]])
        return writer.node("Relu", [writer.node("Sub", [end, writer.node("Max", [low, turned[low]])])])

    shared = writer.node("Mul", [extent(left, right), extent(top, bottom)])
    sides = writer.node("Sub", [right, left]), writer.node("Sub", [bottom, top])
    # Overlap / union > t is overlap > t / (1 + t) * (area + area), without a division by nothing.
    limit = writer.constant(iou / (1 + iou), np.float32)
    area = writer.node("Mul", [writer.node("Mul", sides), limit])
    areas = writer.node("Add", [area, writer.node("Transpose", [area], perm=[0, 2, 1])])
    overlaps = writer.node("Cast", [writer.node("Greater", [shared, areas])], to=1)
    better = np.tril(np.ones((1, MAX_CANDIDATES, MAX_CANDIDATES), np.float32), -1)
    return writer.node("Mul", [overlaps, writer.constant(better, np.float32, "better")], "beaten_by")


def persons_of_anchors(writer: GraphWriter, raw: str, person: int, suppression: Suppression) -> None:
    """Behind ``[B, 4 + classes, A]`` (centre and size in pixels, scores), as Ultralytics exports without NMS."""
    turned = writer.node("Transpose", [raw], perm=[0, 2, 1])

    def columns(first: int, last: int) -> str:
        ends = [writer.constant([value], np.int64) for value in (first, last, 2)]
        return writer.node("Slice", [turned, *ends])

    centre, size = columns(0, 2), columns(2, 4)
    half = writer.node("Mul", [size, writer.constant(0.5, np.float32)])
    boxes = [writer.node("Sub", [centre, half]), writer.node("Add", [centre, half])]
    score = writer.node("Squeeze", [columns(4 + person, 5 + person), writer.constant([2], np.int64)])
    suppress(writer, writer.node("Concat", boxes, axis=2), score, suppression)


def persons_of_rows(writer: GraphWriter, raw: str, person: int) -> None:
    """Behind ``[B, N, 6]``, where suppression is done: rows of other classes become zeros."""
    shares = writer.constant([4, 1, 1], np.int64)
    box, score, kind = writer.nodes("Split", [raw, shares], ("row_box", "row_score", "row_class"), axis=2)
    away = writer.node("Abs", [writer.node("Sub", [kind, writer.constant(float(person), np.float32)])])
    mine = writer.node("Cast", [writer.node("Less", [away, writer.constant(0.5, np.float32)])], to=1)
    parts = [writer.node("Mul", [part, mine]) for part in (box, score)]
    writer.node("Concat", [*parts, writer.node("Mul", [kind, writer.constant(0.0, np.float32)])], OUTPUT, axis=2)
