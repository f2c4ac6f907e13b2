"""What a source says about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pipeline.camera import CameraState

__all__ = ["SourceReport"]


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What a source says about itself. Counters run since it was started.

    Attributes:
        error: the last problem as a sentence without credentials, None while all is well.
        error_kind: its short name, see `pipeline.sources.errors`.
        frames_decoded, frames_taken: pictures that came out of the decoder, and of `take`.
        frames_dropped: by reason: superseded (a newer one came), corrupt, overload (left out by the decoder).
        reconnects: connections after the first.
        size_changes, pts_mended: what the stream did to us.
        clock_offset_s: the camera's clock minus ours, None if it sends none.
    """

    state: CameraState
    error: str | None = None
    error_kind: str | None = None
    codec: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    decoded_fps: float = 0.0
    frames_decoded: int = 0
    frames_taken: int = 0
    frames_dropped: dict[str, int] = field(default_factory=dict)
    reconnects: int = 0
    size_changes: int = 0
    pts_mended: int = 0
    clock_offset_s: float | None = None
    last_frame_at: datetime | None = None
