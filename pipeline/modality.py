"""Day or night: whether a picture was taken in visible or in infrared light, judged by its colours.

A camera at night switches its infrared filter away and sends grey pictures, in which only the overlays (logo,
time stamp) and the coder's noise have colour. So a picture is infrared when nearly all of its blocks have the
same hue, strong colour in a few blocks notwithstanding. A uniform tint, as some sensors give in infrared, counts
as no colour. A grey scene by day (an empty car park under clouds) has little colour too, but seldom none at all;
what is left of that doubt is what the hysteresis and ``CameraConfig.modality`` are for.
"""

from __future__ import annotations

import cv2
import numpy as np

from models.types import Modality
from pipeline.types import FloatArray, Image

__all__ = ["ModalityJudge", "chroma_spread", "photo_modality"]

GRID_WIDTH, GRID_HEIGHT = 32, 24  # blocks; averaging 12x12 dots of each takes noise away
DARK, BRIGHT = 16, 240  # levels beyond which there is no colour to see
PERCENTILE = 90.0  # the overlays may cover the rest
INFRARED_BELOW, VISIBLE_ABOVE = 2.0, 3.0  # levels of chroma, see tests/pipeline/test_modality.py
PHOTO_BELOW = 2.4
FIT_PART = 0.85
MAX_TINT = 0.12  # of the light; stronger, it is coloured light


def chroma_spread(image: Image) -> float:
    """How far the colours of most of a picture's blocks are from its own common tint, in levels (0 is grey).

    Args:
        image: ``uint8[H, W, 3]`` BGR.
    """
    dots = cv2.resize(image, (12 * GRID_WIDTH, 12 * GRID_HEIGHT), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(dots, (GRID_WIDTH, GRID_HEIGHT), interpolation=cv2.INTER_AREA)
    blue, green, red = (channel.ravel().astype(np.float32) for channel in cv2.split(small))
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    seen = (luma >= DARK) & (luma <= BRIGHT)
    if np.count_nonzero(seen) < luma.size // 50:  # black or white all over
        return 0.0
    luma = luma[seen]
    off_blue = _off_tint(luma, 0.564 * (blue[seen] - luma))
    off_red = _off_tint(luma, 0.713 * (red[seen] - luma))
    rank = int(PERCENTILE / 100 * (luma.size - 1))
    return float(np.partition(np.maximum(off_blue, off_red), rank)[rank])


def _off_tint(luma: FloatArray, chroma: FloatArray) -> FloatArray:
    """Distance ``float32[N]`` of each block's chroma from the tint: a constant and a share of the light."""
    away = np.abs(chroma - np.median(chroma))
    usual = away <= np.partition(away, rank := int(FIT_PART * (away.size - 1)))[rank]  # overlays do not fit a tint
    light, colour = luma[usual], chroma[usual]
    light = light - light.mean()
    variance = float(light @ light)
    slope = float(light @ colour) / variance if variance > luma.size else 0.0
    rest = chroma - np.float32(min(max(slope, -MAX_TINT), MAX_TINT)) * luma
    distance: FloatArray = np.abs(rest - np.median(rest))
    return distance


def photo_modality(image: Image) -> Modality:
    """The modality of a single picture ``uint8[H, W, 3]`` BGR, from its colours alone."""
    return Modality.INFRARED if chroma_spread(image) < PHOTO_BELOW else Modality.VISIBLE


class ModalityJudge:
    """The modality of one camera's pictures, one after another.

    The first picture decides at once; from then on a change needs `min_frames` pictures in a row, over at least
    `min_s`, that are clearly of the other kind, so that neither flicker nor a lamp splits a track.
    """

    def __init__(self, min_frames: int = 3, min_s: float = 1.0) -> None:
        self._min_frames, self._min_s = min_frames, min_s
        self._modality: Modality | None = None
        self._against = 0
        self._since_s = 0.0

    def judge(self, image: Image, pts_s: float) -> Modality:
        """Judge the next picture.

        Args:
            image: ``uint8[H, W, 3]`` BGR.
            pts_s: its time, seconds; a fall (a new connection) is no error.
        """
        spread = chroma_spread(image)
        if self._modality is None:
            self._modality = Modality.INFRARED if spread < PHOTO_BELOW else Modality.VISIBLE
            return self._modality
        other = spread > VISIBLE_ABOVE if self._modality is Modality.INFRARED else spread < INFRARED_BELOW
        if not other:
            self._against = 0
            return self._modality
        if self._against == 0 or pts_s < self._since_s:
            self._since_s = pts_s
        self._against += 1
        if self._against >= self._min_frames and pts_s - self._since_s >= self._min_s:
            self._modality = self._modality.other
            self._against = 0
        return self._modality
