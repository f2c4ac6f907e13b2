"""Video with boxes and track ids, for people who want to see what the tracker did."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipeline.mp4 import Mp4Writer
from pipeline.types import Frame, Tracks

__all__ = ["AnnotatedVideo", "colour_of"]


def colour_of(track_id: int) -> tuple[int, int, int]:
    """A bright BGR colour that stays with the id; neighbouring ids lie far apart on the colour circle."""
    hue = int(track_id * 180 * 0.618034) % 180
    pixel = cv2.cvtColor(np.array([[[hue, 200, 255]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


class AnnotatedVideo:
    """Writes MP4 (H.264) with the timing of the frames it is given."""

    def __init__(self, path: Path):
        self._writer = Mp4Writer(path, codec={"preset": "veryfast", "crf": "23"})

    def write(self, frame: Frame, tracks: Tracks) -> None:
        image = frame.image.copy()
        for box, track_id in zip(tracks.boxes.astype(int).tolist(), tracks.track_ids.tolist(), strict=True):
            colour = colour_of(track_id)
            cv2.rectangle(image, box[:2], box[2:], colour, 2)
            cv2.putText(image, str(track_id), (box[0], max(14, box[1] - 5)), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2)
        self._writer.write(image, frame.pts_s)

    def close(self) -> None:
        self._writer.close()
