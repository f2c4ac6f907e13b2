"""Persons in pictures: letterbox, one engine run per input shape, boxes back in the picture's pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.runtime import Engine, EngineDescription
from pipeline.types import Detections, FloatArray, Image

__all__ = ["Detector", "Letterbox"]

STRIDE_PX = 32
PADDING_GREY = 114


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture is laid into the detector's input: scaled by `scale`, then padded left and above."""

    width_px: int
    height_px: int
    scale: float
    left_px: int
    top_px: int

    @classmethod
    def fit(cls, width_px: int, height_px: int, longer_side_px: int, *, square: bool = False) -> Letterbox:
        """The smallest input, in steps of the stride, for a picture scaled to this longer side; or a square one."""
        scale = longer_side_px / max(width_px, height_px)
        inner_w, inner_h = max(1, round(width_px * scale)), max(1, round(height_px * scale))
        outer_w, outer_h = (
            longer_side_px if square else -(-side // STRIDE_PX) * STRIDE_PX for side in (inner_w, inner_h)
        )
        return cls(outer_w, outer_h, scale, (outer_w - inner_w) // 2, (outer_h - inner_h) // 2)

    def apply(self, image: Image) -> FloatArray:
        """``uint8[H, W, 3]`` BGR to ``float32[3, height_px, width_px]`` RGB, 0 to 1."""
        inner_w = max(1, round(image.shape[1] * self.scale))
        inner_h = max(1, round(image.shape[0] * self.scale))
        interpolation = cv2.INTER_AREA if self.scale < 0.5 else cv2.INTER_LINEAR
        canvas = np.full((self.height_px, self.width_px, 3), PADDING_GREY, np.uint8)
        resized = cv2.resize(image, (inner_w, inner_h), interpolation=interpolation)
        canvas[self.top_px : self.top_px + inner_h, self.left_px : self.left_px + inner_w] = resized
        return cv2.dnn.blobFromImage(canvas, 1 / 255.0, swapRB=True)[0]  # type: ignore[no-any-return]

    def back(self, boxes: FloatArray, width_px: int, height_px: int) -> FloatArray:
        """Boxes of the input, ``float32[N, 4]``, to pixels of the picture, clipped to it."""
        out = boxes.copy()
        out[:, 0::2] = np.clip((out[:, 0::2] - self.left_px) / self.scale, 0, width_px)
        out[:, 1::2] = np.clip((out[:, 1::2] - self.top_px) / self.scale, 0, height_px)
        return out


class Detector:
    """Finds persons with any engine that maps ``images`` ``float32[B, 3, H, W]`` to ``[B, N, 6]``.

    Args:
        engine: rows are ``x1 y1 x2 y2 score class`` in input pixels, padded with zero scores.
        confidence: smaller scores are dropped.
        longer_side_px: of the input; the other side follows the picture's shape (rectangular input).
        max_batch: pictures of one shape per engine run.
        square: one input shape for pictures of any shape, where the shapes are many (photos) rather than
            few (cameras): some engines compile anew for each.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        confidence: float = 0.4,
        longer_side_px: int = 640,
        max_batch: int = 16,
        square: bool = False,
    ):
        if not 0 < confidence < 1:
            raise ValueError(f"confidence: expected 0 < confidence < 1, got {confidence}")
        if longer_side_px % STRIDE_PX:
            raise ValueError(f"longer_side_px: expected a multiple of {STRIDE_PX}, got {longer_side_px}")
        self.confidence = confidence
        self.longer_side_px = longer_side_px
        self._engine = engine
        self._max_batch = max_batch
        self._square = square
        self._met: set[tuple[int, int]] = set()
        self._input = engine.inputs[0].name
        self._output = engine.outputs[0].name

    def describe(self) -> EngineDescription:
        return self._engine.describe()

    def warm_up(self, width_px: int = 768, height_px: int = 576) -> None:
        """Run once at the input shape of pictures of the given size, so that the first one is not slow."""
        box = self._fit(width_px, height_px)
        self._engine.warm_up({self._input: (1, 3, box.height_px, box.width_px)})
        self._met.add((box.height_px, box.width_px))

    def _fit(self, width_px: int, height_px: int) -> Letterbox:
        return Letterbox.fit(width_px, height_px, self.longer_side_px, square=self._square)

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """Persons of each ``uint8[H, W, 3]`` BGR picture, best first, in its own pixels."""
        results: list[Detections] = [Detections.empty()] * len(images)
        by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
        boxes = [self._fit(image.shape[1], image.shape[0]) for image in images]
        for index, box in enumerate(boxes):
            by_shape[box.height_px, box.width_px].append(index)
        for shape, indices in by_shape.items():
            if shape not in self._met:
                self.warm_up(images[indices[0]].shape[1], images[indices[0]].shape[0])
            for start in range(0, len(indices), self._max_batch):
                chunk = indices[start : start + self._max_batch]
                batch = np.stack([boxes[i].apply(images[i]) for i in chunk])
                rows = self._engine.run({self._input: batch})[self._output]
                for index, found in zip(chunk, rows, strict=True):
                    results[index] = self._decode(found, boxes[index], images[index])
        return results

    def _decode(self, rows: FloatArray, letterbox: Letterbox, image: Image) -> Detections:
        rows = rows[(rows[:, 4] >= self.confidence) & (rows[:, 5] == 0)]
        boxes = letterbox.back(rows[:, :4], image.shape[1], image.shape[0]).astype(np.float32)
        real = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
        boxes, scores = boxes[real], rows[real, 4].astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        return Detections(boxes[order], scores[order])
