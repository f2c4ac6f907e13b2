"""Clothes and shoes as shells around the body, cut where a measure of the body says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.synthetic.body import Body, BodyModel, rest_normals
from models.synthetic.parts import Part, smooth, sub_surface
from models.synthetic.places import CLOTH_ROUNDS, Places
from models.synthetic.wardrobe import Outfit

__all__ = ["legwear", "shoes", "skin", "skirt", "upper"]

Floats = NDArray[np.float32]

_UPPER_ARM_M = 0.27
_TRUNK_M = 0.47
_THIGH_M = 0.42
_SHIN_M = 0.43
"""Lengths on the template that turn measures into metres from an edge."""
_OVERLAP = 0.06
"""How far skin reaches below a garment before it is left out, metres."""


def _far(places: Places) -> Floats:
    return np.full(len(places.arm), 9.0, np.float32)


def _below_sleeve(places: Places, sleeve: float) -> Floats:
    return np.where(places.limb > 0.3, (places.arm - sleeve) * _UPPER_ARM_M, -9.0).astype(np.float32)


def _above_neckline(places: Places, outfit: Outfit) -> Floats:
    """Metres above the plane of the neckline, which lies lower in front."""
    low = {"tshirt": 0.0, "polo": 0.02, "shirt": 0.03, "jumper": 0.015}.get(outfit.upper, 0.035)
    plane = np.array([0.0, 0.8, 0.6], np.float32)
    origin = np.array([0.0, 1.475 + low, 0.025], np.float32)
    height = (places.coords - origin) @ plane
    return np.where(places.limb > 0.2, -9.0, height).astype(np.float32)


def _legs_end(outfit: Outfit) -> float:
    return outfit.leg if outfit.lower not in ("skirt", "dress") else 0.05


def skin(model: BodyModel, places: Places, body: Body, outfit: Outfit, material: int) -> Part:
    """Only what no garment covers: drawing the rest would cost time and show through seams."""
    visible = (_below_sleeve(places, outfit.sleeve) > -_OVERLAP) | (_above_neckline(places, outfit) > -_OVERLAP)
    legs = (places.leg > _legs_end(outfit) - 0.15) & (places.limb < 0.3)
    visible = (visible | legs) & (places.foot < 0.55)
    used, triangles = sub_surface(model.skin, visible)
    return Part(
        body.points[used],
        triangles,
        model.weights[used],
        places.coords[used],
        _far(places)[used],
        places.shade[used],
        material,
    )


def upper(model: BodyModel, places: Places, body: Body, outfit: Outfit, material: int) -> Part:
    """Shirt, jumper, jacket: the trunk and arms of the shell, smoothed and set off by the garment's bulk."""
    hem = (places.trunk - outfit.hem) * _TRUNK_M
    torso = places.limb < 0.3
    covered = (-_below_sleeve(places, outfit.sleeve) > -0.08) & (-_above_neckline(places, outfit) > -0.05)
    used, triangles = sub_surface(model.cloth, covered & (hem > -0.2) & (places.foot < 0.1))
    cut = np.minimum(np.where(torso, hem, 9.0), -_below_sleeve(places, outfit.sleeve))
    cut = np.minimum(cut, -_above_neckline(places, outfit))[used]
    heavy = outfit.bulk > 0.02
    whole = smooth(body.points, model.cloth, CLOTH_ROUNDS)  # all of it: a garment's own rim would shrink
    normals = rest_normals(whole, model.cloth)[used]
    points = whole[used]
    arm, trunk = places.arm[used], places.trunk[used]
    on_trunk = 1.0 - 0.45 * np.clip(trunk - 0.75, 0, 0.3) / 0.3
    looseness = np.where(places.limb[used] > 0.5, np.where(arm > 1.5, 0.55, 0.75), on_trunk)
    points = points + normals * (outfit.bulk * looseness)[:, None].astype(np.float32)
    low = np.clip((0.55 - trunk) / 0.5, 0, 1.2) * (places.limb[used] < 0.3)
    drape = {"tshirt": 0.012, "shirt": 0.014, "jumper": 0.006, "coat": 0.024, "blazer": 0.016}.get(outfit.upper, 0.012)
    away = points * np.array([1, 0, 1], np.float32)
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    points = points + away * (low * drape)[:, None]
    if outfit.upper in ("hoodie", "jumper"):  # a ribbed waist draws the hem in
        rib = np.clip(1 - np.abs(hem[used] - 0.0) / 0.05, 0, 1) * (places.limb[used] < 0.3)
        points = points - normals * (rib * 0.014)[:, None]
    points = points + _wrinkles(places.coords[used], normals, outfit.upper_cloth.phase, 0.0025 if heavy else 0.0015)
    return Part(
        points.astype(np.float32),
        triangles,
        model.weights[used],
        places.coords[used],
        cut.astype(np.float32),
        places.shade[used],
        material,
    )


