"""Whether analysis keeps up with the cameras."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from pipeline.camera import CameraHealth, CameraState

__all__ = ["Pace"]

WINDOW_S = 10.0
TOO_SELDOM_S = 2.0
"""Who walks past a camera is in view for some seconds, and wants several looks to be followed."""


class Pace:
    """From one report of the workers to the next: how often each camera is looked at.

    A look takes the newest picture, whether something moves in it or not; what came before it counts as superseded.
    """

    def __init__(self) -> None:
        self._seen: dict[str, deque[CameraHealth]] = {}

    def too_seldom(self, reports: Iterable[CameraHealth]) -> dict[str, float]:
        """Seconds from look to look of the live cameras where they are too many; to be asked every few seconds."""
        found = {}
        for report in reports:
            seen = self._seen.setdefault(report.camera_id, deque())
            if seen and (report.worker_id != seen[-1].worker_id or _looks(report) < _looks(seen[-1])):
                seen.clear()
            if not seen or report.updated_at > seen[-1].updated_at:
                seen.append(report)
            while len(seen) > 2 and (report.updated_at - seen[1].updated_at).total_seconds() >= WINDOW_S:
                seen.popleft()
            seconds = (report.updated_at - seen[0].updated_at).total_seconds()
            if report.state is not CameraState.LIVE or seconds < WINDOW_S:
                continue
            pictures = report.frames_decoded - seen[0].frames_decoded
            looks = _looks(report) - _looks(seen[0])
            if looks * TOO_SELDOM_S < seconds and looks < pictures:
                found[report.camera_id] = seconds / max(1, looks)
        return found


def _looks(report: CameraHealth) -> int:
    return report.frames_decoded - report.frames_skipped.get("superseded", 0)
