"""What augmentation does, in plain values: the table ``[augmentation]`` of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["CHANNEL_MODES", "ERASING_FILLS", "AugmentOptions"]

CHANNEL_MODES = ("none", "exchange", "grey", "mix")
ERASING_FILLS = ("mean", "noise")
_PROBABILITIES = ("flip", "trivial", "channel_probability", "infrared_blur", "erasing")
_UPPER = {
    "crop_px": 256.0,
    "scale": 0.9,
    "shear": 1.0,
    "channel_gain": 3.0,
    "gamma": 3.0,
    "contrast": 1.0,
    "brightness": 1.0,
    "infrared_jitter": 1.0,
    "noise": 128.0,
}


@dataclass(frozen=True, slots=True)
class AugmentOptions:
    """Everything is drawn once for a clip, so that its frames still belong together; 0 turns a part off.

    The defaults are AGW's: pad, crop, flip.

    Attributes:
        flip: probability of a mirror image.
        crop_px: pad with black by so many pixels and crop at random, in pixels of the network's input.
        scale: zoom by a factor from 1 - scale to 1 + scale.
        shear: slant by up to so many pixels across for each pixel down.
        trivial: probability of TrivialAugment's one operation of one strength (Mueller and Hutter, ICCV 2021), of
            the operations that leave a person recognisable, see `models.data.augment.trivial`.
        channels: what visible pictures lose of their colour. ``exchange``: one of R, G, B and grey, all alike
            (CAJ, ICCV 2021); ``grey``: luminance; ``mix``: half the time one channel, else a mixture with weights
            from a flat Dirichlet distribution.
        channel_probability: how often they lose it; 0.8 with ``exchange`` makes the five outcomes of CAJ equal.
        channel_gain: multiply each channel of visible pictures by exp(-gain) to exp(gain).
        gamma: raise to a power from exp(-gamma) to exp(gamma), of values 0..1.
        contrast: scale the distances from the mean by 1 - contrast to 1 + contrast.
        brightness: add up to so much of the full range, either way.
        infrared_jitter: contrast and brightness once more for infrared pictures, brightness by half as much.
        infrared_blur: probability of a Gaussian blur of infrared pictures, sigma 0.1 to 2 pixels.
        noise: standard deviation of Gaussian noise, 0 to so many of 255; fresh in every frame, as a sensor's is.
        erasing: probability that a rectangle is erased (Zhong et al., AAAI 2020).
        erasing_fill: ``mean`` for the mean of each channel, zero once normalised (CAJ's channel random erasing,
            whose code writes the means of 0..1 onto normalised values); ``noise`` for normal noise.
        erasing_area: share of the picture, from and to.
        erasing_aspect: height by width, from and to, uniform in its logarithm.
    """

    flip: float = 0.5
    crop_px: int = 10
    scale: float = 0.0
    shear: float = 0.0
    trivial: float = 0.0
    channels: str = "none"
    channel_probability: float = 0.8
    channel_gain: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    infrared_jitter: float = 0.0
    infrared_blur: float = 0.0
    noise: float = 0.0
    erasing: float = 0.0
    erasing_fill: str = "mean"
    erasing_area: tuple[float, float] = (0.02, 0.4)
    erasing_aspect: tuple[float, float] = (0.3, 10 / 3)

    def __post_init__(self) -> None:
        for name, known in (("channels", CHANNEL_MODES), ("erasing_fill", ERASING_FILLS)):
            if getattr(self, name) not in known:
                raise ValueError(f"augmentation.{name}: expected {', '.join(known)}, got {getattr(self, name)!r}")
        for name, upper in (*((name, 1.0) for name in _PROBABILITIES), *_UPPER.items()):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= upper:
                raise ValueError(f"augmentation.{name}: expected 0 to {upper:g}, got {value!r}")
        if not isinstance(self.crop_px, int):
            raise ValueError(f"augmentation.crop_px: expected whole pixels, got {self.crop_px!r}")
        for name, upper in (("erasing_area", 1.0), ("erasing_aspect", 100.0)):
            pair = tuple(getattr(self, name))
            if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= upper:
                raise ValueError(f"augmentation.{name}: expected two ascending values of 0 to {upper:g}, got {pair}")
            object.__setattr__(self, name, pair)  # TOML has lists, no tuples

    @classmethod
    def off(cls) -> AugmentOptions:
        """Nothing at all."""
        return cls(flip=0.0, crop_px=0)

    def to_dict(self) -> dict[str, float | str | list[float]]:
        """Plain values, as a recipe writes them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
