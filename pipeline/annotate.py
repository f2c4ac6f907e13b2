"""Video with boxes and track ids, for people who want to see what the tracker did."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.types import Frame, Tracks

__all__ = ["AnnotatedVideo", "colour_of"]


def colour_of(track_id: int) -> tuple[int, int, int]:
    """A bright BGR colour that stays with the id; neighbouring ids lie far apart on the colour circle."""
    hue = int(track_id * 180 * 0.618034) % 180
    pixel = cv2.cvtColor(np.array([[[hue, 200, 255]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


class AnnotatedVideo:
    """Writes MP4 (H.264) with the timing of the frames it is given."""

    TIME_BASE = Fraction(1, 90_000)

    def __init__(self, path: Path):
        self._container = av.open(str(path), "w", format="mp4")
        self._stream: av.VideoStream | None = None
        self._last_pts = -1

    def write(self, frame: Frame, tracks: Tracks) -> None:
        image = frame.image.copy()
        for box, track_id in zip(tracks.boxes.astype(int).tolist(), tracks.track_ids.tolist(), strict=True):
            colour = colour_of(track_id)
            cv2.rectangle(image, box[:2], box[2:], colour, 2)
            cv2.putText(image, str(track_id), (box[0], max(14, box[1] - 5)), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2)
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "23"})
            # 4:2:0 wants even sides.
            self._stream.width, self._stream.height = frame.width_px & ~1, frame.height_px & ~1
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = self.TIME_BASE
        picture = av.VideoFrame.from_ndarray(image[: self._stream.height, : self._stream.width].copy(), format="bgr24")
        self._last_pts = max(self._last_pts + 1, round(frame.pts_s / self.TIME_BASE))
        picture.pts, picture.time_base = self._last_pts, self.TIME_BASE
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
