"""Fewer triangles by half-edge collapse: the vertices that stay are vertices of the original.

Garland and Heckbert, "Surface simplification using quadric error metrics" (SIGGRAPH 1997), with the
position of a merged pair restricted to one of its ends. A kept vertex keeps its index, so that shape
targets, bone weights and whatever else is listed by index still apply.
"""

from __future__ import annotations

import heapq
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

__all__ = ["collapse"]

_FLIP_COSINE = 0.2
"""A face may turn by at most this cosine when one of its corners moves."""
_LENGTH_WEIGHT = 2e-3
"""How much a long edge adds to its cost (the square of its length): keeps flat regions from becoming slivers."""


def collapse(
    points: NDArray[np.float64], triangles: NDArray[np.int64], keep: int, importance: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Triangles ``[F', 3]`` over at most `keep` of the original vertices.

    Args:
        points: ``[V, 3]``.
        triangles: ``[F, 3]`` indices into `points`.
        keep: how many of the vertices that triangles use may stay.
        importance: ``[V]``, factor on the cost of moving a vertex away.
    """
    faces: dict[int, tuple[int, int, int]] = {i: (int(a), int(b), int(c)) for i, (a, b, c) in enumerate(triangles)}
    around: defaultdict[int, set[int]] = defaultdict(set)
    for index, corners in faces.items():
        for corner in corners:
            around[corner].add(index)
    quadrics = _quadrics(points, triangles)
    version: defaultdict[int, int] = defaultdict(int)
    heap: list[tuple[float, int, int, int, int]] = []

    def push(start: int) -> None:
        ends = {c for f in around[start] for c in faces[f]} - {start}
        for end in ends:
            for source, target in ((start, end), (end, start)):
                homogeneous = np.append(points[target], 1.0)
                error = float(homogeneous @ (quadrics[source] + quadrics[target]) @ homogeneous)
                length = float(np.sum((points[source] - points[target]) ** 2))
                cost = (max(error, 0.0) + _LENGTH_WEIGHT * length * length) * float(importance[source])
                heapq.heappush(heap, (cost, source, target, version[source], version[target]))

    for vertex in list(around):
        push(vertex)
    alive = len(around)
    while alive > keep and heap:
        _, source, target, source_version, target_version = heapq.heappop(heap)
        if version[source] != source_version or version[target] != target_version or not around[source]:
            continue
        if not _may_collapse(points, faces, around, source, target):
            continue
        for index in list(around[source]):
            corners = faces[index]
            if target in corners:
                for corner in corners:
                    around[corner].discard(index)
                del faces[index]
            else:
                a, b, c = (target if corner == source else corner for corner in corners)
                faces[index] = (a, b, c)
                around[target].add(index)
        around[source] = set()
        quadrics[target] = quadrics[target] + quadrics[source]
        version[source] += 1
        version[target] += 1
        alive -= 1
        push(target)
    return np.array(list(faces.values()), np.int64)


def _quadrics(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum of the squared-distance forms of every vertex's planes ``[V, 4, 4]``, weighted by area; rims are held."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    area = np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    normal = normal / area[:, None]
    planes = np.concatenate([normal, -np.sum(normal * a, axis=1, keepdims=True)], axis=1)
    forms = area[:, None, None] * planes[:, :, None] * planes[:, None, :]
    total = np.zeros((len(points), 4, 4))
    for i in range(3):
        np.add.at(total, triangles[:, i], forms)
    edges: dict[tuple[int, int], list[int]] = {}
    for face, corners in enumerate(triangles.tolist()):
        for i in range(3):
            edges.setdefault((min(corners[i], corners[i - 1]), max(corners[i], corners[i - 1])), []).append(face)
    for (start, end), owners in edges.items():
        if len(owners) == 1:
            along = points[end] - points[start]
            across = np.cross(along, normal[owners[0]])
            across = across / max(float(np.linalg.norm(across)), 1e-12)
            plane = np.append(across, -across @ points[start])
            form = 10.0 * float(along @ along) * np.outer(plane, plane)
            total[start] += form
            total[end] += form
    return total


def _may_collapse(
    points: NDArray[np.float64],
    faces: dict[int, tuple[int, int, int]],
    around: defaultdict[int, set[int]],
    source: int,
    target: int,
) -> bool:
    """No fold: the pair shares at most two neighbours, and no face that stays turns over."""
    near_source = {c for f in around[source] for c in faces[f]}
    near_target = {c for f in around[target] for c in faces[f]}
    if target not in near_source or len((near_source & near_target) - {source, target}) > 2:
        return False
    for index in around[source]:
        corners = faces[index]
        if target in corners:
            continue
        old = points[list(corners)]
        new = points[[target if corner == source else corner for corner in corners]]
        before, after = (np.cross(p[1] - p[0], p[2] - p[0]) for p in (old, new))
        size = float(np.linalg.norm(before) * np.linalg.norm(after))
        if size < 1e-18 or float(before @ after) < _FLIP_COSINE * size:
            return False
    return True
