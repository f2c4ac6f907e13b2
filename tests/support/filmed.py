"""Scenes and clips for sightings that tests make up, by the code that makes them of what cameras send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import cv2
import numpy as np

from pipeline.clips import make_clip
from pipeline.footage import Footage, Fractions, Scene, content_digest
from pipeline.types import CropQuality, Image, Moment, Still
from service.gallery import MediaStore, TrackletRecord

__all__ = ["filmed", "walk"]

MARKS = CropQuality(0.9, 0.6, 0.95, 1.0, 0.8)


def walk(
    record: TrackletRecord, colour: tuple[int, int, int] = (40, 40, 200), size: tuple[int, int] = (320, 180)
) -> list[tuple[Image, Fractions]]:
    """Somebody in one colour goes to the right, past somebody who stands."""
    width, height = size
    pictures = []
    for step in range(8):
        image = np.full((height, width, 3), 96, np.uint8)
        cv2.rectangle(image, (0, height * 2 // 3), (width, height), (70, 74, 78), -1)
        cv2.rectangle(
            image, (width * 3 // 4, height // 3), (width * 3 // 4 + width // 12, height - 30), (60, 90, 60), -1
        )
        left, top = (0.05 + 0.07 * step) * width, 0.3 * height
        right, bottom = left + width / 9, 0.9 * height
        cv2.rectangle(image, (int(left), int(top)), (int(right), int(bottom)), colour, -1)
        pictures.append((image, (left / width, top / height, right / width, bottom / height)))
    return pictures


def filmed(
    media: MediaStore,
    record: TrackletRecord,
    pictures: Sequence[tuple[Image, Fractions]] | None = None,
    every_s: float = 0.5,
) -> TrackletRecord:
    """The sighting with a scene and a clip of some pictures, which are written, and with marks."""
    reel = []
    for step, (image, box) in enumerate(pictures or walk(record)):
        jpeg = bytes(cv2.imencode(".jpg", image)[1])
        still = Still(jpeg, every_s * step, record.started_at + timedelta(seconds=every_s * step))
        reel.append(Moment(still, box, 0.5))
    best = reel[len(reel) // 2]
    clip, mp4 = make_clip(tuple(reel))
    scene = Scene(content_digest(best.still.jpeg), best.box, best.still.captured_at)
    whole = replace(record, footage=Footage(scene, clip), marks=MARKS)
    found = MediaStore.footage_keys(whole)
    media.write_many({found[scene.digest]: best.still.jpeg, found[clip.digest]: mp4})
    return whole
