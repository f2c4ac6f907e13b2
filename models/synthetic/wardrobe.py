"""What people in a street wear: mostly dark jackets, jeans, grey and navy, some of it the same as the next person's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from models.synthetic.materials import Inset, Material, Pattern, Strap, cloth_nir, linear, luminance, print_nir

__all__ = ["BAGS", "HAIR", "HEADWEAR", "LOWERS", "UPPERS", "Outfit", "draw_outfit"]

Upper = Literal["tshirt", "polo", "shirt", "jumper", "hoodie", "jacket", "puffer", "coat", "blazer"]
Lower = Literal["jeans", "trousers", "slim", "wide", "joggers", "shorts", "skirt", "dress"]
Headwear = Literal["none", "cap", "beanie", "hood"]
Hair = Literal["short", "buzz", "bald", "medium", "long", "ponytail", "bun"]
Bag = Literal["none", "backpack", "shoulder", "handbag", "tote"]

UPPERS: tuple[Upper, ...] = ("tshirt", "polo", "shirt", "jumper", "hoodie", "jacket", "puffer", "coat", "blazer")
LOWERS: tuple[Lower, ...] = ("jeans", "trousers", "slim", "wide", "joggers", "shorts", "skirt", "dress")
HEADWEAR: tuple[Headwear, ...] = ("none", "cap", "beanie", "hood")
HAIR: tuple[Hair, ...] = ("short", "buzz", "bald", "medium", "long", "ponytail", "bun")
BAGS: tuple[Bag, ...] = ("none", "backpack", "shoulder", "handbag", "tote")

_UNIFORMS = 12
"""Kinds of dress that many share."""
_UPPER_COLOURS = (  # share, sRGB 0 to 255
    (0.23, (28, 28, 31)),
    (0.11, (58, 59, 63)),
    (0.14, (33, 40, 62)),
    (0.09, (118, 119, 122)),
    (0.05, (165, 165, 166)),
    (0.09, (215, 213, 208)),
    (0.05, (84, 84, 62)),
    (0.05, (128, 106, 80)),
    (0.03, (184, 164, 134)),
    (0.04, (72, 98, 142)),
    (0.03, (142, 164, 192)),
    (0.03, (104, 34, 38)),
    (0.02, (158, 44, 44)),
    (0.02, (48, 84, 66)),
    (0.01, (196, 152, 158)),
    (0.01, (196, 158, 66)),
)
_LOWER_COLOURS = (
    (0.17, (44, 54, 78)),
    (0.14, (66, 84, 116)),
    (0.06, (112, 134, 164)),
    (0.28, (27, 27, 30)),
    (0.12, (60, 61, 65)),
    (0.06, (36, 42, 60)),
    (0.07, (146, 128, 102)),
    (0.03, (88, 86, 66)),
    (0.03, (74, 58, 46)),
    (0.03, (138, 139, 142)),
    (0.01, (206, 204, 198)),
)
_SHOE_COLOURS = (
    (0.42, (26, 26, 28)),
    (0.22, (204, 203, 200)),
    (0.14, (78, 78, 82)),
    (0.12, (86, 62, 44)),
    (0.1, (44, 52, 76)),
)
_BAG_COLOURS = (
    (0.5, (26, 26, 28)),
    (0.14, (66, 66, 70)),
    (0.12, (40, 48, 70)),
    (0.1, (92, 68, 50)),
    (0.08, (92, 90, 72)),
    (0.06, (138, 46, 46)),
)
_HAIR_COLOURS = (
    (0.42, (24, 21, 20)),
    (0.28, (46, 35, 29)),
    (0.14, (84, 64, 48)),
    (0.08, (142, 114, 80)),
    (0.08, (136, 134, 132)),
)


@dataclass(frozen=True, slots=True)
class Outfit:
    """All that is worn, with its materials.

    Attributes:
        sleeve: where sleeves end: 1 at the elbow, 2 at the wrist.
        hem: where the upper garment ends: 0 at the hips' joints, 1 at the shoulders, negative on the thighs.
        leg: where trousers end: 1 at the knee, 2 at the ankle; for skirts and dresses, where their hem is.
        bulk: thickness of the upper garment, metres.
        cuff: radius of a trouser leg at the ankle, relative to a usual one.
        vest: a reflective vest worn over the rest.
    """

    upper: Upper
    upper_cloth: Material
    sleeve: float
    hem: float
    bulk: float
    lower: Lower
    lower_cloth: Material
    leg: float
    cuff: float
    shoes: Material
    boots: bool
    hair: Hair
    hair_material: Material
    headwear: Headwear
    headwear_cloth: Material
    bag: Bag
    bag_material: Material
    scarf: Material | None
    vest: bool


def draw_outfit(generator: np.random.Generator, female: bool, world_seed: int) -> Outfit:
    """An outfit; one in five comes from a short list that the whole world shares (uniforms and the like)."""
    uniform = generator.random() < 0.2
    if not uniform:
        return _outfit(generator, female)
    kind = int(generator.integers(_UNIFORMS))
    shared = np.random.default_rng([world_seed, 7919, kind, int(female)])
    common = _outfit(shared, female)
    if kind == 0:
        common = replace(common, vest=True, upper_cloth=_vest(shared, common.upper_cloth))
    own = _outfit(generator, female)
    kept = {name: getattr(own, name) for name in ("hair", "hair_material", "bag", "bag_material", "shoes", "cuff")}
    if common.headwear == "none" and own.headwear != "hood":
        kept["headwear"], kept["headwear_cloth"] = own.headwear, own.headwear_cloth
    return _with_straps(replace(common, **kept))


def _outfit(generator: np.random.Generator, female: bool) -> Outfit:
    upper = UPPERS[generator.choice(len(UPPERS), p=(0.15, 0.05, 0.11, 0.13, 0.13, 0.22, 0.09, 0.07, 0.05))]
    lower_odds = (
        (0.37, 0.16, 0.18, 0.08, 0.04, 0.05, 0.07, 0.05) if female else (0.42, 0.22, 0.12, 0.06, 0.11, 0.07, 0, 0)
    )
    lower = LOWERS[generator.choice(len(LOWERS), p=lower_odds)]
    if lower == "shorts" and upper in ("puffer", "coat"):
        upper = "tshirt"
    upper_cloth = _upper_cloth(generator, upper)
    lower_cloth = _lower_cloth(generator, lower)
    if lower == "dress":
        upper, lower_cloth = "tshirt", upper_cloth
    if upper == "coat" and lower in ("skirt", "dress", "shorts"):
        upper = "jacket"
    sleeves = {"tshirt": generator.uniform(0.55, 0.95), "polo": generator.uniform(0.6, 0.9)}
    sleeve = sleeves.get(upper, 1.0 + generator.uniform(0.0, 0.3) if generator.random() < 0.06 else 1.93)
    hems = {"coat": 0.0, "blazer": -0.1, "shirt": -0.08, "puffer": 0.0, "jacket": -0.02, "tshirt": -0.02}
    bulks = {"tshirt": 0.012, "polo": 0.012, "shirt": 0.013, "jumper": 0.018, "hoodie": 0.022}
    bulks |= {"jacket": 0.027, "puffer": 0.046, "coat": 0.032, "blazer": 0.022}
    legs = {
        "shorts": generator.uniform(0.7, 1.05),
        "skirt": generator.uniform(0.55, 1.5),
        "dress": generator.uniform(0.6, 1.6),
    }
    cuffs = {"jeans": 1.0, "trousers": 1.15, "slim": 0.72, "wide": 1.65, "joggers": 0.95, "shorts": 1.5}
    hair_odds = (0.12, 0.01, 0.0, 0.17, 0.33, 0.24, 0.13) if female else (0.6, 0.18, 0.07, 0.11, 0.02, 0.01, 0.01)
    hair = HAIR[generator.choice(len(HAIR), p=hair_odds)]
    headwear = HEADWEAR[generator.choice(len(HEADWEAR), p=(0.8, 0.1, 0.06, 0.04))]
    if headwear == "hood" and upper not in ("hoodie", "jacket", "puffer"):
        headwear = "none"
    bag = BAGS[
        generator.choice(len(BAGS), p=(0.56, 0.19, 0.12, 0.07, 0.06) if female else (0.66, 0.22, 0.07, 0.02, 0.03))
    ]
    outfit = Outfit(
        upper=upper,
        upper_cloth=upper_cloth,
        sleeve=float(sleeve),
        hem=hems.get(upper, -0.02) - float(generator.uniform(0.02, 0.13)),
        bulk=bulks[upper] * float(generator.uniform(0.85, 1.25)),
        lower=lower,
        lower_cloth=lower_cloth,
        leg=float(legs.get(lower, generator.uniform(1.93, 2.05))),
        cuff=cuffs.get(lower, 1.0) * float(generator.uniform(0.88, 1.15)),
        shoes=_shoes(generator),
        boots=bool(generator.random() < (0.22 if female else 0.1)),
        hair=hair,
        hair_material=_hair(generator),
        headwear=headwear,
        headwear_cloth=upper_cloth if headwear == "hood" else _plain(generator, _UPPER_COLOURS, folds=0.0),
        bag=bag,
        bag_material=_plain(generator, _BAG_COLOURS, gloss=0.06, folds=0.001),
        scarf=_plain(generator, _UPPER_COLOURS, folds=0.004)
        if upper in ("jacket", "coat", "puffer") and generator.random() < 0.14
        else None,
        vest=False,
    )
    return _with_straps(outfit)


def _with_straps(outfit: Outfit) -> Outfit:
    """Straps lie on the trunk where its garment is drawn, so they are a part of that garment's material."""
    kinds = {"backpack": Strap.PAIR, "shoulder": Strap.LEFT}
    kind = kinds.get(outfit.bag, Strap.NONE)
    bag = outfit.bag_material
    if kind is Strap.LEFT and bag.phase[0] < 0.5:
        kind = Strap.RIGHT
    return replace(
        outfit,
        upper_cloth=replace(outfit.upper_cloth, strap=kind, strap_colour=bag.colour, strap_nir=bag.nir),
    )


