"""Whole pictures of a camera, small, for the moments in which somebody was seen.

A picture is encoded once and shared by everybody in it. What a sighting holds is bounded: its best moment, and what
its clip is made of; so a camera holds no more than the pictures of its longest sightings, some megabytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.types import FloatArray, Frame, Image, Moment, Still

__all__ = ["Reel", "StillRules", "Stills"]

_JPEG_QUALITY = 75
Polygon = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class StillRules:
    """What is kept of whole pictures.

    Attributes:
        longest_px: longer side of a picture.
        every_s: at most one picture in so many seconds of the stream.
        clip_s: longest clip; 0 for none.
    """

    longest_px: int = 640
    every_s: float = 0.25
    clip_s: float = 10.0


class Stills:
    """Takes one camera's pictures.

    Args:
        exclude: regions that do not count, polygons in fractions of the picture. They are blacked out, but for the
            boxes of those who are followed: of them crops are kept anyway.
    """

    def __init__(self, rules: StillRules, exclude: Sequence[Polygon] = ()) -> None:
        self.rules = rules
        self._exclude = [np.asarray(polygon, np.float64) for polygon in exclude]
        self._last_pts_s: float | None = None

    def take(self, frame: Frame, boxes: FloatArray) -> Still | None:
        """A frame's picture; None where the last one is too fresh. `boxes` ``float32[N, 4]``: of those followed."""
        if self._last_pts_s is not None and 0 <= frame.pts_s - self._last_pts_s < self.rules.every_s:
            return None
        self._last_pts_s = frame.pts_s
        scale = min(1.0, self.rules.longest_px / max(frame.width_px, frame.height_px))
        # Whole and even: as H.264 wants them.
        size = tuple(max(2, round(side * scale) & ~1) for side in (frame.width_px, frame.height_px))
        image = frame.image if scale == 1.0 else cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
        if self._exclude:
            image = self._masked(np.asarray(image), boxes * scale)
        ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        if not ok:
            raise ValueError(f"picture of shape {image.shape} could not be encoded as JPEG")
        return Still(bytes(data), frame.pts_s, frame.captured_at)

    def _masked(self, image: Image, boxes: FloatArray) -> Image:
        height, width = image.shape[:2]
        masked = image.copy()
        corners = [np.round(polygon * (width, height)).astype(np.int32) for polygon in self._exclude]
        cv2.fillPoly(masked, corners, (0, 0, 0))
        for x1, y1, x2, y2 in np.clip(boxes, 0, max(width, height)).astype(int).tolist():
            masked[y1:y2, x1:x2] = image[y1:y2, x1:x2]
        return masked


class Reel:
    """The moments of one sighting that are worth keeping.

    Attributes:
        best: the one of the highest quality.
    """

    def __init__(self, clip_s: float) -> None:
        self.best: Moment | None = None
        self._clip_s = clip_s
        self._recent: deque[Moment] = deque()
        self._around: list[Moment] = []

    def add(self, moment: Moment) -> None:
        self._recent.append(moment)
        while _span_s(self._recent) > self._clip_s:
            self._recent.popleft()
        if self.best is None or moment.quality > self.best.quality:
            self.best, self._around = moment, list(self._recent)
            return
        # What follows the best moment is taken on until that lies in the middle, or the clip is full.
        around = [*self._around, moment]
        while _span_s(around) > self._clip_s and self.best.still.pts_s - around[0].still.pts_s > self._clip_s / 2:
            del around[0]
        if _span_s(around) <= self._clip_s:
            self._around = around

    def moments(self) -> tuple[Moment, ...]:
        """What the clip is made of, in the order of time; empty where none is to be made."""
        return tuple(self._around) if self._clip_s else ()


def _span_s(moments: Sequence[Moment] | deque[Moment]) -> float:
    return moments[-1].still.pts_s - moments[0].still.pts_s
