"""How warm people's surfaces are, which is what a thermal camera tells them by.

No numbers of materials: what is worn thickly is cold outside, what lies on the skin is warm, and what is carried has
the temperature of the air. Plausible guesses, not fitted to measurements, as reflectance in the near infrared is.
"""

from __future__ import annotations

import math
from dataclasses import replace

from models.synthetic.identity import Identity
from models.synthetic.materials import Material

__all__ = ["warmed"]

_SKIN, _HAIR, _HEADWEAR, _SCARF, _SHOES, _BAG = 0.95, 0.5, 0.4, 0.35, 0.25, 0.06
_INSULATION_M = 0.03
"""Thickness of a garment, air below it included, over which the warmth falls by e."""
_LEGS = 0.5
"""Of trousers of the usual width; those that hang away from the leg are colder."""
_SKIRT = 0.42


def warmed(identity: Identity) -> tuple[Material, ...]:
    """Skin, upper, lower, shoes, hair, headwear and bag of a person with their warmth, and a scarf if one is worn."""
    outfit = identity.outfit
    upper = math.exp(-outfit.bulk / _INSULATION_M)
    legs = {"skirt": _SKIRT, "dress": upper}.get(outfit.lower, _LEGS / outfit.cuff**0.5)
    worn = [
        (identity.skin, _SKIN),
        (outfit.upper_cloth, upper),
        (outfit.lower_cloth, min(legs, 0.8)),
        (outfit.shoes, _SHOES),
        (outfit.hair_material, _HAIR),
        (outfit.headwear_cloth, upper if outfit.headwear == "hood" else _HEADWEAR),
        (outfit.bag_material, _BAG),
    ]
    if outfit.scarf is not None:
        worn.append((outfit.scarf, _SCARF))
    return tuple(replace(material, warmth=warmth) for material, warmth in worn)
