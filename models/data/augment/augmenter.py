"""From decoded frames to normalised, augmented network input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.data.augment.colour import (
    add_noise,
    apply_curve,
    blur,
    channel_weights,
    draw_curve,
    mix_channels,
)
from models.data.augment.erasing import draw_box, erase
from models.data.augment.geometry import draw_affine, warp
from models.data.augment.options import AugmentOptions
from models.data.augment.trivial import trivial_augment
from models.preprocessing import Image, Preprocessing
from models.types import Modality

__all__ = ["Augmented", "Augmenter"]

FloatArray = npt.NDArray[np.float32]
_LIGHT = AugmentOptions(flip=0.0, crop_px=0, gamma=0.2)  # what a counterpart's gamma may change
_LIGHT_BLUR = 0.25


@dataclass(frozen=True, slots=True)
class Augmented:
    """Attributes:
    pictures: ``float32[N, 3, H, W]``, normalised.
    counterpart: the same frames as the other stream is shown them, of the same shape; None unless asked for.
    """

    pictures: FloatArray
    counterpart: FloatArray | None


class Augmenter:
    """Augments all frames of a clip alike. Holds no state: the generator that is passed in decides everything.

    Order: resize, geometry, TrivialAugment, curves, then (the counterpart branches off here) channels, blur, noise,
    normalise, erase. A counterpart therefore lies pixel on pixel with its pictures and has the same hole.
    """

    def __init__(self, options: AugmentOptions, preprocessing: Preprocessing) -> None:
        self.options = options
        self.preprocessing = preprocessing

    def __call__(
        self,
        frames: Sequence[Image],
        modality: Modality,
        generator: np.random.Generator,
        *,
        counterpart: bool = False,
    ) -> Augmented:
        """Augment N frames ``uint8[H, W, 3]`` BGR of one clip, see `write`."""
        shape = (len(frames), 3, self.preprocessing.height_px, self.preprocessing.width_px)
        pictures = np.empty(shape, np.float32)
        other = np.empty(shape, np.float32) if counterpart else None
        self.write(frames, modality, generator, pictures, other)
        return Augmented(pictures, other)

    def write(
        self,
        frames: Sequence[Image],
        modality: Modality,
        generator: np.random.Generator,
        pictures: FloatArray,
        counterpart: FloatArray | None = None,
    ) -> None:
        """Augment N frames of one clip into arrays ``float32[N, 3, H, W]``, such as rows of a batch.

        Args:
            counterpart: takes what stands in for the light that is missing in CMFT: of visible frames one of R, G,
                B and grey, of infrared frames themselves, with a light gamma and blur. Whether it is asked for
                changes nothing in `pictures`.

        Raises:
            ValueError: no frames, or arrays of another shape.
        """
        if not frames:
            raise ValueError("Augmenter: expected at least one frame, got none")
        options, prepare = self.options, self.preprocessing
        height, width = prepare.height_px, prepare.width_px
        moved = warp([prepare.resized(frame) for frame in frames], draw_affine(options, height, width, generator))
        if generator.random() < options.trivial:
            moved = trivial_augment(moved, modality, generator)
        values = draw_curve(options, modality, float(np.mean(cv2.mean(moved[0])[:3])), generator)
        lit = moved if values is None else apply_curve(moved, values)
        prepare.batch(self._of_its_light(lit, modality, generator), pictures)
        box = draw_box(options, height, width, generator)
        if box is not None:
            erase(pictures, box, options.erasing_fill, generator)
        if counterpart is not None:
            prepare.batch(_counterpart(lit, modality, generator.spawn(1)[0]), counterpart)
            if box is not None:
                erase(counterpart, box, options.erasing_fill, generator)

    def _of_its_light(
        self, frames: Sequence[Image], modality: Modality, generator: np.random.Generator
    ) -> Sequence[Image]:
        """What is done to one kind of light only, and noise."""
        options = self.options
        if modality is Modality.VISIBLE and options.channels != "none":
            if generator.random() < options.channel_probability:
                frames = mix_channels(frames, channel_weights(options.channels, generator))
        elif modality is Modality.INFRARED and generator.random() < options.infrared_blur:
            frames = blur(frames, generator)
        if options.noise:
            frames = add_noise(frames, generator.uniform(0.0, options.noise), modality, generator)
        return frames


def _counterpart(frames: Sequence[Image], modality: Modality, generator: np.random.Generator) -> Sequence[Image]:
    if modality is Modality.VISIBLE:
        frames = mix_channels(frames, channel_weights("exchange", generator))
    values = draw_curve(_LIGHT, Modality.VISIBLE, 0.0, generator)
    if values is not None:
        frames = apply_curve(frames, values)
    return blur(frames, generator) if generator.random() < _LIGHT_BLUR else frames
