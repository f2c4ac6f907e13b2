"""What people carry, and what they wear round the neck: solids that move with one or two bones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.synthetic.body import Body, BodyModel
from models.synthetic.materials import Strap
from models.synthetic.parts import Part, loft, rounded_box
from models.synthetic.wardrobe import Outfit

__all__ = ["luggage", "neckwear"]

Floats = NDArray[np.float32]


def _rigid(
    model: BodyModel, points: Floats, triangles: NDArray[np.int32], bones: dict[str, float], material: int
) -> Part:
    weights = np.zeros((len(points), len(model.bones)), np.float32)
    for bone, share in bones.items():
        weights[:, model.bone(bone)] = share
    whole = np.full(len(points), 9, np.float32)
    return Part(points, triangles, weights, points, whole, np.full(len(points), 0.9, np.float32), material)


def luggage(model: BodyModel, body: Body, outfit: Outfit, material: int) -> list[Part]:
    """Backpack, shoulder bag, handbag or tote; straps on the trunk belong to the garment's material."""
    size = 0.8 + 0.4 * outfit.bag_material.phase[1]
    hip = body.joints[model.bone("pelvis")]
    shoulder = body.joints[model.bone("upperarm_l")]
    if outfit.bag == "backpack":
        height = 0.44 * size
        points, triangles = rounded_box((0.29 * size, height, 0.16 * size), 0.4)
        points[:, 2] *= np.where(points[:, 1] < 0, 1.1, 0.85)
        back = float(body.points[np.unique(model.cloth)][:, 2].min()) - outfit.bulk
        place = np.array([0, float(shoulder[1]) - 0.02 - height / 2, back - 0.045 * size], np.float32)
        return [_rigid(model, points + place, triangles, {"spine_03": 0.7, "spine_02": 0.3}, material)]
    if outfit.bag == "shoulder":
        side = 1.0 if outfit.upper_cloth.strap is Strap.LEFT else -1.0
        points, triangles = rounded_box((0.1 * size, 0.24 * size, 0.3 * size), 0.3)
        wide = float(np.abs(body.joints[model.bone("thigh_l")][0])) + 0.12 + outfit.bulk
        place = np.array([side * wide, float(hip[1]) - 0.03, -0.05], np.float32)
        return [_rigid(model, points + place, triangles, {"pelvis": 0.8, "spine_01": 0.2}, material)]
    if outfit.bag in ("handbag", "tote"):
        hand = body.joints[model.bone("hand_r")]
        middle = body.joints[model.bone("middle_01_r")]
        grip = middle + (middle - hand) * 0.4
        tall = 0.36 if outfit.bag == "tote" else 0.22
        solid, faces = rounded_box((0.09 * size, tall * size, 0.32 * size), 0.3)
        angle = np.linspace(0, np.pi, 9)
        rings = []
        for a in angle:
            middle_of = np.array([0, 0.12 * np.sin(a), 0.09 * np.cos(a)])
            ring = np.linspace(0, 2 * np.pi, 5, endpoint=False)
            rings.append(middle_of + 0.008 * np.stack([np.sin(ring), np.cos(ring), 0 * ring], axis=1))
        handle, handle_faces = loft(np.stack(rings).astype(np.float32))
        points = np.concatenate([solid - np.array([0, tall * size / 2 + 0.1, 0], np.float32), handle - [0, 0.11, 0]])
        triangles = np.concatenate([faces, handle_faces + len(solid)]).astype(np.int32)
        # The bag hangs down whatever the forearm does: it is built along the forearm at rest.
        lower = body.joints[model.bone("lowerarm_r")]
        down = (hand - lower) / np.linalg.norm(hand - lower)
        forward = np.array([0, 0, 1.0]) - down * down[2]
        forward /= np.linalg.norm(forward)
        frame = np.stack([np.cross(-down, forward), -down, forward], axis=1)
        placed = (points @ frame.T + grip).astype(np.float32)
        return [_rigid(model, placed, triangles, {"hand_r": 1.0}, material)]
    return []


def neckwear(model: BodyModel, body: Body, outfit: Outfit, material: int) -> list[Part]:
    """Scarves, lowered hoods and collars: a ring round the neck."""
    neck = body.joints[model.bone("neck_01")]
    forms = {  # inner radius, thickness, height, drop of the back
        "hoodie": (0.075, 0.03, 0.075, 0.03),
        "jacket": (0.072, 0.011, 0.06, 0.0),
        "puffer": (0.074, 0.018, 0.07, 0.0),
        "coat": (0.074, 0.014, 0.055, 0.0),
        "blazer": (0.07, 0.008, 0.035, 0.0),
        "shirt": (0.064, 0.006, 0.035, 0.0),
        "polo": (0.064, 0.006, 0.03, 0.0),
    }
    if outfit.scarf is not None:
        radius, thick, height, drop = 0.072, 0.03, 0.075, 0.0
    elif outfit.upper in forms:
        radius, thick, height, drop = forms[outfit.upper]
    else:
        return []
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    section = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    base = neck + np.array([0, 0.005, -0.002], np.float32)
    rings = []
    for s in section:
        r = radius + thick * np.cos(s)
        back = np.clip(-np.cos(turn), 0, 1)
        x = r * 0.98 * np.sin(turn)
        z = r * 1.02 * np.cos(turn) - drop * 1.2 * back * (np.cos(s) > 0)
        y = height / 2 * np.sin(s) - 0.028 * np.cos(turn) - drop * back
        rings.append(np.stack([x, y, z], axis=1) + base)
    rings.append(rings[0])
    points, triangles = loft(np.stack(rings[::-1]).astype(np.float32), closed_ends=False)
    return [_rigid(model, points, triangles, {"spine_03": 0.55, "neck_01": 0.45}, material)]
