"""Motion gating: a picture in which nothing moved since the last analysed one need not be analysed."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.types import FloatArray, Frame, Image

__all__ = ["MotionGate"]


class MotionGate:
    """Judges one camera's frames by the share of blocks that changed since the last admitted frame.

    Args:
        min_changed: share of the picture that must change.
        threshold: change of a block's mean grey value (0 to 255) that counts, above the frame's own
            median change, so that a lamp or an automatic exposure does not count as motion.
        max_idle_s: admit a frame after so long anyway; a person standing still must be found.
    """

    WIDTH_PX, HEIGHT_PX = 96, 72

    def __init__(self, *, min_changed: float = 0.001, threshold: float = 10.0, max_idle_s: float = 2.0):
        self._min_changed = min_changed
        self._threshold = threshold
        self._max_idle_s = max_idle_s
        self._reference: FloatArray | None = None
        self._admitted_pts_s = -np.inf

    def admit(self, frame: Frame) -> bool:
        """Whether to analyse this frame; an admitted frame becomes the reference."""
        small = self._shrink(frame.image)
        if self._reference is not None and 0 <= frame.pts_s - self._admitted_pts_s < self._max_idle_s:
            change = np.abs(small - self._reference)
            moved = change - np.median(change) > self._threshold
            if moved.mean() < self._min_changed:
                return False
        self._reference, self._admitted_pts_s = small, frame.pts_s
        return True

    def _shrink(self, image: Image) -> FloatArray:
        small = cv2.resize(image, (self.WIDTH_PX, self.HEIGHT_PX), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)
