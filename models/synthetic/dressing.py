"""From an identity to a figure: a body, dressed, as one skinned surface ready to be posed and drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.synthetic.body import Body, BodyModel, skin_points
from models.synthetic.garments import legwear, shoes, skin, skirt, upper
from models.synthetic.hair import hair_and_headwear
from models.synthetic.identity import Identity
from models.synthetic.luggage import luggage, neckwear
from models.synthetic.materials import Inset, Material, Strap
from models.synthetic.parts import Part
from models.synthetic.places import Places
from models.synthetic.walk import pose
from models.synthetic.warmth import warmed

__all__ = ["Figure", "dress"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Figure:
    """A dressed person.

    Attributes:
        body: the body below.
        points, normals, coords: ``[N, 3]``, at rest.
        weights: ``[N, B]``.
        cut, shade: ``[N]``, as in `Part`.
        material: ``[N]``, rows of `materials`.
        triangles: ``[F, 3]``.
        materials: what the figure is made of.
    """

    identity: Identity
    body: Body
    points: Floats
    normals: Floats
    coords: Floats
    weights: Floats
    cut: Floats
    shade: Floats
    material: NDArray[np.int32]
    triangles: NDArray[np.int32]
    materials: tuple[Material, ...]

    def posed(self, model: BodyModel, phase: float, arms: str = "swing", pace: float = 1.0) -> tuple[Floats, Floats]:
        """Points and normals ``[N, 3]`` at a gait phase, the soles on y = 0, facing +z above the origin."""
        rotations, root = pose(model, self.body, self.identity.gait, phase, arms, pace)
        matrices = model.bone_matrices(self.body, rotations, root)
        return skin_points(self.points, self.normals, self.weights, matrices)


def dress(model: BodyModel, places: Places, identity: Identity) -> Figure:
    """Builds the figure of an identity (a few milliseconds)."""
    body = model.build(identity.shape)
    outfit = identity.outfit
    materials = warmed(identity)
    if outfit.scarf is None:  # the collar
        materials = (*materials, replace(materials[1], strap=Strap.NONE, inset=Inset.NONE))
    parts: list[Part] = [
        skin(model, places, body, outfit, material=0),
        upper(model, places, body, outfit, material=1),
        *legwear(model, places, body, outfit, material=2),
        *skirt(model, places, body, outfit, materials=(1, 2)),
        *shoes(model, places, body, outfit, material=3),
        *hair_and_headwear(model, places, body, outfit, materials=(4, 5)),
        *luggage(model, body, outfit, material=6),
        *neckwear(model, body, outfit, material=7),
    ]
    starts = np.cumsum([0] + [len(part.points) for part in parts])
    return Figure(
        identity,
        body,
        points=np.concatenate([part.points for part in parts]),
        normals=np.concatenate([part.normals for part in parts]),
        coords=np.concatenate([part.coords for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
        cut=np.concatenate([part.cut for part in parts]),
        shade=np.concatenate([part.shade for part in parts]),
        material=np.concatenate([np.full(len(part.points), part.material, np.int32) for part in parts]),
        triangles=np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)]),
        materials=materials,
    )
