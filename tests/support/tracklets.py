"""Made-up tracklets for the tests of spool, gallery and search."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
from ulid import ULID

from models.types import Modality
from pipeline.handover import CropPicture, HandedOver
from service.gallery.records import TrackletRecord

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MODEL = "sha256:model-a"
DIMENSION = 16


def unit_vector(seed: int, dimension: int = DIMENSION) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return vector / np.linalg.norm(vector)


def tracklet_id(number: int, at: datetime = BEGIN) -> str:
    """A ULID that sorts by time, then number."""
    milliseconds = int(at.timestamp() * 1000)
    return str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + number.to_bytes(10, "big")))


def record(
    number: int,
    *,
    revision: int = 1,
    camera: str = "hall",
    modality: Modality = Modality.VISIBLE,
    minute: float | None = None,
    lasts_s: float = 10.0,
    model: str = MODEL,
    vector: np.ndarray | None = None,
) -> TrackletRecord:
    start = BEGIN + timedelta(minutes=number if minute is None else minute)
    return TrackletRecord(
        id=tracklet_id(number),
        revision=revision,
        camera_id=camera,
        track_id=number,
        modality=modality,
        started_at=start,
        ended_at=start + timedelta(seconds=lasts_s),
        closed=False,
        frame_count=5,
        quality=0.75,
        model_hash=model,
        vector=unit_vector(number) if vector is None else vector,
    )


def jpeg(shade: int, height_px: int = 120, width_px: int = 50) -> bytes:
    image = np.full((height_px, width_px, 3), shade % 256, np.uint8)
    image[: height_px // 2] = (shade * 7) % 256
    ok, data = cv2.imencode(".jpg", image)
    assert ok
    return data.tobytes()


def handed_over(
    number: int,
    *,
    revision: int = 1,
    camera: str = "hall",
    closed: bool = False,
    shades: tuple[int, ...] = (1, 2),
    vector: np.ndarray | None = None,
    height_px: int = 120,
) -> HandedOver:
    start = BEGIN + timedelta(seconds=number)
    crops = tuple(
        CropPicture(jpeg(shade, height_px), (1.0, 2.0, 51.0, 122.0), 0.5 + i / 10, float(i), start)
        for i, shade in enumerate(shades)
    )
    return HandedOver(
        id=tracklet_id(number),
        revision=revision,
        camera_id=camera,
        track_id=number,
        modality=Modality.VISIBLE,
        started_at=start,
        ended_at=start + timedelta(seconds=revision),
        closed=closed,
        frame_count=revision,
        quality=0.5,
        model_hash=MODEL,
        vector=unit_vector(number) if vector is None else vector,
        crops=crops,
    )
