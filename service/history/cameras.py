"""Turns the reports of one worker about its cameras into their history, and into the worker's part of the system's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, cast

import redis

from pipeline.camera import CameraHealth, CameraState
from pipeline.camera_url import mask_url
from service.gallery.store import redis_at_work
from service.history.series import (
    COARSE,
    SYSTEM,
    SeriesRecorder,
    camera_series,
    changes_key,
    seen_key,
)

__all__ = ["NOBODY", "CameraRecorder", "StateChange"]

WRITE_S = 10.0
SILENT_S = 20.0
"""Who has not spoken of a camera for so long did not follow it."""
NOBODY = "waiting"
"""The state of a camera that no worker follows; the others are `CameraState`."""
_MOST_CHANGES = 2000
_LONGEST_REASON = 300

# ARGV: hash of the cameras, camera, commands as JSON. A worker may speak of a camera that was removed a moment ago:
# what was forgotten must not come back.
_IF_THERE = """#!lua
if redis.call('HEXISTS', ARGV[1], ARGV[2]) == 0 then return 0 end
for _, command in ipairs(cjson.decode(ARGV[3])) do redis.call(unpack(command)) end
return 1
"""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A camera is in another state from `at` on; `reason` is what its worker said of it."""

    at: datetime
    state: str
    reason: str | None = None
    worker_id: str | None = None

    def write(self) -> str:
        return json.dumps({**asdict(self), "at": self.at.isoformat()})

    @classmethod
    def read(cls, text: bytes) -> StateChange:
        """Raises ValueError for anything that `write` would not have written."""
        try:
            fields: dict[str, Any] = json.loads(text)
            return cls(**{**fields, "at": datetime.fromisoformat(fields["at"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"expected a change of state: {error!r}") from None


@dataclass
class _Followed:
    """A camera of this worker."""

    series: SeriesRecorder
    last: CameraHealth | None = None
    changes: list[StateChange] = field(default_factory=list)
    taken_at: datetime | None = None  # until it is known whether nobody followed the camera before


class CameraRecorder:
    """Of one worker; for one thread. What Redis does not take is kept for the next time.

    Args:
        cameras_key: the hash of the cameras that there are; of others nothing is written.
    """

    def __init__(self, client: redis.Redis, cameras_key: str) -> None:
        self._redis = client
        self._cameras_key = cameras_key
        self._if_there = client.register_script(_IF_THERE)
        self._followed: dict[str, _Followed] = {}
        self._system = SeriesRecorder(SYSTEM)
        self._written_s = 0.0

    def note(self, reports: Sequence[CameraHealth]) -> None:
        """Add what has changed since the reports before. Raises GalleryUnavailable, and has noted it all the same."""
        for report in reports:
            self._note(report)
        now_s = max((report.updated_at.timestamp() for report in reports), default=0.0)
        changed = any(one.changes for one in self._followed.values())
        if changed or now_s - self._written_s >= WRITE_S:
            self.write()
            self._written_s = now_s

    def leave(self, cameras: Mapping[str, str], now: datetime) -> None:
        """This worker does not follow cameras any more; with the states that they are in now. Raises like `note`."""
        for camera_id, state in cameras.items():
            followed = self._followed.get(camera_id)
            if followed is not None and followed.last is not None:
                followed.changes.append(StateChange(now, state))
                followed.last = None
        try:
            self.write()
        finally:
            for camera_id in cameras:
                self._followed.pop(camera_id, None)

    def write(self) -> None:
        """Send everything. Raises GalleryUnavailable."""
        with redis_at_work():
            for camera_id, one in self._followed.items():
                self._write_camera(camera_id, one)
            with self._redis.pipeline(transaction=False) as pipe:
                for command in self._system.commands():
                    pipe.execute_command(*command)  # type: ignore[no-untyped-call]
                pipe.execute()
            self._system.sent()

    def _note(self, report: CameraHealth) -> None:
        one = self._followed.get(report.camera_id)
        if one is None:
            one = self._followed[report.camera_id] = _Followed(SeriesRecorder(camera_series(report.camera_id)))
        before, one.last = one.last, report
        if before is None:
            one.taken_at = report.updated_at
        if before is None or before.state is not report.state:
            reason = mask_url(report.error)[:_LONGEST_REASON] if report.error else None
            one.changes.append(StateChange(report.updated_at, report.state.value, reason, report.worker_id))
            del one.changes[:-_MOST_CHANGES]
        at_s = report.updated_at.timestamp()
        if before is not None and 0 < (passed_s := at_s - before.updated_at.timestamp()) < SILENT_S:
            one.series.count(f"state.{before.state.value}", passed_s, at_s)
            if before.modality is not None and before.state is CameraState.LIVE:
                one.series.count(f"light.{before.modality.value}", passed_s, at_s)
        for name, count in _counted(before, report).items():
            if count:
                one.series.count(name, count, at_s)
                self._system.count(name, count, at_s)
        if report.latency_p95_s is not None:
            one.series.sample("latency", report.latency_p95_s, at_s)
        if report.clock_offset_s is not None:
            one.series.sample("clock", report.clock_offset_s, at_s)

    def _write_camera(self, camera_id: str, one: _Followed) -> None:
        if one.taken_at is not None:
            seen = cast("bytes | None", self._redis.get(seen_key(camera_id)))
            gap = _gap(seen, one.taken_at)
            if gap is not None:
                one.changes.insert(0, gap)
            one.taken_at = None
        commands = one.series.commands()
        keep_s = str(COARSE.keep_s)
        key = changes_key(camera_id)
        commands += [["XADD", key, "MAXLEN", str(_MOST_CHANGES), "*", "change", c.write()] for c in one.changes]
        commands.append(["EXPIRE", key, keep_s])  # however long ago the last one was: it says how the camera is
        if one.last is not None:
            commands.append(["SET", seen_key(camera_id), one.last.updated_at.isoformat(), "EX", keep_s])
        else:  # it was given up, which its last change says
            commands.append(["DEL", seen_key(camera_id)])
        self._if_there([], [self._cameras_key, camera_id, json.dumps(commands)])
        one.series.sent()
        one.changes.clear()


def _gap(seen: bytes | None, taken_at: datetime) -> StateChange | None:
    """Since when nobody had followed a camera before a worker took it; None where it was handed on."""
    if seen is None:
        return None
    try:
        last = datetime.fromisoformat(seen.decode())
    except ValueError:
        return None
    return StateChange(last, NOBODY) if (taken_at - last).total_seconds() > SILENT_S else None


def _counted(before: CameraHealth | None, now: CameraHealth) -> dict[str, float]:
    """What was counted between two reports. Counters begin anew when a camera is opened anew."""
    old = before or replace(now, **_NOTHING)
    counts: dict[str, float] = {
        "decoded": _risen(old.frames_decoded, now.frames_decoded),
        "analysed": _risen(old.frames_analysed, now.frames_analysed),
        "reconnects": _risen(old.reconnects, now.reconnects),
        "tracklets": _risen(old.tracklets, now.tracklets),
    }
    for head, earlier, later in (
        ("skipped", old.frames_skipped, now.frames_skipped),
        ("refused", old.tracklets_refused, now.tracklets_refused),
    ):
        counts |= {f"{head}.{name}": _risen(earlier.get(name, 0), count) for name, count in later.items()}
    return counts


def _risen(old: int, new: int) -> int:
    return new - old if new >= old else new


_NOTHING: dict[str, Any] = {
    "frames_decoded": 0,
    "frames_analysed": 0,
    "reconnects": 0,
    "tracklets": 0,
    "frames_skipped": {},
    "tracklets_refused": {},
}
