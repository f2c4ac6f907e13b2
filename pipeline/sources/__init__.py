"""Where pictures come from: cameras over RTSP and HTTP, and video files, each in a thread of its own."""

from pipeline.sources.camera import CameraSource
from pipeline.sources.errors import (
    SourceBroken,
    SourceCorrupt,
    SourceError,
    SourceNotFound,
    SourceRefused,
    SourceTimedOut,
    SourceUnauthorized,
    SourceUnreachable,
    SourceUnsupported,
)
from pipeline.sources.once import ProbeResult, iter_frames, probe
from pipeline.sources.report import SourceReport

__all__ = [
    "CameraSource",
    "ProbeResult",
    "SourceBroken",
    "SourceCorrupt",
    "SourceError",
    "SourceNotFound",
    "SourceRefused",
    "SourceReport",
    "SourceTimedOut",
    "SourceUnauthorized",
    "SourceUnreachable",
    "SourceUnsupported",
    "iter_frames",
    "probe",
]
