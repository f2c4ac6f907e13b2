"""A person by number: the same seed and number give the same person, on any machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.synthetic.body import BodyShape
from models.synthetic.materials import Material, Pattern, linear
from models.synthetic.walk import Gait
from models.synthetic.wardrobe import Outfit, draw_outfit

__all__ = ["Identity", "draw_identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything that stays with a person from camera to camera.

    Attributes:
        number: of the person within the world.
        skin: `second` is the colour of brows and beard, `scale` how much beard there is (0 to 1).
        speed: walking pace relative to what the gait's cadence gives.
    """

    number: int
    female: bool
    shape: BodyShape
    skin: Material
    outfit: Outfit
    gait: Gait
    speed: float


def draw_identity(world_seed: int, number: int) -> Identity:
    """Person `number` of world `world_seed`."""
    generator = np.random.default_rng([world_seed, 1, number])
    female = bool(generator.random() < 0.48)
    shape = _shape(generator, female)
    outfit = draw_outfit(generator, female, world_seed)
    skin = _skin(generator, shape, female, outfit.hair_material)
    return Identity(number, female, shape, skin, outfit, _gait(generator, female), float(generator.uniform(0.85, 1.15)))


def _shape(generator: np.random.Generator, female: bool) -> BodyShape:
    mean_m, spread_m = (1.64, 0.065) if female else (1.76, 0.07)
    child = generator.random() < 0.04
    stature = generator.uniform(1.3, 1.55) if child else np.clip(generator.normal(mean_m, spread_m), 1.48, 1.98)
    african, asian, caucasian = generator.dirichlet((0.45, 0.7, 0.8))
    return BodyShape(
        gender=float(np.clip(generator.normal(0.1 if female else 0.9, 0.08), 0, 1)),
        age=float(generator.uniform(0.15, 0.3) if child else np.clip(generator.normal(0.58, 0.13), 0.42, 0.92)),
        muscle=float(np.clip(generator.normal(0.5, 0.16), 0.1, 0.95)),
        weight=float(np.clip(generator.normal(0.54, 0.19), 0.1, 1.0)),
        height=float(np.clip(0.5 + (stature - mean_m) * 2.2, 0.1, 0.9)),
        proportions=float(np.clip(generator.normal(0.55, 0.2), 0, 1)),
        ancestry=(float(african), float(asian), float(caucasian)),
        stature_m=float(stature),
    )


def _skin(generator: np.random.Generator, shape: BodyShape, female: bool, hair: Material) -> Material:
    """Skin reflects about the same near 850 nm whatever its tone."""
    african, asian, caucasian = shape.ancestry
    tones = np.array([(92, 62, 48), (202, 162, 132), (216, 174, 150)], float) / 255
    srgb = african * tones[0] + asian * tones[1] + caucasian * tones[2]
    srgb = srgb * generator.uniform(0.88, 1.06) + generator.normal(0, 0.008, 3)
    beard = 0.0 if female else float(generator.choice((0.0, 0.35, 1.0), p=(0.55, 0.25, 0.2)))
    return Material(
        linear(np.clip(srgb, 0, 0.95)),
        float(generator.uniform(0.5, 0.58)),
        Pattern.FACE,
        second=hair.colour,
        nir_second=hair.nir,
        scale=beard,
        gloss=0.05,
    )


def _gait(generator: np.random.Generator, female: bool) -> Gait:
    def about(mean: float, spread: float, low: float, high: float) -> float:
        return float(np.clip(generator.normal(mean, spread), low, high))

    return Gait(
        stride=about(0.8, 0.1, 0.52, 1.05),
        cadence_hz=about(0.95, 0.08, 0.72, 1.2),
        lean_deg=about(2.5, 2.2, -2, 9),
        arm_swing_deg=about(17, 6, 3, 34),
        elbow_deg=about(14, 6, 4, 35),
        abduction_deg=about(7 if female else 9, 2.5, 3, 16),
        toe_out_deg=about(6, 4, -4, 16),
        sway_deg=about(3.2 if female else 1.8, 1.0, 0.3, 6),
        head_deg=about(4, 5, -4, 20),
        slouch_deg=about(5, 4, 0, 16),
    )
