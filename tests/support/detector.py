"""Real weights and pictures for the tests of the detector."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def weights_cache() -> Path:
    """The user's own cache: what the demo has fetched is not fetched again for the tests."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tapetum"


def photograph(name: str) -> Path:
    """A photograph that Ultralytics ships: ``bus.jpg`` (four persons) or ``zidane.jpg`` (two)."""
    return Path(str(resources.files("ultralytics"))) / "assets" / name


def letterboxed(name: str, height: int, width: int) -> Array:
    """A shipped photograph as ``float32[1, 3, H, W]``, RGB, 0 to 1, grey around it."""
    image = cv2.imread(str(photograph(name)))
    assert image is not None
    scale = min(height / image.shape[0], width / image.shape[1])
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    canvas = np.full((height, width, 3), 114, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image, size)
    return np.ascontiguousarray(canvas[:, :, ::-1].transpose(2, 0, 1)[None] / 255, dtype=np.float32)


def greedy_suppression(boxes: Array, scores: Array, iou: float, score: float) -> list[int]:
    """The textbook's loop: indices of the kept boxes by falling score."""
    order = [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] > score]
    kept: list[int] = []
    for i in order:
        if all(_iou(boxes[i], boxes[j]) <= iou for j in kept):
            kept.append(i)
    return kept


def _iou(a: Array, b: Array) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return float(shared / (both - shared))
