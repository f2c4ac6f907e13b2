"""A picture between the decoder and the pipeline: converted only when somebody takes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from av.video.reformatter import VideoReformatter

from pipeline.types import Frame, Image

__all__ = ["Picture", "StampedPicture", "to_frame"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, not yet converted.

    Attributes:
        native: FFmpeg's frame, in the codec's own pixel format.
        pts_s: as the stream gives it, or None.
        arrival_s: Unix time at which its packet was complete.
        stream_s: Unix time by the camera's own clock, or None.
    """

    native: Any
    pts_s: float | None
    arrival_s: float
    stream_s: float | None


@dataclass(frozen=True, slots=True)
class StampedPicture:
    """A picture with its place in the connection and in time: `sequence` counts from 0, `captured_at` is UTC."""

    native: Any
    sequence: int
    pts_s: float
    captured_at: datetime


def to_frame(camera_id: str, stamped: StampedPicture, reformatter: VideoReformatter) -> Frame:
    """Convert to ``uint8[H, W, 3]`` BGR. A reformatter keeps its tables; one per thread."""
    image = cast(Image, reformatter.reformat(stamped.native, format="bgr24").to_ndarray())
    return Frame(camera_id, stamped.sequence, image, stamped.pts_s, stamped.captured_at)
