"""Meshes of what does not move: boxes, cars, trees, poles, assembled into one surface with its materials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.synthetic.body import rest_normals
from models.synthetic.materials import Material
from models.synthetic.parts import loft

__all__ = ["Scenery", "SceneryBuilder"]

Floats = NDArray[np.float32]
Triples = tuple[float, float, float]


@dataclass(frozen=True)
class Scenery:
    """One mesh in world coordinates: points, normals and where patterns are looked up ``[N, 3]``; cut, shade and
    material ``[N]``, as in `Part`; triangles ``[F, 3]``."""

    points: Floats
    normals: Floats
    coords: Floats
    cut: Floats
    shade: Floats
    material: NDArray[np.int32]
    triangles: NDArray[np.int32]
    materials: tuple[Material, ...]


class SceneryBuilder:
    """Collects solids; `build` joins them."""

    def __init__(self) -> None:
        self._points: list[Floats] = []
        self._normals: list[Floats] = []
        self._faces: list[NDArray[np.int32]] = []
        self._rows: list[NDArray[np.int32]] = []
        self._materials: list[Material] = []
        self._count = 0

    def add(
        self, points: Floats, triangles: NDArray[np.int32], material: Material, normals: Floats | None = None
    ) -> None:
        """A mesh; its normals are computed where they are not given."""
        if material not in self._materials:
            self._materials.append(material)
        self._points.append(points.astype(np.float32))
        self._normals.append(rest_normals(points, triangles) if normals is None else normals)
        self._faces.append(triangles + self._count)
        self._rows.append(np.full(len(points), self._materials.index(material), np.int32))
        self._count += len(points)

    def box(self, centre: Triples, size: Triples, material: Material, heading: float = 0.0) -> None:
        """A box with flat faces, turned about the vertical."""
        corners: list[NDArray[np.float64]] = []
        normals: list[NDArray[np.float64]] = []
        faces: list[list[int]] = []
        for axis in range(3):
            for sign in (-1.0, 1.0):
                u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
                n = np.eye(3)[axis] * sign
                start = len(corners)
                corners += [n - u - v, n + u - v, n + u + v, n - u + v]
                normals += [n] * 4
                order = (0, 1, 2, 0, 2, 3) if sign > 0 else (0, 2, 1, 0, 3, 2)
                faces += [[start + i for i in order[:3]], [start + i for i in order[3:]]]
        c, s = np.cos(heading), np.sin(heading)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        points = (np.array(corners) * np.array(size) / 2) @ turn.T + np.array(centre)
        self.add(
            points.astype(np.float32),
            np.array(faces, np.int32),
            material,
            (np.array(normals) @ turn.T).astype(np.float32),
        )

    def pole(self, base: tuple[float, float], height: float, radius: float, material: Material) -> None:
        """A post."""
        turn = np.linspace(0, -2 * np.pi, 10, endpoint=False)
        ring = np.stack([radius * np.sin(turn), 0 * turn, radius * np.cos(turn)], axis=1)
        place = np.array([base[0], 0, base[1]])
        self.add(*loft(np.stack([ring + place, ring + place + [0, height, 0]]).astype(np.float32)), material)

    def blob(self, centre: Triples, size: Triples, material: Material, generator: np.random.Generator) -> None:
        """A lumpy ellipsoid: a bush or the crown of a tree."""
        turn = np.linspace(0, -2 * np.pi, 14, endpoint=False)
        rings = []
        for angle in np.linspace(-1.45, 1.45, 8):
            r = np.cos(angle) * (1 + generator.uniform(-0.18, 0.18, len(turn)))
            y = np.full(len(turn), np.sin(angle)) + generator.uniform(-0.06, 0.06, len(turn))
            rings.append(np.stack([r * np.sin(turn), y, r * np.cos(turn)], axis=1))
        points, triangles = loft(np.stack(rings).astype(np.float32))
        placed = np.asarray(points * np.array(size) / 2 + np.array(centre), np.float32)
        self.add(placed, triangles, material)

    def car(self, place: tuple[float, float], heading: float, paint: Material, glass: Material, tyre: Material) -> None:
        """A parked car: body, cabin and wheels."""
        stations = (  # along, half width, bottom, top
            (-2.15, 0.70, 0.42, 0.72),
            (-2.05, 0.84, 0.26, 0.90),
            (-1.0, 0.90, 0.20, 0.96),
            (0.9, 0.90, 0.20, 0.94),
            (1.9, 0.84, 0.24, 0.80),
            (2.12, 0.68, 0.36, 0.64),
        )
        cabin = ((-1.75, 0.72, 0.92, 0.98), (-1.2, 0.66, 0.92, 1.40), (0.1, 0.66, 0.92, 1.43), (0.95, 0.74, 0.92, 0.97))
        c, s = np.cos(heading), np.sin(heading)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        offset = np.array([place[0], 0, place[1]])
        angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        for profile, material in ((stations, paint), (cabin, glass)):
            rings = []
            for along, half, low, high in profile:
                x = half * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.45
                y = (low + high) / 2 + (high - low) / 2 * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.45
                rings.append(np.stack([x, y, np.full(len(angle), along)], axis=1) @ turn.T + offset)
            self.add(*loft(np.stack(rings).astype(np.float32)), material)
        for along in (-1.35, 1.35):
            for side in (-0.82, 0.82):
                ring = np.stack([0 * angle, 0.32 + 0.32 * np.sin(angle), 0.32 * np.cos(angle)], axis=1)
                both = [(ring + np.array([side + w, 0, along])) @ turn.T + offset for w in (-0.1, 0.1)]
                self.add(*loft(np.stack(both).astype(np.float32)), tyre)

    def build(self) -> Scenery:
        """The joined mesh."""
        points = np.concatenate(self._points)
        return Scenery(
            points,
            np.concatenate(self._normals).astype(np.float32),
            points,
            np.full(len(points), 9, np.float32),
            np.ones(len(points), np.float32),
            np.concatenate(self._rows),
            np.concatenate(self._faces).astype(np.int32),
            tuple(self._materials),
        )