def _pick(
    generator: np.random.Generator, colours: tuple[tuple[float, tuple[int, int, int]], ...]
) -> tuple[float, float, float]:
    """A colour of a list by its share, a little off: washed out, in another dye lot, of another make."""
    shares = np.array([share for share, _ in colours])
    srgb = np.array(colours[generator.choice(len(colours), p=shares / shares.sum())][1], float) / 255
    srgb = srgb * generator.uniform(0.85, 1.2) + generator.normal(0, 0.012, 3)
    return linear(np.clip(srgb, 0.05, 0.86))


def _plain(
    generator: np.random.Generator,
    colours: tuple[tuple[float, tuple[int, int, int]], ...],
    gloss: float = 0.02,
    folds: float = 0.003,
) -> Material:
    colour = _pick(generator, colours)
    nir = cloth_nir(generator, colour)
    return Material(colour, nir, gloss=gloss, folds=folds, phase=(float(generator.random()), float(generator.random())))


def _upper_cloth(generator: np.random.Generator, upper: Upper) -> Material:
    cloth = _plain(generator, _UPPER_COLOURS, gloss=0.05 if upper == "puffer" else 0.015)
    folds = {"puffer": 0.002, "coat": 0.0025, "shirt": 0.0022, "blazer": 0.0016}.get(upper, 0.003)
    plain, woven, printed = _PATTERNS[upper]
    kinds = [Pattern.PLAIN, *woven, *printed]
    odds = np.array([plain] + [(1 - plain) / max(1, len(kinds) - 1)] * (len(kinds) - 1))
    pattern = Pattern.QUILTED if upper == "puffer" else kinds[generator.choice(len(kinds), p=odds / odds.sum())]
    second = _pick(generator, _UPPER_COLOURS)
    if pattern in printed and abs(luminance(second) - luminance(cloth.colour)) < 0.08:
        second = linear((0.82, 0.81, 0.78)) if luminance(cloth.colour) < 0.25 else linear((0.13, 0.13, 0.15))
    scale = float(np.exp(generator.uniform(np.log(0.02), np.log(0.09))))
    inset = Inset.NONE
    if upper in ("jacket", "coat", "blazer", "puffer", "hoodie"):
        fronts = (0.3, 0.3, 0.3, 0.1) if upper != "blazer" else (0.0, 0.55, 0.0, 0.45)
        inset = list(Inset)[generator.choice(4, p=fronts)]
    elif upper in ("shirt", "polo"):
        inset = Inset.ZIP
    inner = _plain(generator, _UPPER_COLOURS)
    narrow = inset is Inset.ZIP
    dark = linear(np.sqrt(np.array(cloth.colour)) * 0.75)
    return replace(
        cloth,
        folds=folds,
        pattern=pattern,
        second=second,
        nir_second=print_nir(generator, cloth.nir, cloth.colour, second),
        scale=scale,
        inset=inset,
        inset_width=0.006 if narrow else float(generator.uniform(0.035, 0.1)),
        inset_colour=dark if narrow else inner.colour,
        inset_nir=cloth.nir * 0.85 if narrow else inner.nir,
    )


