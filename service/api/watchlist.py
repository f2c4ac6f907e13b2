"""The watchlist: whom to look for as sightings come in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response, status
from starlette.concurrency import run_in_threadpool

from service.alerts.telling import told_example
from service.api.access import ManagingWatchlist
from service.api.idempotency import IdempotencyKey, made_before
from service.api.schema import TrackletId
from service.api.schema_alerts import (
    WatchedExample,
    WatchEntryChange,
    WatchEntryCreate,
    WatchEntryInfo,
    WatchEntryList,
    WatchHours,
)
from service.api.scoped import Scoped
from service.api.scoped_watchlist import NewEntry, SeenEntry
from service.problems import Problem
from service.search import Example

__all__ = ["ULID_PATTERN", "router"]

router = APIRouter(prefix="/watchlist", tags=["watchlist"])
ULID_PATTERN = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"
EntryId = Annotated[str, Path(pattern=ULID_PATTERN, examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])]
_MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such entry, or something that it names."}
}
_CHANGING: dict[int | str, dict[str, Any]] = {
    **_MISSING,
    409: {"model": Problem, "description": "It was changed meanwhile, or cannot be made now."},
}


@router.get("", operation_id="list_watchlist", summary="Entries, newest first")
async def list_watchlist(
    scoped: ManagingWatchlist,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[TrackletId | None, Query(description="`next_cursor` of the page before.")] = None,
) -> WatchEntryList:
    """One's own, and those whose cameras and examples one sees all of."""

    def read() -> WatchEntryList:
        found, after = scoped.watchlist.page(limit, cursor)
        return WatchEntryList(items=[_shown(scoped, one) for one in found], next_cursor=after)

    return await run_in_threadpool(read)


@router.post(
    "",
    operation_id="add_watch_entry",
    summary="Watch for somebody",
    status_code=status.HTTP_201_CREATED,
    responses={**_CHANGING, **made_before(WatchEntryInfo)},
)
async def add_watch_entry(
    request: WatchEntryCreate, scoped: ManagingWatchlist, response: Response, key: IdempotencyKey = None
) -> WatchEntryInfo:
    """Alerts about sightings that come in from now on. The same again, with the same key, answers 200.

    It keeps copies of the examples' vectors until it ends; erasing a sighting takes it out.
    """
    new = NewEntry(
        name=request.name,
        reason=request.reason,
        examples=tuple(dict.fromkeys(Example(e.tracklet_id, e.photo_id, e.person) for e in request.examples)),
        subject_id=request.subject_id,
        cameras=frozenset(request.cameras) if request.cameras is not None else None,
        hours=request.hours.of_entry() if request.hours is not None else None,
        threshold=request.threshold,
        expires_at=request.expires_at,
    )

    def make() -> WatchEntryInfo:
        made, is_new = scoped.watchlist.add(new, key, request)
        response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        response.headers["Location"] = f"/api/v1/watchlist/{made.entry.id}"
        return _shown(scoped, made)

    return await run_in_threadpool(make)


@router.get("/{entry_id}", operation_id="get_watch_entry", summary="One entry", responses=_MISSING)
async def get_watch_entry(scoped: ManagingWatchlist, entry_id: EntryId) -> WatchEntryInfo:
    return await run_in_threadpool(lambda: _shown(scoped, scoped.watchlist.get(entry_id)))


@router.patch("/{entry_id}", operation_id="change_watch_entry", summary="Change an entry", responses=_CHANGING)
async def change_watch_entry(change: WatchEntryChange, scoped: ManagingWatchlist, entry_id: EntryId) -> WatchEntryInfo:
    """Its owner and administrators may. Its cameras are never more than it was made for."""
    changes = change.of_entry()
    return await run_in_threadpool(lambda: _shown(scoped, scoped.watchlist.change(entry_id, change.revision, changes)))


@router.delete(
    "/{entry_id}",
    operation_id="end_watch_entry",
    summary="End an entry",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=_MISSING,
)
async def end_watch_entry(scoped: ManagingWatchlist, entry_id: EntryId) -> None:
    """It and its vectors are gone at once; its alerts stay as long as their sightings."""
    await run_in_threadpool(scoped.watchlist.end, entry_id)


def _shown(scoped: Scoped, seen: SeenEntry) -> WatchEntryInfo:
    entry = seen.entry
    return WatchEntryInfo(
        id=entry.id,
        revision=entry.revision,
        name=entry.name,
        reason=entry.reason,
        owner=entry.owner,
        state=seen.state,
        subject_id=entry.subject_id,
        examples=[WatchedExample(**told_example(example, scoped.access.sees)) for example in entry.examples],
        threshold=entry.threshold,
        cameras=sorted(seen.cameras) if seen.cameras is not None else None,
        hours=WatchHours.model_validate(entry.hours.to_dict()) if entry.hours is not None else None,
        expires_at=entry.expires_at,
        enabled=entry.enabled,
        examples_until=seen.examples_until,
        created_at=entry.created_at,
        changed_at=entry.changed_at,
        changed_by=entry.changed_by,
    )
