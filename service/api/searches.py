"""Searches that are kept: made once, read in pages, judged, asked again."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, status
from starlette.concurrency import run_in_threadpool

from service.api.access import Searching
from service.api.idempotency import IdempotencyKey
from service.api.schema import SearchExample, SearchFilters
from service.api.schema_searches import (
    Feedback,
    FeedbackRequest,
    KeptSearch,
    KeptSearchGroup,
    KeptSearchGroups,
    KeptSearchList,
    KeptSearchRequest,
    KeptSearchSummary,
    SearchChange,
)
from service.api.scoped import Scoped
from service.api.search import NOTE, match_shown
from service.api.tracklets import TrackletIdPath, tracklet_shown
from service.problems import Problem, ProblemError
from service.search import Example
from service.search_groups import by_camera, by_time
from service.search_store import Question, StoredSearch, tombstone
from service.searches import SearchState

__all__ = ["router"]

_CURSOR = re.compile(r"(\d{1,9})\.(~[0-9a-f]{16})")
_GONE: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such search."}}
_CONFLICT: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such search, or what it is about is gone."},
    409: {"model": Problem, "description": "Models that cannot be compared, or an answer that has changed."},
}
router = APIRouter(prefix="/searches", tags=["search"])
SearchId = Annotated[str, Path(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$", examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])]
Limit = Annotated[int, Query(ge=1, le=200, description="Matches of a page.")]


@router.post(
    "",
    operation_id="create_search",
    summary="Search, and keep question and answer",
    status_code=status.HTTP_201_CREATED,
    responses=_CONFLICT,
)
async def create_search(
    request: KeptSearchRequest, scoped: Searching, limit: Limit = 50, key: IdempotencyKey = None
) -> KeptSearch:
    """The answer stays as it is until it is refreshed or judged; `gallery_changed` says when that is worth it."""
    question = Question(
        examples=tuple(dict.fromkeys(Example(e.tracklet_id, e.photo_id, e.person) for e in request.examples)),
        filters=request.filters.of_gallery,
        k=request.k,
        exclude_examples=request.filters.exclude_examples,
        exclude_example_cameras=request.filters.exclude_example_cameras,
        min_probability=request.filters.least,
        rerank=request.rerank,
        reason=request.reason,
    )
    async with scoped.search_slots:
        return await run_in_threadpool(lambda: _page(scoped, scoped.searches.make(question, key), limit))


@router.get("", operation_id="list_searches", summary="One's own searches")
async def list_searches(scoped: Searching) -> KeptSearchList:
    found = await run_in_threadpool(scoped.searches.own)
    return KeptSearchList(items=[KeptSearchSummary(**_summary(one)) for one in found])


@router.get("/{search_id}", operation_id="get_search", summary="A page of a search's answer", responses=_CONFLICT)
async def get_search(
    scoped: Searching,
    search_id: SearchId,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
) -> KeptSearch:
    """The same answer every time; what was erased, or is out of scope by now, is not in it."""
    return await run_in_threadpool(lambda: _page(scoped, scoped.searches.get(search_id), limit, cursor))


@router.patch("/{search_id}", operation_id="rename_search", summary="Name a search", responses=_GONE)
async def rename_search(change: SearchChange, scoped: Searching, search_id: SearchId) -> KeptSearchSummary:
    """Question, answer and feedback stay as they are, and it lapses when it would have."""
    return KeptSearchSummary(**_summary(await run_in_threadpool(scoped.searches.rename, search_id, change.name)))


@router.get("/{search_id}/groups", operation_id="group_search", summary="Matches by camera or by time", responses=_GONE)
async def group_search(
    scoped: Searching,
    search_id: SearchId,
    by: Literal["camera", "time"] = "camera",
    gap_minutes: Annotated[
        float, Query(ge=0, le=7 * 24 * 60, description="By time: a longer pause begins another group.")
    ] = 10.0,
) -> KeptSearchGroups:
    """All matches of the answer, counted. Cameras by their best match, times newest first."""

    def read() -> KeptSearchGroups:
        state = scoped.searches.get(search_id)
        matches = scoped.searches.matches(state.ranked, 1)
        names = scoped.camera_names()
        groups = by_camera(matches) if by == "camera" else by_time(matches, timedelta(minutes=gap_minutes))
        return KeptSearchGroups(
            revision=state.search.answer.revision,
            total=len(matches),
            groups=[
                KeptSearchGroup(
                    camera_id=group.camera_id,
                    camera_name=names.get(group.camera_id, group.camera_id) if group.camera_id else None,
                    since=group.since,
                    until=group.until,
                    count=len(group.matches),
                    best=match_shown(group.matches[0], names),
                    tracklet_ids=[match.record.id for match in group.matches],
                )
                for group in groups
            ],
        )

    return await run_in_threadpool(read)


@router.post("/{search_id}/refresh", operation_id="refresh_search", summary="Answer a search anew", responses=_CONFLICT)
async def refresh_search(scoped: Searching, search_id: SearchId, limit: Limit = 50) -> KeptSearch:
    """Over the gallery as it is, with the feedback so far. Cursors of the answer before end."""
    async with scoped.search_slots:
        return await run_in_threadpool(lambda: _page(scoped, scoped.searches.refresh(search_id), limit))


@router.put(
    "/{search_id}/feedback/{tracklet_id}",
    operation_id="judge_match",
    summary="Confirm or reject a match, or leave it open",
    responses=_CONFLICT,
)
async def judge_match(
    request: FeedbackRequest,
    scoped: Searching,
    search_id: SearchId,
    tracklet_id: str = TrackletIdPath,
    limit: Limit = 50,
) -> KeptSearch:
    """Ranks anew at once: what is confirmed joins the examples, what is rejected goes with the rest of its track.

    The same verdict again changes nothing.
    """
    async with scoped.search_slots:
        return await run_in_threadpool(
            lambda: _page(scoped, scoped.searches.judge(search_id, tracklet_id, request.verdict), limit)
        )


@router.delete(
    "/{search_id}/feedback/{tracklet_id}",
    operation_id="unjudge_match",
    summary="Take feedback back",
    responses=_CONFLICT,
)
async def unjudge_match(
    scoped: Searching, search_id: SearchId, tracklet_id: str = TrackletIdPath, limit: Limit = 50
) -> KeptSearch:
    """Ranks anew as if it had not been given."""
    async with scoped.search_slots:
        return await run_in_threadpool(
            lambda: _page(scoped, scoped.searches.judge(search_id, tracklet_id, None), limit)
        )


@router.delete(
    "/{search_id}",
    operation_id="delete_search",
    summary="Forget a search",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=_GONE,
)
async def delete_search(scoped: Searching, search_id: SearchId) -> None:
    await run_in_threadpool(scoped.searches.delete, search_id)


def _page(scoped: Scoped, state: SearchState, limit: int, cursor: str | None = None) -> KeptSearch:
    search, names = state.search, scoped.camera_names()
    first = _begin(search, state, cursor)
    places = state.ranked[first : first + limit]
    more = first + limit < len(state.ranked)
    question, since = search.question, state.since
    there = {record.id for record in state.examples}
    f = question.filters
    return KeptSearch(
        **_summary(search),
        examples=[
            SearchExample(tracklet_id=e.tracklet_id, photo_id=e.photo_id, person=e.person)
            for e in question.examples
            if e.tracklet_id is None or e.tracklet_id in there
        ],
        examples_gone=state.examples_gone,
        filters=SearchFilters(
            cameras=sorted(f.cameras) if f.cameras is not None else None,
            exclude_cameras=sorted(f.exclude_cameras),
            modality=f.modality,
            since=f.since,
            until=f.until,
            exclude_examples=question.exclude_examples,
            exclude_example_cameras=question.exclude_example_cameras,
            min_probability=question.min_probability,
        ),
        k=question.k,
        rerank=question.rerank,
        model_hash=search.answer.model_hash,
        total=len(state.ranked),
        matches=[match_shown(match, names) for match in scoped.searches.matches(places, first + 1, state.at_hand)],
        next_cursor=_written(search.answer.revision, places[-1].tracklet_id) if more else None,
        feedback=[
            Feedback(
                tracklet=tracklet_shown(record, names),
                verdict=verdict.kind,
                account=verdict.account,
                token=verdict.token,
                at=verdict.at,
            )
            for record, verdict in sorted(state.judged, key=lambda judged: judged[1].at)
        ],
        gallery_changed=state.gallery_changed,
        new_sightings=len(since.new) if since.new is not None else None,
        revised_sightings=len(since.revised) if since.revised is not None else None,
        changes_exact=since.exact,
        other_model=state.other_model,
        vanished=state.vanished,
        scope_widened=state.scope_widened,
        note=NOTE,
    )


def _summary(search: StoredSearch) -> dict[str, Any]:
    return {
        "id": search.id,
        "name": search.name,
        "created_at": search.created_at,
        "answered_at": search.answer.at,
        "expires_at": search.expires_at,
        "revision": search.answer.revision,
        "reason": search.question.reason,
    }


def _begin(search: StoredSearch, state: SearchState, cursor: str | None) -> int:
    """The place in the state's ranking where a cursor's page begins.

    A cursor names the last sighting shown, by what stays in its place when it is erased; never a place, which would
    tell how many lie out of scope.
    """
    if cursor is None:
        return 0
    revision, last = _read(cursor)
    if revision != search.answer.revision:
        raise ProblemError(409, "answer-changed", "The answer was made anew meanwhile. Begin with its first page.")
    order = {tombstone(one.tracklet_id): place for place, one in enumerate(search.answer.ranked)}
    if last not in order:
        raise _bad_cursor()
    return sum(order[tombstone(one.tracklet_id)] <= order[last] for one in state.ranked)


def _written(revision: int, last: str) -> str:
    return base64.urlsafe_b64encode(f"{revision}.{tombstone(last)}".encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[int, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    found = _CURSOR.fullmatch(text)
    if not found:
        raise _bad_cursor()
    return int(found[1]), found[2]


def _bad_cursor() -> ProblemError:
    return ProblemError(422, "invalid", "cursor: expected one that an earlier page of this search returned")
