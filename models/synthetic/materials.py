"""Materials: how a surface looks to a colour camera and, separately, to a near-infrared one.

Dyes that are black to the eye are often bright at 850 nm, so reflectance there is not a function of colour.
Here it is drawn from a mixture that does not look at the colour, except for a small part of all cloth.
The numbers are plausible guesses, not fitted to measurements: they set the difficulty of the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Inset",
    "Material",
    "Pattern",
    "Strap",
    "cloth_nir",
    "linear",
    "luminance",
    "pack_materials",
    "pack_warmth",
    "print_nir",
]

Colour = tuple[float, float, float]

_STRAP_WARMTH = 0.15
_LAYER_WARMTH = 0.25
"""By how much what an open jacket shows is warmer than the jacket."""


class Pattern(IntEnum):
    """What is woven, printed or built into a surface; the numbers are the shader's."""

    PLAIN = 0
    STRIPES = 1
    CHECKS = 2
    PINSTRIPES = 3
    CAMOUFLAGE = 4
    YOKE = 5
    CHEST_PRINT = 6
    BACK_PRINT = 7
    DENIM = 8
    MELANGE = 9
    SIDE_STRIPE = 10
    VEST = 11
    SOLE = 12
    FACE = 13
    HAIR = 14
    QUILTED = 15
    ASPHALT = 20
    PAVERS = 21
    BRICKS = 22
    TILES = 23
    CONCRETE = 24
    FOLIAGE = 25
    FACADE = 26
    SLATS = 27
    LINES = 28


class Inset(IntEnum):
    """A second material seen on the front of an upper garment."""

    NONE = 0
    OPEN = 1
    ZIP = 2
    VNECK = 3


class Strap(IntEnum):
    """Straps that lie on the trunk."""

    NONE = 0
    PAIR = 1
    LEFT = 2
    RIGHT = 3


@dataclass(frozen=True, slots=True)
class Material:
    """One surface.

    Attributes:
        colour, second: linear RGB reflectance, of the ground and of what the pattern adds.
        nir, nir_second: reflectance near 850 nm of the same two.
        scale: size of the pattern, metres.
        gloss: strength of the specular part.
        folds: depth of the creases, metres.
        inset: the second material's kind, its half width in metres, its colours.
        strap: the straps' kind and their colours.
        warmth: of a person's surfaces, where their temperature lies between the air's (0) and skin's (1).
    """

    colour: Colour
    nir: float
    pattern: Pattern = Pattern.PLAIN
    second: Colour = (0.0, 0.0, 0.0)
    nir_second: float = 0.0
    scale: float = 0.05
    gloss: float = 0.02
    folds: float = 0.0
    inset: Inset = Inset.NONE
    inset_width: float = 0.0
    inset_colour: Colour = (0.0, 0.0, 0.0)
    inset_nir: float = 0.0
    strap: Strap = Strap.NONE
    strap_colour: Colour = (0.0, 0.0, 0.0)
    strap_nir: float = 0.0
    phase: tuple[float, float] = field(default=(0.0, 0.0))
    warmth: float = 0.0


def pack_materials(materials: Sequence[Material]) -> NDArray[np.float32]:
    """The renderer's table ``float32[M, 7, 4]``."""
    rows = [
        [
            [*m.colour, m.nir],
            [*m.second, m.nir_second],
            [float(m.pattern), m.scale, m.gloss, m.folds],
            [float(m.inset), m.inset_width, *m.phase],
            [*m.inset_colour, m.inset_nir],
            [float(m.strap), 0.0, 0.0, 0.0],
            [*m.strap_colour, m.strap_nir],
        ]
        for m in materials
    ]
    return np.array(rows, np.float32)


def pack_warmth(materials: Sequence[Material]) -> NDArray[np.float32]:
    """The same table of a person's materials with warmth for reflectance: prints and dyes leave no trace there.

    What patterns write as numbers of their own (the eyes of a face, the bands of a vest) is still reflectance.
    """
    table = pack_materials(materials)
    for row, m in zip(table, materials, strict=True):
        layer = m.warmth + (_LAYER_WARMTH if m.inset in (Inset.OPEN, Inset.VNECK) else 0.0)
        row[[0, 1, 4, 6], 3] = (m.warmth, m.warmth, min(layer, 1.0), _STRAP_WARMTH)
    return table


def linear(srgb: NDArray[np.float64] | Colour) -> Colour:
    """Linear reflectance of an sRGB colour given in 0 to 1."""
    value = np.clip(np.asarray(srgb, float), 0, 1)
    r, g, b = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(r), float(g), float(b)


def luminance(colour: Colour) -> float:
    """Relative luminance of a linear colour."""
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


def cloth_nir(generator: np.random.Generator, colour: Colour) -> float:
    """Near-infrared reflectance of a cloth: mostly bright, sometimes middling or dark, seldom as its colour."""
    kind = generator.choice(4, p=(0.62, 0.18, 0.12, 0.08))
    if kind == 3:
        return float(np.clip(0.08 + 0.8 * luminance(colour), 0.05, 0.8))
    centre, spread = ((0.55, 0.09), (0.33, 0.06), (0.12, 0.03))[kind]
    return float(np.clip(generator.normal(centre, spread), 0.05, 0.8))


def print_nir(generator: np.random.Generator, nir: float, colour: Colour, second: Colour) -> float:
    """Reflectance of a print on a cloth: three in four fade to a quarter of their visible contrast."""
    contrast = luminance(second) - luminance(colour)
    kept = 0.25 if generator.random() < 0.75 else 0.8
    return float(np.clip(nir + kept * contrast * 0.8, 0.04, 0.85))
