"""What a worker hands over to the service: one tracklet with its vector and encoded crops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

import cv2

from pipeline.footage import Scene, content_digest
from pipeline.types import Embedding, FloatArray, Moment, Sighting, Tracklet

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
    """One revision of a tracklet, ready for the spool.

    Attributes:
        vector: ``float32[D]``, L2-normalised.
        media: what its footage names, by digest: a JPEG of the scene, an MP4 of the clip.
        reel: what a clip is still to be made of, see `pipeline.clips`; the spool does not keep it.
    """

    model_hash: str
    vector: FloatArray = field(repr=False)
    crops: tuple[CropPicture, ...] = field(repr=False)
    media: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    reel: tuple[Moment, ...] = field(default=(), repr=False)


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
    handed = HandedOver(
        **tracklet.common(),
        model_hash=embedding.model_hash,
        vector=embedding.vector,
        crops=tuple(pictures),
        reel=tracklet.reel,
    )
    best = tracklet.best_moment
    if best is None:
        return handed
    scene = Scene(content_digest(best.still.jpeg), best.box, best.still.captured_at)
    return replace(handed, footage=replace(handed.footage, scene=scene), media={scene.digest: best.still.jpeg})
