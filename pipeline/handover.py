"""What a worker hands over to the service: one tracklet with its vector and encoded crops."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import cv2

from pipeline.types import Embedding, FloatArray, Sighting, Tracklet

__all__ = ["CropPicture", "HandedOver", "TrackletSink", "hand_over"]


@dataclass(frozen=True, slots=True)
class CropPicture:
    """An encoded crop: JPEG bytes, where and when it was seen, and its quality."""

    jpeg: bytes = field(repr=False)
    box: tuple[float, float, float, float]
    quality: float
    pts_s: float
    captured_at: datetime


@dataclass(frozen=True, slots=True)
class HandedOver(Sighting):
    """One revision of a tracklet, ready for the spool. `vector` is ``float32[D]``, L2-normalised."""

    model_hash: str
    vector: FloatArray = field(repr=False)
    crops: tuple[CropPicture, ...] = field(repr=False)


class TrackletSink(Protocol):
    """Takes tracklets from the worker. `put` returns only once the tracklet is safe on disk."""

    def put(self, tracklet: HandedOver) -> None: ...


def hand_over(tracklet: Tracklet, embedding: Embedding, *, jpeg_quality: int = 90) -> HandedOver:
    """Encode a tracklet's crops and join them with its vector."""
    pictures = []
    for crop in tracklet.crops:
        ok, data = cv2.imencode(".jpg", crop.image, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
        if not ok:
            raise ValueError(f"crop of shape {crop.image.shape} could not be encoded as JPEG")
        x1, y1, x2, y2 = (float(v) for v in crop.box)
        pictures.append(CropPicture(data.tobytes(), (x1, y1, x2, y2), crop.quality, crop.pts_s, crop.captured_at))
    return HandedOver(
        **tracklet.common(),
        model_hash=embedding.model_hash,
        vector=embedding.vector,
        crops=tuple(pictures),
    )
