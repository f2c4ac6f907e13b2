"""Hair and what is worn on it: shells over the scalp, and what hangs from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.synthetic.body import Body, BodyModel
from models.synthetic.parts import Part, loft, smooth, sub_surface
from models.synthetic.places import Places
from models.synthetic.wardrobe import Outfit

__all__ = ["hair_and_headwear"]

Floats = NDArray[np.float32]


def _hairline(places: Places, coords: Floats) -> Floats:
    """Metres above the line where hair begins: forehead, temples, round the ears, nape."""
    eye = places.eye_m
    line = np.interp(
        coords[:, 2],
        (-0.10, -0.04, 0.03, 0.07, 0.11, 0.15),
        (eye - 0.085, eye - 0.07, eye - 0.01, eye + 0.012, eye + 0.06, eye + 0.065),
    )
    ear = np.clip((np.abs(coords[:, 0]) - 0.074) / 0.004, 0, 1) * (coords[:, 1] < eye + 0.03)
    return np.asarray(coords[:, 1] - line - 0.05 * ear, np.float32)


def hair_and_headwear(
    model: BodyModel, places: Places, body: Body, outfit: Outfit, materials: tuple[int, int]
) -> list[Part]:
    """A cap of hair over the scalp, what hangs from it, and what is worn on it."""
    used, triangles = sub_surface(model.skin, places.head > 0.5)
    coords = places.coords[used]
    scalp = body.points[used]
    centre = scalp[scalp[:, 1] > body.marks["l-eye"][1]].mean(axis=0)
    round_head = smooth(scalp, triangles, 8, 0.6)
    away = round_head - centre
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    above = _hairline(places, coords)
    head = model.bone("head")
    on_head = np.zeros((len(used), len(model.bones)), np.float32)
    on_head[:, head] = 1

    def shell(thick: NDArray[np.floating] | float, cut: NDArray[np.floating], material: int, worn: bool = True) -> Part:
        offset = np.reshape(thick, (-1, 1)) if isinstance(thick, np.ndarray) else thick
        low = np.minimum(1.0, np.maximum(0.0, (round_head - scalp) * away).sum(axis=1, keepdims=True))
        points = (round_head if worn else scalp + away * low) + away * offset  # ears stay under what is worn
        return Part(
            points.astype(np.float32),
            triangles,
            on_head,
            coords,
            cut.astype(np.float32),
            np.full(len(used), 0.9, np.float32),
            material,
        )

    parts: list[Part] = []
    top = np.clip((coords[:, 1] - places.eye_m) / 0.1, 0, 1)
    thickness = {"buzz": 0.004, "short": 0.014, "medium": 0.022, "long": 0.022, "ponytail": 0.012, "bun": 0.012}
    hidden = outfit.headwear in ("hood", "beanie") and outfit.hair in ("short", "buzz")
    if outfit.hair != "bald" and not hidden:
        thick = thickness[outfit.hair] * (0.55 + 0.6 * top).astype(np.float32)
        thick = thick * np.clip(above / 0.03 + 0.25, 0.1, 1).astype(np.float32)
        parts.append(shell(thick, above if outfit.hair != "medium" else above + 0.012, materials[0], worn=False))
        if outfit.headwear != "hood":
            parts += _hanging_hair(model, body, outfit, centre, materials[0])
    if outfit.headwear == "none":
        return parts
    eye = places.eye_m
    if outfit.headwear == "cap":
        parts.append(shell(0.02 + 0.006 * top, coords[:, 1] - (eye + 0.042), materials[1]))
        parts.append(_brim(model, body, materials[1]))
    elif outfit.headwear == "beanie":
        rim = coords[:, 1] - np.interp(coords[:, 2], (-0.1, 0.05, 0.14), (eye - 0.03, eye + 0.0, eye + 0.05))
        parts.append(shell(0.022 + 0.016 * top, rim, materials[1]))
    else:
        face = np.hypot(coords[:, 0] / 0.078, (coords[:, 1] - eye + 0.02) / 0.115) - 1
        opening = np.where(coords[:, 2] > 0.05, face * 0.08, 0.1)
        parts.append(shell(0.034, opening, materials[1]))
    return parts


def _hanging_hair(model: BodyModel, body: Body, outfit: Outfit, centre: Floats, material: int) -> list[Part]:
    """Long hair down the back, a tail or a bun."""
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    head, spine, neck = model.bone("head"), model.bone("spine_03"), model.bone("neck_01")
    eye = float(body.marks["l-eye"][1])
    if outfit.hair in ("long", "medium"):
        drop = 0.3 if outfit.hair == "long" else 0.14
        steps = np.linspace(0, 1, 7)
        heights = eye + 0.02 - steps * drop
        widths = np.interp(steps, (0, 0.35, 1), (0.08, 0.088, 0.085 if outfit.hair == "long" else 0.078))
        depths = np.interp(steps, (0, 0.4, 1), (0.06, 0.055, 0.03))
        backs = centre[2] - np.interp(steps, (0, 0.4, 1), (0.035, 0.05, 0.085 if outfit.hair == "long" else 0.06))
        on_spine = np.clip((steps - 0.35) / 0.65, 0, 1)
    elif outfit.hair == "ponytail":
        steps = np.linspace(0, 1, 6)
        heights = eye + 0.05 - steps * 0.24
        widths = np.interp(steps, (0, 0.2, 1), (0.016, 0.03, 0.012))
        depths = widths
        backs = centre[2] - 0.1 - 0.03 * np.sin(steps * np.pi)
        on_spine = np.clip(steps - 0.6, 0, 1)
    elif outfit.hair == "bun":
        steps = np.linspace(0, 1, 6)
        heights = eye + 0.1 - steps * 0.075
        widths = 0.04 * np.sqrt(np.clip(1 - (2 * steps - 1) ** 2, 0.05, 1))
        depths = widths
        backs = np.full(6, centre[2] - 0.1)
        on_spine = np.zeros(6)
    else:
        return []
    rings = np.stack(
        [
            np.stack([w * np.sin(-angle), np.full(14, h), b + d * np.cos(-angle)], axis=1)
            for w, h, b, d in zip(widths, heights, backs, depths, strict=True)
        ]
    )
    rings[:, :, 0] += centre[0]
    points, triangles = loft(rings[::-1].astype(np.float32))
    weights = np.zeros((len(points), len(model.bones)), np.float32)
    share = np.append(np.repeat(on_spine[::-1], 14), [on_spine[-1], on_spine[0]])
    weights[:, spine] = 0.6 * share
    weights[:, neck] = 0.4 * share
    weights[:, head] = 1 - share
    return [
        Part(
            points,
            triangles,
            weights,
            points,
            np.full(len(points), 9, np.float32),
            np.full(len(points), 0.85, np.float32),
            material,
        )
    ]


def _brim(model: BodyModel, body: Body, material: int) -> Part:
    """The peak of a cap: a curved half disc before the forehead."""
    eye = body.marks["l-eye"]
    across = np.linspace(-1, 1, 9)
    rows = []
    for reach, lift in ((0.0, 0.006), (0.065, 0.002), (0.11, -0.014), (0.11, -0.02), (0.0, -0.004)):
        x = across * 0.08
        z = float(eye[2]) - 0.012 - 0.055 * across**2 + reach * np.sqrt(np.clip(1 - across**2 * 0.9, 0, 1))
        y = float(eye[1]) + 0.05 + lift - 0.02 * across**2
        rows.append(np.stack([x, y, z], axis=1))
    points, triangles = loft(np.stack(rows).astype(np.float32), closed_ends=False)
    weights = np.zeros((len(points), len(model.bones)), np.float32)
    weights[:, model.bone("head")] = 1
    ones = np.full(len(points), 9, np.float32)
    return Part(points, triangles, weights, points, ones, np.ones(len(points), np.float32), material)