_PATTERNS: dict[Upper, tuple[float, tuple[Pattern, ...], tuple[Pattern, ...]]] = {
    "tshirt": (
        0.45,
        (Pattern.STRIPES, Pattern.MELANGE),
        (Pattern.CHEST_PRINT, Pattern.CHEST_PRINT, Pattern.BACK_PRINT),
    ),
    "polo": (0.65, (Pattern.STRIPES, Pattern.YOKE), ()),
    "shirt": (0.5, (Pattern.CHECKS, Pattern.CHECKS, Pattern.PINSTRIPES), ()),
    "jumper": (0.55, (Pattern.STRIPES, Pattern.MELANGE, Pattern.YOKE), (Pattern.CHEST_PRINT,)),
    "hoodie": (0.5, (Pattern.MELANGE,), (Pattern.CHEST_PRINT, Pattern.BACK_PRINT)),
    "jacket": (0.72, (Pattern.YOKE, Pattern.MELANGE, Pattern.CAMOUFLAGE), (Pattern.BACK_PRINT,)),
    "puffer": (1.0, (), ()),
    "coat": (0.75, (Pattern.MELANGE, Pattern.CHECKS), ()),
    "blazer": (0.75, (Pattern.MELANGE, Pattern.CHECKS), ()),
}


def _lower_cloth(generator: np.random.Generator, lower: Lower) -> Material:
    cloth = _plain(generator, _LOWER_COLOURS, folds=0.003)
    r, _, b = cloth.colour
    pattern, second = Pattern.PLAIN, cloth.colour
    if lower in ("jeans", "slim", "shorts") and b > 1.25 * r:
        pattern, second = Pattern.DENIM, linear(np.clip(np.array(cloth.colour) ** (1 / 2.2) * 1.18 + 0.04, 0, 0.9))
    elif lower == "joggers" and generator.random() < 0.35:
        pattern, second = Pattern.SIDE_STRIPE, linear((0.85, 0.85, 0.84))
    elif lower in ("skirt", "trousers") and generator.random() < 0.15:
        pattern, second = Pattern.CHECKS, _pick(generator, _UPPER_COLOURS)
    nir_second = print_nir(generator, cloth.nir, cloth.colour, second)
    scale = float(generator.uniform(0.03, 0.09))
    return replace(cloth, pattern=pattern, second=second, nir_second=nir_second, scale=scale)


def _shoes(generator: np.random.Generator) -> Material:
    shoes = _plain(generator, _SHOE_COLOURS, gloss=0.05, folds=0.0)
    pale = generator.random() < 0.45
    sole = linear((0.8, 0.79, 0.76)) if pale else linear((0.12, 0.12, 0.12))
    return replace(shoes, pattern=Pattern.SOLE, second=sole, nir_second=0.6 if pale else 0.12)


def _hair(generator: np.random.Generator) -> Material:
    colour = _pick(generator, _HAIR_COLOURS)
    nir = float(0.1 + 0.6 * generator.beta(1.2, 2.2))
    return Material(colour, nir, Pattern.HAIR, gloss=0.06, folds=0.003, phase=(float(generator.random()), 0.0))


def _vest(generator: np.random.Generator, below: Material) -> Material:
    """A warning vest: bright cloth with bands that throw an illuminator's light straight back."""
    colour = linear((0.72, 0.82, 0.2)) if generator.random() < 0.6 else linear((0.9, 0.42, 0.16))
    return replace(
        below,
        pattern=Pattern.VEST,
        second=colour,
        nir_second=float(generator.uniform(0.5, 0.7)),
        inset=Inset.NONE,
    )
