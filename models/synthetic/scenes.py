"""Places where cameras hang: street, corridor, car park and plaza, each drawn anew from a generator.

A scene has a walkway along its own z axis (people walk along it, more or less); cameras look at a point of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from models.synthetic.materials import Material, Pattern, linear
from models.synthetic.renderer import Light
from models.synthetic.scenery import Scenery, SceneryBuilder

__all__ = ["KINDS", "Scene", "SceneKind", "draw_light", "draw_scene"]

SceneKind = Literal["street", "corridor", "carpark", "plaza"]
KINDS: tuple[SceneKind, ...] = ("street", "corridor", "carpark", "plaza")

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """A place.

    Attributes:
        half_width: of the walkway, metres; people keep within it.
        indoor: under a roof.
    """

    kind: SceneKind
    scenery: Scenery
    half_width: float
    indoor: bool


def draw_scene(generator: np.random.Generator, kind: SceneKind) -> Scene:
    """A scene of a kind."""
    builder = SceneryBuilder()
    makers = {"street": _street, "corridor": _corridor, "carpark": _car_park, "plaza": _plaza}
    half_width = makers[kind](builder, generator)
    return Scene(kind, builder.build(), half_width, indoor=kind in ("corridor", "carpark"))


def draw_light(generator: np.random.Generator, scene: Scene) -> Light:
    """Light for a colour camera in a scene: sun, overcast, shade, dusk, or lamps on a ceiling."""
    if scene.indoor:
        tint = _tint(generator, (1.0, 0.96, 0.9), 0.05)
        level = generator.uniform(0.35, 0.8)
        key = tuple(0.75 * level * c for c in tint)
        sky = tuple(0.8 * level * c for c in tint)
        ground = tuple(0.45 * level * c for c in tint)
        return Light(_way(generator, 62, 88), key, sky, ground, False, (0.4, 0.4, 0.4, 0.0))  # type: ignore[arg-type]
    kind = generator.choice(("sun", "overcast", "shade", "dusk"), p=(0.34, 0.34, 0.17, 0.15))
    air = generator.uniform(0.0005, 0.006)
    if kind == "sun":
        warm = _tint(generator, (1.0, 0.94, 0.84), 0.04)
        strength = generator.uniform(0.9, 1.5)
        key = tuple(strength * c for c in warm)
        sky, ground = (0.36, 0.41, 0.5), (0.27, 0.25, 0.22)
        return Light(_way(generator, 25, 65), key, sky, ground, True, (0.62, 0.68, 0.76, air))  # type: ignore[arg-type]
    if kind == "dusk":
        warm = _tint(generator, (1.0, 0.78, 0.52), 0.08)
        key = tuple(0.3 * c for c in warm)
        sky = tuple(0.14 * c for c in _tint(generator, (0.95, 0.9, 0.9), 0.08))
        return Light(_way(generator, 55, 85), key, sky, (0.07, 0.06, 0.05), False, (0.1, 0.1, 0.12, air))  # type: ignore[arg-type]
    level = generator.uniform(0.6, 1.0) if kind == "overcast" else generator.uniform(0.4, 0.6)
    sky_tint = (1.0, 1.02, 1.06) if kind == "overcast" else (0.88, 0.98, 1.14)
    sky = tuple(level * c for c in sky_tint)
    key = tuple(0.25 * level * c for c in sky_tint)
    ground = (0.32 * level, 0.31 * level, 0.29 * level)
    return Light(_way(generator, 60, 88), key, sky, ground, False, (0.66, 0.7, 0.74, air))  # type: ignore[arg-type]


def _way(generator: np.random.Generator, low_deg: float, high_deg: float) -> Colour:
    height, azimuth = np.radians(generator.uniform(low_deg, high_deg)), generator.uniform(0, 2 * np.pi)
    return float(np.cos(height) * np.sin(azimuth)), float(np.sin(height)), float(np.cos(height) * np.cos(azimuth))


def _tint(generator: np.random.Generator, colour: Colour, spread: float) -> Colour:
    r, g, b = np.clip(np.array(colour) + generator.normal(0, spread, 3), 0.2, 1.3)
    return float(r), float(g), float(b)


def _grey(
    generator: np.random.Generator,
    pattern: Pattern,
    low: float,
    high: float,
    scale: float = 0.3,
    tint: Colour = (1.0, 0.98, 0.94),
    gloss: float = 0.02,
    second: Colour = (0.3, 0.3, 0.29),
) -> Material:
    """A mineral surface: near grey in colour and about as bright in the near infrared."""
    level = generator.uniform(low, high)
    colour = linear(np.clip(level * np.array(_tint(generator, tint, 0.02)), 0, 0.95))
    nir = float(np.clip(0.12 + 0.75 * colour[1] + generator.normal(0, 0.06), 0.04, 0.7))
    phase = (float(generator.random()), float(generator.random()))
    return Material(colour, nir, pattern, second, 0.7 * nir, scale=scale, gloss=gloss, phase=phase)


def _plant(generator: np.random.Generator) -> Material:
    """Leaves: green, and among the brightest things in the near infrared."""
    colour = linear(np.array((0.26, 0.34, 0.16)) * generator.uniform(0.75, 1.25))
    return Material(
        colour, float(generator.uniform(0.45, 0.7)), Pattern.FOLIAGE, phase=(float(generator.random()), 0.0)
    )


def _parked_cars(
    builder: SceneryBuilder, generator: np.random.Generator, x: float, heading: float, step: float
) -> None:
    glass = Material((0.02, 0.022, 0.025), 0.06, gloss=0.35)
    tyre = Material((0.02, 0.02, 0.02), 0.08)
    for z in np.arange(-24, 40, step):
        if generator.random() < 0.55:
            srgb = (
                (0.12, 0.12, 0.13),
                (0.75, 0.75, 0.76),
                (0.45, 0.46, 0.48),
                (0.2, 0.25, 0.38),
                (0.45, 0.12, 0.12),
                (0.9, 0.9, 0.88),
            )
            colour = linear(srgb[generator.choice(6, p=(0.28, 0.2, 0.2, 0.12, 0.07, 0.13))])
            paint = Material(colour, float(generator.uniform(0.1, 0.6)), gloss=0.25)
            turn = heading + generator.choice((0.0, np.pi)) + generator.normal(0, 0.03)
            builder.car((x + generator.normal(0, 0.1), z + generator.normal(0, 0.3)), turn, paint, glass, tyre)


def _wall(generator: np.random.Generator) -> Material:
    kind = generator.choice(4)
    if kind == 0:
        brick = _tint(generator, (0.52, 0.33, 0.26), 0.05)
        return Material(
            linear(brick),
            float(generator.uniform(0.3, 0.5)),
            Pattern.BRICKS,
            linear((0.6, 0.58, 0.54)),
            0.4,
            scale=0.24,
        )
    if kind == 1:
        return _grey(generator, Pattern.CONCRETE, 0.45, 0.75)
    if kind == 2:
        return _grey(generator, Pattern.SLATS, 0.3, 0.7, scale=float(generator.uniform(0.08, 0.25)))
    front = _grey(generator, Pattern.FACADE, 0.5, 0.8, scale=float(generator.uniform(1.4, 3.0)))
    return replace(front, second=linear((0.16, 0.18, 0.2)), nir_second=0.08)


def _pavement(generator: np.random.Generator) -> Material:
    kind = generator.choice(3)
    if kind == 0:
        return _grey(generator, Pattern.ASPHALT, 0.4, 0.58)
    if kind == 1:
        return _grey(generator, Pattern.CONCRETE, 0.5, 0.72)
    return _grey(
        generator,
        Pattern.PAVERS,
        0.45,
        0.7,
        scale=float(generator.choice((0.1, 0.2, 0.3, 0.4, 0.6))),
        tint=(1.0, 0.96, 0.9),
    )


def _street(builder: SceneryBuilder, generator: np.random.Generator) -> float:
    """A pavement between a wall and a road with parked cars, trees and lamp posts."""
    half = float(generator.uniform(1.4, 2.6))
    builder.box((0, -0.05, 8), (2 * half, 0.1, 80), _pavement(generator))
    builder.box((half + 0.08, -0.06, 8), (0.16, 0.13, 80), _grey(generator, Pattern.CONCRETE, 0.55, 0.7))
    road = half + 0.16 + 4.5
    builder.box((road, -0.16, 8), (9.0, 0.1, 80), _grey(generator, Pattern.ASPHALT, 0.32, 0.48))
    builder.box((road + 0.6, -0.109, 8), (0.12, 0.004, 80), _grey(generator, Pattern.CONCRETE, 0.85, 0.95))
    if generator.random() < 0.7:
        _parked_cars(builder, generator, half + 1.4, 0.0, 5.6)
    far = road + 6.0
    builder.box((far, -0.05, 8), (3.0, 0.1, 80), _pavement(generator))
    builder.box((far + 2.0, 4, 8), (1.0, 8, 80), _wall(generator))
    beside = generator.choice(3)
    if beside == 0:
        builder.box((-half - 0.3, 4, 8), (0.6, 8, 80), _wall(generator))
    elif beside == 1:
        builder.box((-half - 0.15, 0.5, 8), (0.3, 1.1, 80), _wall(generator))
        builder.box(
            (-half - 6, -0.06, 8), (11.4, 0.1, 80), _grey(generator, Pattern.ASPHALT, 0.3, 0.45, tint=(0.85, 1.0, 0.6))
        )
        builder.box((-half - 11, 4, 8), (1, 8, 80), _wall(generator))
    else:
        leaf = _plant(generator)
        for z in np.arange(-20, 40, 1.6):
            builder.blob((-half - 0.6, 0.7, z), (1.4, 1.7, 2.2), leaf, generator)
        builder.box((-half - 8, 4, 8), (1, 8, 80), _wall(generator))
        builder.box(
            (-half - 4, -0.06, 8), (8, 0.1, 80), _grey(generator, Pattern.ASPHALT, 0.3, 0.4, tint=(0.85, 1.0, 0.6))
        )
    bark = Material(linear((0.28, 0.23, 0.19)), 0.3, Pattern.CONCRETE)
    leaf = _plant(generator)
    metal = _grey(generator, Pattern.PLAIN, 0.25, 0.5)
    trees = generator.random() < 0.5
    for z in np.arange(-18, 36, 7.0):
        spot = (half - 0.3, z + generator.uniform(-1, 1))
        if trees:
            builder.pole(spot, 3.2, 0.13, bark)
            builder.blob((spot[0], 4.4, spot[1]), (3.2, 2.8, 3.2), leaf, generator)
        elif generator.random() < 0.6:
            builder.pole(spot, generator.choice((0.95, 4.5)), 0.06, metal)
    return half - 0.5


def _corridor(builder: SceneryBuilder, generator: np.random.Generator) -> float:
    """A hallway with doors."""
    half = float(generator.uniform(1.0, 2.3))
    floor = _grey(generator, Pattern.TILES, 0.5, 0.82, scale=float(generator.choice((0.3, 0.4, 0.6, 0.8))), gloss=0.12)
    if generator.random() < 0.3:
        floor = _grey(generator, Pattern.CONCRETE, 0.4, 0.7, gloss=0.06, tint=(1.0, 0.95, 0.88))
    builder.box((0, -0.05, 8), (2 * half, 0.1, 80), floor)
    tint = _tint(generator, (1.0, 0.98, 0.93), 0.04)
    wall = _grey(generator, Pattern.CONCRETE, 0.66, 0.88, tint=tint)
    if generator.random() < 0.25:
        wall = _grey(generator, Pattern.TILES, 0.6, 0.85, scale=0.3, tint=tint, gloss=0.1)
    for side in (-1, 1):
        builder.box((side * (half + 0.1), 1.5, 8), (0.2, 3.0, 80), wall)
        builder.box((side * (half - 0.01), 0.06, 8), (0.04, 0.12, 80), _grey(generator, Pattern.PLAIN, 0.2, 0.5))
        door = Material(
            linear(_tint(generator, (0.45, 0.36, 0.28), 0.1)), float(generator.uniform(0.2, 0.5)), gloss=0.05
        )
        frame = _grey(generator, Pattern.PLAIN, 0.4, 0.85)
        for z in np.arange(-20, 40, generator.uniform(2.6, 5.0)):
            if generator.random() < 0.7:
                builder.box((side * (half - 0.0), 1.05, z), (0.04, 2.1, 1.1), frame)
                builder.box((side * (half - 0.01), 1.02, z), (0.06, 2.04, 0.94), door)
            elif generator.random() < 0.4:
                board = Material(
                    linear(_tint(generator, (0.6, 0.58, 0.5), 0.15)),
                    0.4,
                    Pattern.CAMOUFLAGE,
                    linear((0.85, 0.84, 0.8)),
                    0.5,
                )
                builder.box((side * half, 1.5, z), (0.05, 0.9, 1.3), board)
    builder.box((0, 3.05, 8), (2 * half, 0.1, 80), _grey(generator, Pattern.TILES, 0.75, 0.9, scale=0.6))
    end = float(generator.uniform(12, 28))
    builder.box((0, 1.5, end), (2 * half, 3, 0.2), _wall(generator) if generator.random() < 0.4 else wall)
    if generator.random() < 0.35:
        bin_ = _grey(generator, Pattern.PLAIN, 0.15, 0.6)
        builder.box((half - 0.25, 0.4, generator.uniform(1, 6)), (0.4, 0.8, 0.4), bin_)
    return half - 0.35


def _car_park(builder: SceneryBuilder, generator: np.random.Generator) -> float:
    """A parking deck: bays, pillars, cars, low ceiling."""
    lines = _grey(generator, Pattern.LINES, 0.38, 0.62, scale=2.5, second=(0.7, 0.69, 0.62), gloss=0.05)
    lane = _grey(generator, Pattern.CONCRETE, 0.36, 0.6, gloss=0.05)
    half = float(generator.uniform(2.0, 3.0))
    builder.box((0, -0.05, 8), (2 * half, 0.1, 80), lane)
    pillar = _grey(generator, Pattern.CONCRETE, 0.5, 0.8)
    stripe = Material(linear(_tint(generator, (0.75, 0.6, 0.2), 0.15)), 0.5)
    for side in (-1, 1):
        builder.box((side * (half + 2.6), -0.05, 8), (5.2, 0.1, 80), lines)
        builder.box((side * (half + 5.4), 1.5, 8), (0.3, 3.0, 80), _grey(generator, Pattern.CONCRETE, 0.45, 0.75))
        _parked_cars(builder, generator, side * (half + 2.6), np.pi / 2, 2.6)
        for z in np.arange(-20, 40, 7.5):
            builder.box((side * (half + 0.35), 1.5, z), (0.5, 3.0, 0.5), pillar)
            builder.box((side * (half + 0.35), 0.7, z), (0.52, 0.5, 0.52), stripe)
    builder.box((0, 3.1, 8), (4 * half + 12, 0.2, 80), _grey(generator, Pattern.CONCRETE, 0.4, 0.6))
    return half - 0.4


def _plaza(builder: SceneryBuilder, generator: np.random.Generator) -> float:
    """An open square with planters, benches, bollards and fronts far off."""
    builder.box((0, -0.05, 8), (70, 0.1, 80), _pavement(generator))
    half = float(generator.uniform(3.0, 4.5))
    if generator.random() < 0.5:
        builder.box((generator.uniform(-3, 3), -0.048, 8), (generator.uniform(0.3, 1.5), 0.1, 80), _pavement(generator))
    for side in (-1, 1):
        builder.box((side * generator.uniform(9, 20), 5, 8), (1, 10, 80), _wall(generator))
    builder.box((0, 5, generator.uniform(16, 34)), (60, 10, 1), _wall(generator))
    builder.box((0, 5, -26), (60, 10, 1), _wall(generator))
    leaf, stone, wood = (
        _plant(generator),
        _grey(generator, Pattern.CONCRETE, 0.45, 0.75),
        Material(linear((0.42, 0.3, 0.2)), 0.5, Pattern.SLATS, scale=0.1),
    )
    metal = _grey(generator, Pattern.PLAIN, 0.2, 0.6)
    for _ in range(int(generator.integers(6, 16))):
        side = generator.choice((-1, 1))
        x, z = side * generator.uniform(half, half + 5), generator.uniform(-18, 26)
        kind = generator.choice(4)
        if kind == 0:
            builder.box((x, 0.25, z), (1.6, 0.5, 1.6), stone)
            builder.blob((x, 0.85, z), (1.7, 1.2, 1.7), leaf, generator)
        elif kind == 1:
            builder.box((x, 0.42, z), (0.5, 0.08, 1.8), wood, float(generator.uniform(0, 3)))
            builder.box((x, 0.2, z), (0.4, 0.4, 0.1), metal)
        elif kind == 2:
            builder.pole((x, z), generator.choice((0.9, 4.0)), 0.08, metal)
        else:
            builder.pole((x, z), 2.8, 0.12, Material(linear((0.28, 0.23, 0.19)), 0.3))
            builder.blob((x, 3.9, z), (2.8, 2.6, 2.8), leaf, generator)
    return half - 0.5
