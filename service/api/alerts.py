"""Alerts: list, read, acknowledge, and a stream of them as they are raised."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from service.alerts import Alert
from service.api.access import ManagingWatchlist, SeeingAlerts, StreamingAlerts
from service.api.schema import CameraId, Moment
from service.api.schema_alerts import AcknowledgementRequest, AlertInfo, AlertList
from service.api.scoped import Scoped
from service.api.watchlist import ULID_PATTERN
from service.problems import Problem
from service.security.access import AccessDenied

__all__ = ["router"]

router = APIRouter(prefix="/alerts", tags=["alerts"])
AlertId = Annotated[str, Path(pattern=ULID_PATTERN, examples=["01K9ZC5R8E2M7Q4B9X6T1V3NWP"])]
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such alert."}}
STREAM_S = 3600.0
"""A stream ends after an hour and its reader comes back, so that a restarted replica gets its share again."""
_RETRY_MS = 2000


@router.get("", operation_id="list_alerts", summary="Alerts of cameras in scope, newest first")
async def list_alerts(
    scoped: SeeingAlerts,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=40, description="`next_cursor` of the page before.")] = None,
    camera: Annotated[CameraId | None, Query(description="Only of this camera.")] = None,
    entry: Annotated[str | None, Query(pattern=ULID_PATTERN, description="Only of this entry.")] = None,
    acknowledged: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
    since: Annotated[Moment | None, Query(description="Raised at or after, with offset.")] = None,
    until: Annotated[Moment | None, Query(description="Raised at or before, with offset.")] = None,
) -> AlertList:
    def read() -> AlertList:
        page = scoped.alerts.page(
            limit, cursor, camera_id=camera, entry_id=entry, acknowledged=acknowledged, since=since, until=until
        )
        return AlertList(items=[_shown(scoped, alert) for alert in page.alerts], next_cursor=page.cursor)

    return await run_in_threadpool(read)


@router.get(
    "/stream",
    operation_id="stream_alerts",
    summary="Alerts as they are raised",
    response_class=Response,
    responses={
        200: {
            "content": {"text/event-stream": {}},
            "description": "Server-sent events of type `alert`; the data is an alert as `get_alert` gives it.",
        }
    },
)
async def stream_alerts(
    scoped: StreamingAlerts,
    last_event_id: Annotated[
        str | None, Header(max_length=40, description="Id of the last event seen: what came since is sent first.")
    ] = None,
) -> Response:
    """Ends after an hour at most, and when the session or its rights do; browsers come back by themselves."""
    position = await run_in_threadpool(scoped.alerts.begin, last_event_id or None)

    async def events() -> AsyncGenerator[str, None]:
        yield f"retry: {_RETRY_MS}\n\n"
        async with contextlib.aclosing(scoped.alerts.stream(position)) as alerts:
            async for alert in alerts:
                if alert is None:
                    yield ": nothing new\n\n"  # only a write shows that the reader is gone
                    continue
                told = await run_in_threadpool(scoped.alerts.told, alert)
                yield f"id: {alert.position}\nevent: alert\ndata: {json.dumps(told)}\n\n"

    async def until_due() -> AsyncGenerator[str, None]:
        with contextlib.suppress(TimeoutError, AccessDenied):
            async with contextlib.aclosing(events()) as stream:
                due = asyncio.get_running_loop().time() + STREAM_S
                while True:
                    async with asyncio.timeout_at(due):
                        event = await anext(stream, None)
                    if event is None:
                        return
                    yield event

    return StreamingResponse(
        until_due(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    )


@router.get("/{alert_id}", operation_id="get_alert", summary="One alert, and why it was raised", responses=_MISSING)
async def get_alert(scoped: SeeingAlerts, alert_id: AlertId) -> AlertInfo:
    return await run_in_threadpool(lambda: _shown(scoped, scoped.alerts.get(alert_id)))


@router.put(
    "/{alert_id}/acknowledgement", operation_id="acknowledge_alert", summary="Take note of an alert", responses=_MISSING
)
async def acknowledge_alert(request: AcknowledgementRequest, scoped: ManagingWatchlist, alert_id: AlertId) -> AlertInfo:
    """For everybody who sees it. Who was first stays; the same again changes nothing."""
    return await run_in_threadpool(lambda: _shown(scoped, scoped.alerts.acknowledge(alert_id, request.note)))


def _shown(scoped: Scoped, alert: Alert) -> AlertInfo:
    return AlertInfo.model_validate(scoped.alerts.told(alert))
