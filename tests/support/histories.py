"""Some hours of reports of a worker about cameras, with what goes wrong in a day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from models.types import Modality
from pipeline.camera import CameraHealth, CameraState
from service.camera_registry import CAMERAS
from service.history import SYSTEM, CameraRecorder, latency_name
from service.history.series import SeriesRecorder

__all__ = ["seed_history"]

_STEP_S = 15
_TROUBLES = (
    (0.22, 600, CameraState.STALLED, "No picture for 10 s."),
    (0.23, 240, CameraState.RECONNECTING, "The camera stopped answering."),
    (0.61, 1500, CameraState.FAILED, "The camera refuses the user name or password."),
    (0.84, 60, CameraState.RECONNECTING, "The connection was closed."),
)


def seed_history(client: Any, camera_ids: Sequence[str], now: datetime, hours: float) -> None:
    """Tell of the hours before `now`, as workers and API processes would have done.

    The first camera is well all the time; the second has its troubles; the last began a while ago.
    """
    recorder, system = CameraRecorder(client, CAMERAS), SeriesRecorder(SYSTEM)
    length_s = hours * 3600
    start = now - timedelta(seconds=length_s)
    told = dict.fromkeys(camera_ids, (0, 0, 0, 0))
    for second in range(0, round(length_s), _STEP_S):
        at, share = start + timedelta(seconds=second), second / length_s
        reports = []
        for number, camera_id in enumerate(camera_ids):
            if number and number == len(camera_ids) - 1 and share < 0.4:
                continue
            analysed, decoded, tracklets, reconnects = told[camera_id]
            state, error = _state(second, length_s) if number == 1 else (CameraState.LIVE, None)
            if state is CameraState.LIVE:
                busy = 1 + math.sin(share * 9 + number)
                analysed, decoded = analysed + round(_STEP_S * (4 + busy)), decoded + _STEP_S * 8
                tracklets += int(second % 600 < 300 * busy) * (second % 60 == 0)
            elif second % 120 == 0:
                reconnects += 1
            told[camera_id] = analysed, decoded, tracklets, reconnects
            reports.append(
                CameraHealth(
                    camera_id,
                    state,
                    "worker-1",
                    at,
                    error=error,
                    latency_p95_s=0.12 + 0.05 * math.sin(share * 30 + number) ** 2,
                    modality=Modality.INFRARED if 0.3 < share < 0.7 else Modality.VISIBLE,
                    clock_offset_s=0.2 + number * share,
                    frames_analysed=analysed,
                    frames_decoded=decoded,
                    frames_skipped={"no_motion": (decoded - analysed) // 2, "superseded": (decoded - analysed) // 9},
                    reconnects=reconnects,
                    tracklets=tracklets,
                    tracklets_refused={"too_small": tracklets // 4},
                )
            )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("service.history.cameras.WRITE_S", math.inf)  # all at once, at the end
            recorder.note(reports)
        _processes(system, at.timestamp(), share)
    recorder.write()
    for command in system.commands():
        client.execute_command(*command)


def _state(second: int, length_s: float) -> tuple[CameraState, str | None]:
    for begins, lasts_s, state, error in _TROUBLES:
        if 0 <= second - begins * length_s < min(lasts_s, length_s / 20):
            return state, error
    return CameraState.LIVE, None


def _processes(system: SeriesRecorder, at_s: float, share: float) -> None:
    wave = math.sin(share * 20) ** 2
    system.sample("queued.worker-1", round(3 * wave), at_s)
    system.sample("gallery", 8000 + 3000 * share, at_s)
    system.sample("alerts_waiting", round(wave), at_s)
    for name, size in (("worker-1", 1.4e9), ("API, tapetum", 6e8), ("Redis", 9e7)):
        system.sample(f"memory.{name}", size * (1 + 0.1 * share), at_s)
    for took_s in (0.004 + 0.002 * wave, 0.004, 0.03 * (1 + wave)):
        system.count(f"search.{latency_name(took_s)}", 1, at_s)
