"""Where on a body a vertex lies, in terms that hold for every body: the frame in which clothes are cut.

Measured once on the template; since all bodies share one list of vertices, a hem at "half way down the
forearm" is the same vertices on everybody, and as the measures run smoothly over the surface, a garment cut
where one of them crosses a value has a clean edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.synthetic.body import BodyModel, rest_normals
from models.synthetic.parts import smooth

__all__ = ["CLOTH_ROUNDS", "Places"]

Floats = NDArray[np.float32]


CLOTH_ROUNDS = 4
"""Rounds of smoothing that turn the cloth shell into cloth. Places are measured on a shell smoothed as often, since
smoothing also shifts vertices within the surface."""


@dataclass(frozen=True)
class Places:
    """Measures ``[V]`` of every vertex of a `BodyModel`.

    Attributes:
        coords: ``[V, 3]``, the template's vertices, where patterns and prints are placed.
        normals: ``[V, 3]``, the template's.
        arm: along the arm: 0 shoulder, 1 elbow, 2 wrist; negative on the trunk.
        leg: down the leg: 0 hip, 1 knee, 2 ankle; negative above.
        trunk: up the trunk: 0 hip, 1 shoulder.
        limb: share of arm and hand bones in the vertex's weights.
        head: share of the head bone.
        foot: share of the foot bones.
        hand: share of hand and finger bones.
        shade: how much of the sky the vertex sees with arms and legs at its side (1 all).
        eye_m: height of the eyes, metres.
    """

    coords: Floats
    normals: Floats
    arm: Floats
    leg: Floats
    trunk: Floats
    limb: Floats
    head: Floats
    foot: Floats
    hand: Floats
    shade: Floats
    eye_m: float

    @classmethod
    def measure(cls, model: BodyModel) -> Places:
        """The measures on the model's template."""
        points, joints = smooth(model.template.points, model.cloth, CLOTH_ROUNDS), model.template.joints
        every = np.concatenate([model.skin, model.cloth, model.skirt])
        normals = rest_normals(points, every)

        def share(*starts: str) -> Floats:
            columns = [i for i, bone in enumerate(model.bones) if bone.startswith(starts)]
            return np.asarray(model.weights[:, columns].sum(axis=1), np.float32)

        shoulder, elbow, wrist = (joints[model.bone(f"{b}_l")] for b in ("upperarm", "lowerarm", "hand"))
        hip, knee, ankle = (float(joints[model.bone(f"{b}_l")][1]) for b in ("thigh", "calf", "foot"))
        folded = points.copy()
        folded[:, 0] = np.abs(folded[:, 0])
        limb = share("upperarm", "lowerarm", "hand", "index", "middle", "ring", "pinky", "thumb")
        upper, lower = elbow - shoulder, wrist - elbow
        first = (folded - shoulder) @ upper / (upper @ upper)
        second = (folded - elbow) @ lower / (lower @ lower)
        arm = np.where((first > 0.9) & (second > -0.1), 1 + second, np.minimum(first, 1.0))
        arm = np.where(limb > 0.3, arm, np.minimum(first, 0.0))
        y = points[:, 1]
        leg = np.where(y > knee, (hip - y) / (hip - knee), 1 + (knee - y) / (knee - ankle))
        trunk = (y - hip) / (shoulder[1] - hip)
        inner_leg = np.clip(1 - np.abs(points[:, 0]) / 0.11, 0, 1) * np.clip(leg * 3 + 0.6, 0, 1) * (leg < 1.6)
        under_arm = np.clip(1 - np.abs(trunk - 0.72) / 0.3, 0, 1) * np.clip((np.abs(points[:, 0]) - 0.1) / 0.08, 0, 1)
        under_arm *= (limb < 0.6) * np.clip(0.6 - normals[:, 1], 0, 1)
        chin = np.clip(1 - np.abs(points[:, 1] - 1.51) / 0.05, 0, 1) * (points[:, 2] > 0) * (limb < 0.1)
        shade = 1 - 0.5 * inner_leg - 0.45 * under_arm - 0.35 * chin
        return cls(
            coords=points,
            normals=normals,
            arm=arm.astype(np.float32),
            leg=leg.astype(np.float32),
            trunk=trunk.astype(np.float32),
            limb=limb,
            head=share("head"),
            foot=share("foot", "ball"),
            hand=share("hand", "index", "middle", "ring", "pinky", "thumb"),
            shade=np.clip(shade, 0.3, 1).astype(np.float32),
            eye_m=float(model.template.marks["l-eye"][1]),
        )
