"""How much a crop is worth for recognising the person in it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.types import CropQuality, FloatArray, Image

__all__ = ["covered_by_others", "judge_crop"]

FULL_HEIGHT_PX = 160.0
"""A person this tall (pixels) or taller gets full marks for size."""
SHARP_LAPLACIAN_STD = 14.0
"""Standard deviation of the Laplacian at 128x64 that counts as half sharp."""
EDGE_PX = 2.0


def covered_by_others(boxes: FloatArray) -> npt.NDArray[np.float64]:
    """Share of each box that nearer persons hide, ``float64[N]``.

    The nearer of two persons on a floor is the one whose box ends lower in the picture. The largest single
    overlap counts.
    """
    if len(boxes) < 2:
        return np.zeros(len(boxes))
    x1, y1, x2, y2 = boxes.astype(np.float64).T
    width = np.clip(np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1), 0, None)
    height = np.clip(np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1), 0, None)
    share = width * height / np.maximum((x2 - x1) * (y2 - y1), 1e-9)[:, None]
    share[y2[None, :] <= y2[:, None]] = 0.0  # row hidden by column only if the column ends lower
    return share.max(axis=1)  # type: ignore[no-any-return]


def judge_crop(
    image: Image, box: FloatArray, score: float, covered: float, frame_width_px: int, frame_height_px: int
) -> CropQuality:
    """Marks of one crop, ``uint8[H, W, 3]``, cut at `box` from a frame of the given size."""
    height = float(box[3] - box[1])
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (64, 128), interpolation=cv2.INTER_AREA)
    detail = float(cv2.Laplacian(small, cv2.CV_32F).std())
    at_edge = (
        box[0] <= EDGE_PX
        or box[1] <= EDGE_PX
        or box[2] >= frame_width_px - EDGE_PX
        or box[3] >= frame_height_px - EDGE_PX
    )
    # A standing person is two to four times as tall as wide; a squat box at the edge is half a person.
    aspect = height / max(float(box[2] - box[0]), 1.0)
    completeness = 1.0 if not at_edge else min(1.0, max(0.2, aspect / 2.5)) * 0.8
    return CropQuality(
        size=min(1.0, height / FULL_HEIGHT_PX),
        sharpness=detail / (detail + SHARP_LAPLACIAN_STD),
        confidence=float(min(max(score, 0.0), 1.0)),
        visibility=float(max(0.0, 1.0 - covered)),
        completeness=completeness,
    )
