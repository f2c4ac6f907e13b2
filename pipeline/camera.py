"""What the pipeline needs to know about a camera, and what it reports back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from models.types import Modality
from pipeline.types import FloatArray, Image

__all__ = ["CameraBoard", "CameraConfig", "CameraHealth", "CameraPosition", "CameraState", "LiveBox", "LiveView"]


@dataclass(frozen=True, slots=True)
class CameraPosition:
    """Where a camera stands: on a plan, on the globe, or both.

    Attributes:
        x_m, y_m: metres on the plan, from its upper left corner to the right and down.
        plan: tells plans apart, such as floors or sites; positions on different ones are not compared.
        latitude, longitude: degrees, WGS 84.
    """

    x_m: float | None = None
    y_m: float | None = None
    plan: str = ""
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """One camera.

    Attributes:
        id: ``[a-z0-9-]{1,64}``, chosen once.
        name: what people call it.
        url: rtsp, rtsps, http, https, or a path for files; may hold credentials, so it is never printed.
        loop: start a file again when it ends (demo).
        max_fps: analyse at most so many frames a second; None for as many as the machine can.
        modality: fixed by the operator, or None to judge every frame.
        include, exclude: polygons in fractions of the frame, ``((x, y), ...)``; a person counts where
            the middle of the box's lower edge is.
        min_height_px: smaller persons are ignored.
        keep_days: sightings are removed when they are so old; None for as long as the settings say.
        position: where it stands; tells which ways between cameras are too far for a time.
        enabled: a disabled camera keeps its records and is not connected.
    """

    id: str
    name: str
    url: str = field(repr=False)
    loop: bool = False
    max_fps: float | None = None
    modality: Modality | None = None
    include: tuple[tuple[tuple[float, float], ...], ...] = ()
    exclude: tuple[tuple[tuple[float, float], ...], ...] = ()
    min_height_px: int = 24
    open_timeout_s: float = 10.0
    read_timeout_s: float = 10.0
    keep_days: float | None = None
    position: CameraPosition | None = None
    enabled: bool = True

    def as_analysed(self) -> CameraConfig:
        """Without what is for people only: a camera that is renamed, or moved on its plan, keeps its stream."""
        return replace(self, name="", position=None, keep_days=None)


class CameraState(StrEnum):
    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    RECONNECTING = "reconnecting"
    ENDED = "ended"
    FAILED = "failed"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """What a worker says about a camera about once a second. Counters run since the worker took the camera."""

    camera_id: str
    state: CameraState
    worker_id: str
    updated_at: datetime
    error: str | None = None
    last_frame_at: datetime | None = None
    decoded_fps: float = 0.0
    analysed_fps: float = 0.0
    latency_p95_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    codec: str | None = None
    modality: Modality | None = None
    clock_offset_s: float | None = None
    frames_decoded: int = 0
    frames_analysed: int = 0
    frames_skipped: dict[str, int] = field(default_factory=dict)
    reconnects: int = 0
    tracklets: int = 0
    tracklets_refused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveBox:
    """One tracked person of a live picture; `tracklet_id` is None until the person is searchable."""

    box: tuple[float, float, float, float]  # fractions of the frame: x1 y1 x2 y2
    track_id: int
    score: float
    tracklet_id: str | None


class CameraBoard(Protocol):
    """Where a worker finds its cameras and pins its reports. Implemented by the service over Redis."""

    def lease(self) -> Sequence[CameraConfig]:
        """The enabled cameras this worker holds now; renews their leases and takes free ones."""
        ...

    def report(self, health: Sequence[CameraHealth]) -> None: ...

    def release(self) -> None:
        """Give all cameras back, so that another worker can take over at once."""
        ...


class LiveView(Protocol):
    """Where live pictures go when somebody watches."""

    def wanted(self) -> frozenset[str]:
        """Ids of the cameras somebody watches now."""
        ...

    def publish(
        self,
        camera_id: str,
        image: Image,
        boxes: Sequence[LiveBox],
        captured_at: datetime,
        modality: Modality,
    ) -> None: ...


def box_fractions(box: FloatArray, width_px: int, height_px: int) -> tuple[float, float, float, float]:
    """Pixels to fractions of the frame, clipped to it."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return (
        min(max(x1 / width_px, 0.0), 1.0),
        min(max(y1 / height_px, 0.0), 1.0),
        min(max(x2 / width_px, 0.0), 1.0),
        min(max(y2 / height_px, 0.0), 1.0),
    )
