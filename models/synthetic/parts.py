"""Pieces of a figure: skinned bits of surface, and the plain solids that bags and brims are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.synthetic.body import rest_normals

__all__ = ["Part", "loft", "rounded_box", "smooth", "sub_surface"]

Floats = NDArray[np.float32]
Triangles = NDArray[np.int32]


@dataclass(frozen=True)
class Part:
    """A bit of surface at rest, with what moves it.

    Attributes:
        points: ``[N, 3]``.
        triangles: ``[F, 3]``.
        weights: ``[N, B]``, of the bones.
        coords: ``[N, 3]``, where patterns are looked up.
        cut: ``[N]``, metres inside the edge; where it is negative nothing is drawn.
        shade: ``[N]``, how much of the sky is seen.
        material: row in the figure's list of materials.
    """

    points: Floats
    triangles: Triangles
    weights: Floats
    coords: Floats
    cut: Floats
    shade: Floats
    material: int

    @property
    def normals(self) -> Floats:
        """``[N, 3]``."""
        return rest_normals(self.points, self.triangles)


def sub_surface(triangles: Triangles, wanted: NDArray[np.bool_]) -> tuple[Triangles, Triangles]:
    """The vertices of the triangles that have a wanted corner, and those triangles renumbered."""
    chosen = triangles[wanted[triangles].any(axis=1)]
    used, renumbered = np.unique(chosen, return_inverse=True)
    return used.astype(np.int32), renumbered.reshape(-1, 3).astype(np.int32)


def smooth(points: Floats, triangles: Triangles, rounds: int, amount: float = 0.6) -> Floats:
    """Laplacian smoothing: every round moves vertices towards the mean of their neighbours by `amount`."""
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    _, back, uses = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True, return_counts=True)
    rim = np.unique(pairs[uses[back.ravel()] == 1])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    count = np.bincount(pairs[:, 0], minlength=len(points))[:, None]
    step = np.where(count > 0, amount, 0.0)  # vertices of no triangle stay, and so do open rims
    step[rim] = 0.0
    count = np.maximum(count, 1)
    moved = points
    for _ in range(rounds):
        near = moved[pairs[:, 1]]
        mean = np.stack([np.bincount(pairs[:, 0], near[:, a], len(points)) for a in range(3)], axis=1) / count
        moved = (moved + step * (mean - moved)).astype(np.float32)
    return moved


def loft(rings: Floats, closed_ends: bool = True) -> tuple[Floats, Triangles]:
    """A tube through rings ``[R, K, 3]``: points ``[R*K (+2), 3]`` and triangles facing outwards."""
    count, sides = rings.shape[:2]
    grid = np.arange(count * sides).reshape(count, sides)
    right = np.roll(grid, -1, axis=1)
    a, b, c, d = grid[:-1], right[:-1], right[1:], grid[1:]
    faces = [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    points = [rings.reshape(-1, 3)]
    if closed_ends:
        points += [rings[0].mean(axis=0)[None], rings[-1].mean(axis=0)[None]]
        first, last = count * sides, count * sides + 1
        faces.append(np.stack([np.full(sides, first), right[0], grid[0]], -1))
        faces.append(np.stack([np.full(sides, last), grid[-1], right[-1]], -1))
    return np.concatenate(points).astype(np.float32), np.concatenate(faces).astype(np.int32)


def rounded_box(size: tuple[float, float, float], roundness: float = 0.35) -> tuple[Floats, Triangles]:
    """A superellipsoid of full extents `size` about the origin; `roundness` 1 is an ellipsoid, near 0 a box."""
    azimuth = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    height = np.linspace(-np.pi / 2, np.pi / 2, 9)[1:-1]

    def power(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.sign(value) * np.abs(value) ** roundness)

    ring = np.stack([power(np.sin(azimuth)), np.zeros_like(azimuth), power(np.cos(azimuth))], -1)
    rings = ring[None] * power(np.cos(height))[:, None, None]
    rings[:, :, 1] = power(np.sin(height))[:, None]
    return loft((rings * np.array(size) / 2).astype(np.float32))
