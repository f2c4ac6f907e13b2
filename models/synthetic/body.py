"""The bare body: a shape drawn in numbers becomes vertices and joints, and a pose moves them.

Axes throughout `models.synthetic`: x to the person's left, y up, z the way the person faces; metres. A body
stands with its soles at y = 0 above the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Body", "BodyModel", "BodyShape", "rest_normals", "skin_points"]

Floats = NDArray[np.float32]
Triangles = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class BodyShape:
    """What makes one body differ from another; all but the stature run from 0 to 1, as MakeHuman's sliders.

    Attributes:
        gender: 0 female, 1 male.
        age: 0 child, 0.5 young adult, 1 old.
        ancestry: weights of the african, asian and caucasian targets; they sum to 1.
        stature_m: height of the bare body.
    """

    gender: float
    age: float
    muscle: float
    weight: float
    height: float
    proportions: float
    ancestry: tuple[float, float, float]
    stature_m: float


@dataclass(frozen=True)
class Body:
    """One person's bare body at rest (arms half raised).

    Attributes:
        points: ``[V, 3]`` vertices of skin, cloth shell and skirt shell.
        joints: ``[B, 3]`` where each bone starts.
        marks: named points: ground, head-2 (the crown), l-foot-2 and r-foot-2 (toe tips), l-eye, r-eye, mouth.
    """

    points: Floats
    joints: Floats
    marks: dict[str, Floats]


class BodyModel:
    """Shapes and skins bodies; holds only what `models.synthetic.source.body_archive` wrote.

    Attributes:
        skin, cloth, skirt: triangles ``[F, 3]`` over one list of vertices: the bare skin, a smooth shell from
            neck to ankles, and a skirt from waist to calf.
        weights: ``[V, B]``, how much each bone moves a vertex; rows sum to 1.
        template: an average adult, the frame in which places on a body are named.
    """

    def __init__(self, archive: Path) -> None:
        with np.load(archive) as arrays:
            self.skin: Triangles = arrays["skin"]
            self.cloth: Triangles = arrays["cloth"]
            self.skirt: Triangles = arrays["skirt"]
            self.weights: Floats = arrays["weights"]
            self.bones: list[str] = [str(name) for name in arrays["bones"]]
            self._rows = {name: row for row, name in enumerate(self.bones)}
            self.parents: NDArray[np.int32] = arrays["parents"]
            self._marks = [str(name) for name in arrays["marks"]]
            self._points: Floats = arrays["points"]
            self._targets: NDArray[np.float16] = arrays["targets"]
            self._target_rows = {str(name): row for row, name in enumerate(arrays["target_names"])}
        average = BodyShape(0.5, 0.5, 0.5, 0.5, 0.5, 0.5, (1 / 3, 1 / 3, 1 / 3), 1.72)
        self.template = self.build(average)

    def bone(self, name: str) -> int:
        """Row of a bone in joints and rotations."""
        return self._rows[name]

    def build(self, shape: BodyShape) -> Body:
        """The body of a shape: base mesh plus weighted targets, scaled to the stature and set on the ground."""
        rows, factors = zip(*self._target_weights(shape), strict=True)
        moved = np.tensordot(np.array(factors, np.float32), self._targets[list(rows)].astype(np.float32), axes=1)
        everything = self._points + moved
        vertices, bones = len(self.weights), len(self.bones)
        marks = dict(zip(self._marks, everything[vertices + bones :], strict=True))
        ground = everything[:vertices][np.unique(self.skin)].min(axis=0)[1]
        scale = shape.stature_m / (everything[np.unique(self.skin)].max(axis=0)[1] - ground)
        everything = ((everything - np.array([0, ground, 0], np.float32)) * scale).astype(np.float32)
        marks = dict(zip(self._marks, everything[vertices + bones :], strict=True))
        return Body(everything[:vertices], everything[vertices : vertices + bones], marks)

    def _target_weights(self, shape: BodyShape) -> list[tuple[int, float]]:
        """Rows of the targets that a shape uses, with MakeHuman's products of macro weights."""
        gender = {"female": 1 - shape.gender, "male": shape.gender}
        age = _between(shape.age, "child", "young", "old")
        muscle = _between(shape.muscle, "minmuscle", "averagemuscle", "maxmuscle")
        weight = _between(shape.weight, "minweight", "averageweight", "maxweight")
        ends = {
            "minheight": max(0.0, 1 - 2 * shape.height),
            "maxheight": max(0.0, 2 * shape.height - 1),
            "uncommonproportions": max(0.0, 1 - 2 * shape.proportions),
            "idealproportions": max(0.0, 2 * shape.proportions - 1),
        }
        ancestry = dict(zip(("african", "asian", "caucasian"), shape.ancestry, strict=True))
        wanted: dict[str, float] = {}
        for g, a in product(gender, age):
            for r in ancestry:
                wanted[f"{r}-{g}-{a}"] = gender[g] * age[a] * ancestry[r]
            for m, w in product(muscle, weight):
                factor = gender[g] * age[a] * muscle[m] * weight[w]
                wanted[f"universal-{g}-{a}-{m}-{w}"] = factor
                for end, amount in ends.items():
                    wanted[f"{g}-{a}-{m}-{w}-{end}"] = factor * amount
        return [(self._target_rows[n], f) for n, f in wanted.items() if f > 1e-3 and n in self._target_rows]

    def bone_matrices(self, body: Body, rotations: Floats, root_offset: Floats) -> Floats:
        """Where every bone takes the points it moves ``[B, 3, 4]``.

        Args:
            rotations: ``[B, 3, 3]``, each bone's turn relative to its parent, in the axes of the body.
            root_offset: ``[3]``, shift of the whole body, metres.
        """
        turned = np.empty((len(self.bones), 3, 3), np.float32)
        placed = np.empty((len(self.bones), 3), np.float32)
        for bone, parent in enumerate(self.parents):
            head = body.joints[bone]
            if parent < 0:
                turned[bone], placed[bone] = rotations[bone], head + root_offset
            else:
                turned[bone] = turned[parent] @ rotations[bone]
                placed[bone] = turned[parent] @ (head - body.joints[parent]) + placed[parent]
        shift = placed - np.einsum("bij,bj->bi", turned, body.joints)
        return np.concatenate([turned, shift[:, :, None]], axis=2)


def skin_points(points: Floats, normals: Floats, weights: Floats, matrices: Floats) -> tuple[Floats, Floats]:
    """Linear blend skinning of points and normals ``[N, 3]`` by weights ``[N, B]`` and matrices ``[B, 3, 4]``."""
    blended = (weights @ matrices.reshape(len(matrices), 12)).reshape(-1, 3, 4)
    moved = np.einsum("nij,nj->ni", blended[:, :, :3], points) + blended[:, :, 3]
    return moved, np.einsum("nij,nj->ni", blended[:, :, :3], normals)


def rest_normals(points: Floats, triangles: Triangles) -> Floats:
    """Vertex normals ``[V, 3]``, area-weighted means of the faces around a vertex."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for axis in range(3):
        for corner in range(3):
            total[:, axis] += np.bincount(triangles[:, corner], across[:, axis], len(points))
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9), np.float32)


def _between(value: float, low: str, middle: str, high: str) -> dict[str, float]:
    return {low: max(0.0, 1 - 2 * value), middle: 1 - abs(2 * value - 1), high: max(0.0, 2 * value - 1)}
