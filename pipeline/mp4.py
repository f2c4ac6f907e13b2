"""Writes H.264 in MP4 with the timing of the pictures it is given."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

from pipeline.types import Image

__all__ = ["Mp4Writer"]

TIME_BASE = Fraction(1, 90_000)


class Mp4Writer:
    """A silent film in a file, or in memory. Sides that are odd lose a pixel: 4:2:0 wants even ones.

    Args:
        codec: options of x264.
        container: options of the file's format.
    """

    def __init__(
        self, target: Path | BinaryIO, *, codec: Mapping[str, str], container: Mapping[str, str] | None = None
    ) -> None:
        file = str(target) if isinstance(target, Path) else target
        self._container = av.open(file, "w", format="mp4", container_options=dict(container or {}))
        self._codec = dict(codec)
        self._stream: av.VideoStream | None = None
        self._last_pts = -1

    def write(self, image: Image, pts_s: float) -> None:
        """Add a picture ``uint8[H, W, 3]`` BGR; one that is not later than the last comes a moment after it."""
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=30, options=self._codec)
            self._stream.width, self._stream.height = image.shape[1] & ~1, image.shape[0] & ~1
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = TIME_BASE
        picture = av.VideoFrame.from_ndarray(image[: self._stream.height, : self._stream.width].copy(), format="bgr24")
        self._last_pts = max(self._last_pts + 1, round(pts_s / TIME_BASE))
        picture.pts, picture.time_base = self._last_pts, TIME_BASE
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
