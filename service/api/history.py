"""What happened over time: one camera's health, and how the whole installation did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool

from models.types import Modality
from pipeline.camera import CameraState
from service.api.access import SystemReading, Viewing
from service.api.cameras import NOT_FOUND, CameraIdPath
from service.api.schema import Moment
from service.api.schema_history import (
    CameraHistory,
    CameraHistoryBucket,
    CameraStateChange,
    SystemHistory,
    SystemHistoryBucket,
)
from service.api.scoped import Scoped
from service.history import COARSE, FINE, SYSTEM, Bucket, Level, percentile, resolution_for
from service.problems import ProblemError
from service.security.access import Permission

__all__ = ["Window", "camera_bucket", "read_camera_history", "read_system_history", "router", "system_bucket", "window"]

router = APIRouter()
MOST_STEPS = 1000
_DAY = timedelta(days=1)
_EPOCH = datetime.fromtimestamp(0, UTC)

Since = Annotated[Moment | None, Query(description="The beginning; a day before the end when left out.")]
Until = Annotated[Moment | None, Query(description="The end; now when left out.")]
Step = Annotated[
    int | None,
    Query(
        ge=FINE.step_s,
        le=86_400,
        multiple_of=FINE.step_s,
        description="Seconds to a step, a multiple of 300. Steps under an hour are kept for a day, others for 30 days. "
        "Left out: 300 up to two days, else an hour.",
    ),
]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in steps; `since` lies at the beginning of one."""

    since: datetime
    until: datetime
    step_s: int


@router.get(
    "/cameras/{camera_id}/history",
    tags=["cameras"],
    operation_id="get_camera_history",
    summary="How a camera was over time",
    responses=NOT_FOUND,
)
async def get_camera_history(
    scoped: Viewing, camera_id: str = CameraIdPath, since: Since = None, until: Until = None, step: Step = None
) -> CameraHistory:
    """Figures in steps, and every change of state. What lies longer ago than 30 days is not kept."""
    return await run_in_threadpool(read_camera_history, scoped, camera_id, window(since, until, step))


@router.get(
    "/system/history", tags=["system"], operation_id="get_system_history", summary="How the installation did over time"
)
async def get_system_history(
    scoped: SystemReading, since: Since = None, until: Until = None, step: Step = None
) -> SystemHistory:
    """Figures of all workers and API processes in steps, for 30 days."""
    return await run_in_threadpool(read_system_history, scoped, window(since, until, step))


def window(since: datetime | None, until: datetime | None, step_s: int | None) -> Window:
    """What is asked for, as it can be answered. Raises ProblemError 422."""
    now = datetime.now(UTC)
    try:
        until = (until or now).astimezone(UTC)
        since = since.astimezone(UTC) if since is not None else until - _DAY
        longest = until - since
    except OverflowError:
        raise _out_of_time() from None
    if longest <= timedelta(0):
        raise _refused("since", "the end must lie after the beginning")
    step_s = step_s or (FINE.step_s if longest <= 2 * _DAY else COARSE.step_s)
    step_s = max(step_s, resolution_for(since, step_s, now).step_s)
    if longest / timedelta(seconds=step_s) > MOST_STEPS:
        raise _refused("step", f"expected at most {MOST_STEPS} steps; ask for a shorter time or longer steps")
    try:
        return Window(since - (since - _EPOCH) % timedelta(seconds=step_s), until, step_s)
    except OverflowError:
        raise _out_of_time() from None


def _out_of_time() -> ProblemError:
    return _refused("since", "expected a time in our age")


def _refused(name: str, reason: str) -> ProblemError:
    return ProblemError(422, "window-refused", reason, errors=[{"field": f"query.{name}", "reason": reason}])


def read_camera_history(scoped: Scoped, camera_id: str, asked: Window) -> CameraHistory:
    """Raises ProblemError 404."""
    config = scoped.camera(camera_id)
    buckets = scoped.camera_buckets([camera_id], asked.since, asked.until, asked.step_s)[camera_id]
    changes = [
        CameraStateChange(
            at=change.at,
            state=CameraState(change.state) if change.state in set(CameraState) else "waiting",
            reason=scoped.told(config, change.reason) if change.reason else None,
            worker_id=change.worker_id,
        )
        for change in scoped.camera_changes(camera_id, asked.since, asked.until)
    ]
    items = [camera_bucket(bucket) for bucket in buckets]
    return CameraHistory(camera_id=camera_id, **asdict(asked), items=items, changes=changes)


def read_system_history(scoped: Scoped, asked: Window) -> SystemHistory:
    services = scoped.of_every_camera(Permission.SYSTEM)
    resolution = resolution_for(asked.since, asked.step_s, datetime.now(UTC))
    buckets = services.history.series(SYSTEM, asked.since, asked.until, asked.step_s, resolution)
    return SystemHistory(**asdict(asked), items=[system_bucket(bucket, asked.step_s) for bucket in buckets])


def camera_bucket(bucket: Bucket) -> CameraHistoryBucket:
    """What a bucket says of its camera."""
    part = bucket.part
    states = part.under("state")
    followed_s = sum(states.values())
    light = part.under("light")
    latency, clock = part.levels.get("latency"), part.levels.get("clock")
    decoded, analysed = part.counts.get("decoded", 0), part.counts.get("analysed", 0)
    return CameraHistoryBucket(
        start=bucket.start,
        followed_s=followed_s,
        states_s={state: states[state.value] for state in CameraState if state.value in states},
        light_s={one: light[one.value] for one in Modality if one.value in light},
        decoded=round(decoded),
        analysed=round(analysed),
        decoded_fps=decoded / followed_s if followed_s else None,
        analysed_fps=analysed / followed_s if followed_s else None,
        skipped=_whole(part.under("skipped")),
        reconnects=round(part.counts.get("reconnects", 0)),
        tracklets=round(part.counts.get("tracklets", 0)),
        tracklets_refused=_whole(part.under("refused")),
        latency_p95_s=latency.greatest if latency else None,
        clock_offset_s=clock.last if clock else None,
    )


def system_bucket(bucket: Bucket, step_s: int) -> SystemHistoryBucket:
    """What a bucket says of the installation."""
    part = bucket.part
    times = part.under("search")
    gallery, waiting = part.levels.get("gallery"), part.levels.get("alerts_waiting")
    analysed = part.counts.get("analysed", 0)
    passed_s = min(float(step_s), max(1.0, (datetime.now(UTC) - bucket.start).total_seconds()))
    return SystemHistoryBucket(
        start=bucket.start,
        analysed=round(analysed),
        analysed_fps=analysed / passed_s,
        tracklets=round(part.counts.get("tracklets", 0)),
        skipped=_whole(part.under("skipped")),
        reconnects=round(part.counts.get("reconnects", 0)),
        queued={name: level.mean for name, level in _levels(part.levels, "queued").items()},
        gallery_size=gallery.last if gallery else None,
        alerts_waiting=waiting.greatest if waiting else None,
        searches=round(sum(times.values())),
        search_p50_s=percentile(times, 0.5),
        search_p95_s=percentile(times, 0.95),
        memory_bytes={name: level.greatest for name, level in _levels(part.levels, "memory").items()},
    )


def _whole(counts: Mapping[str, float]) -> dict[str, int]:
    return {name: round(count) for name, count in counts.items()}


def _levels(levels: Mapping[str, Level], head: str) -> dict[str, Level]:
    return {name.removeprefix(f"{head}."): one for name, one in levels.items() if name.startswith(f"{head}.")}