def legwear(model: BodyModel, places: Places, body: Body, outfit: Outfit, material: int) -> list[Part]:
    """Trousers and shorts: each leg a tube at least as wide as its cut."""
    if outfit.lower in ("skirt", "dress"):
        return []
    end = outfit.leg
    used, triangles = sub_surface(model.cloth, (places.leg > -0.5) & (places.leg < end + 0.2) & (places.limb < 0.2))
    whole = smooth(body.points, model.cloth, CLOTH_ROUNDS)
    normals = rest_normals(whole, model.cloth)[used]
    points = whole[used]
    leg = places.leg[used]
    slim = outfit.lower == "slim"
    points = points + normals * (0.007 if slim else 0.011)
    points = _tube(model, body, points, leg, 0.052 * outfit.cuff, strength=0.4 if slim else 1.0)
    points = points + _wrinkles(places.coords[used], normals, outfit.lower_cloth.phase, 0.002)
    scale = np.where(leg < 1, _THIGH_M, _SHIN_M)
    lower_edge = (end - leg) * scale
    upper_edge = (leg + 0.28) * _THIGH_M
    cut = np.minimum(lower_edge, upper_edge)
    return [
        Part(
            points.astype(np.float32),
            triangles,
            model.weights[used],
            places.coords[used],
            cut.astype(np.float32),
            places.shade[used],
            material,
        )
    ]


def _tube(model: BodyModel, body: Body, points: Floats, leg: Floats, cuff_m: float, strength: float) -> Floats:
    """Widens legs to tubes that narrow from the thigh to `cuff_m` at the ankle."""
    moved = points.copy()
    for side, sign in (("l", 1.0), ("r", -1.0)):
        hip, knee, ankle = (body.joints[model.bone(f"{b}_{side}")] for b in ("thigh", "calf", "foot"))
        own = (points[:, 0] * sign > 0) & (leg > 0.35)
        along = np.clip(leg[own], 0, 2)[:, None]
        axis = np.where(along < 1, hip + (knee - hip) * along, knee + (ankle - knee) * (along - 1))
        away = (points[own] - axis) * np.array([1, 0, 1], np.float32)
        radius = np.linalg.norm(away, axis=1, keepdims=True)
        wide = np.interp(along, (0.35, 1.0, 2.0), (0.082, 0.4 * 0.082 + 0.6 * max(cuff_m, 0.062), cuff_m))
        blend = np.clip((along - 0.35) / 0.4, 0, 1) * strength
        goal = np.maximum(radius, wide)
        moved[own] += away / np.maximum(radius, 1e-6) * (goal - radius) * blend
    return moved


def skirt(model: BodyModel, places: Places, body: Body, outfit: Outfit, materials: tuple[int, int]) -> list[Part]:
    """Skirts, the lower half of a dress, and the skirts of a coat."""
    coat = outfit.upper == "coat"
    if outfit.lower not in ("skirt", "dress") and not coat:
        return []
    end = 0.35 + 6.0 * outfit.bulk * 2 if coat else outfit.leg
    used, triangles = sub_surface(model.skirt, places.leg < end + 0.3)
    points = body.points[used]
    leg = places.leg[used]
    normals = rest_normals(points, triangles)
    inwards = np.sign((normals * (points - points.mean(axis=0))).sum(axis=1).mean())
    grow = outfit.bulk + 0.006 if coat or outfit.lower == "dress" else 0.008
    points = points + normals * (inwards * grow)
    narrow = 1.0 - (0.16 if coat else 0.12) * np.clip(leg, 0, 1)
    points = points * np.stack([narrow, np.ones_like(narrow), narrow], axis=1)
    lower_edge = (end - leg) * np.where(leg < 1, _THIGH_M, _SHIN_M)
    upper_edge = (leg + (0.35 if not coat else 0.2)) * _THIGH_M
    return [
        Part(
            points.astype(np.float32),
            triangles if inwards > 0 else triangles[:, ::-1].copy(),
            model.weights[used],
            places.coords[used],
            np.minimum(lower_edge, upper_edge).astype(np.float32),
            np.full(len(used), 0.95, np.float32),
            materials[0] if coat or outfit.lower == "dress" else materials[1],
        )
    ]


def shoes(model: BodyModel, places: Places, body: Body, outfit: Outfit, material: int) -> list[Part]:
    """The shell's toeless feet with a sole; boots reach up the shin."""
    tall = outfit.boots and outfit.lower in ("slim", "skirt", "dress", "shorts")  # else below the trousers
    top = 1.55 if tall else 1.88
    used, triangles = sub_surface(model.cloth, (places.leg > top - 0.1) & (places.limb < 0.2))
    whole = smooth(body.points, model.cloth, CLOTH_ROUNDS)
    normals = rest_normals(whole, model.cloth)[used]
    points = whole[used]
    points = points + normals * (0.02 if tall else 0.011)
    points[points[:, 1] < 0.022, 1] = 0.0
    cut = (places.leg[used] - top) * _SHIN_M
    return [
        Part(
            points.astype(np.float32),
            triangles,
            model.weights[used],
            places.coords[used],
            cut.astype(np.float32),
            np.full(len(used), 0.85, np.float32),
            material,
        )
    ]


def _wrinkles(coords: Floats, normals: Floats, phase: tuple[float, float], depth_m: float) -> Floats:
    """Low waves of the cloth, so that no two silhouettes are the same smooth shell."""
    a, b = phase
    x, y, z = coords.T
    wave = np.sin(19 * y + 23 * x + 6.3 * a) + np.sin(31 * y - 17 * z + 6.3 * b) + np.sin(43 * x + 29 * z + 11 * y)
    return np.asarray(normals * (depth_m * wave)[:, None], np.float32)
