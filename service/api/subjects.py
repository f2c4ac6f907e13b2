"""Subjects: confirmed sightings of one person, proposals of more, timelines, and ways between cameras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response, status
from starlette.concurrency import run_in_threadpool

from service.api.access import ManagingCameras, ManagingSubjects, Searching, Viewing
from service.api.cameras import CameraIdPath
from service.api.idempotency import IdempotencyKey, made_before
from service.api.paging import Cursor, Limit, page_of
from service.api.schema import TrackletId
from service.api.schema_subjects import (
    ConflictInfo,
    DecisionRequest,
    PendingMerge,
    Proposal,
    Proposals,
    ProposalsRequest,
    Stay,
    Subject,
    SubjectChange,
    SubjectCreate,
    SubjectMerge,
    SubjectMove,
    SubjectPage,
    SubjectSighting,
    SubjectSplit,
    SubjectTimeline,
    TimelineSighting,
    TransitionInfo,
    WalkingTime,
    WalkingTimeList,
    WalkingTimeRequest,
)
from service.api.scoped import Scoped
from service.api.search import NOTE
from service.api.tracklets import TrackletIdPath, tracklet_shown
from service.gallery import GalleryFilter, TrackletRecord
from service.problems import Problem
from service.subjects import Decision, Timeline
from service.subjects import Subject as SubjectRecord

__all__ = ["router", "subject_shown"]

router = APIRouter(tags=["subjects"])
SubjectIdPath = Path(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$", examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])
_OtherCameraIdPath = Path(
    pattern=r"^[a-z0-9-]{1,64}$", description="The other camera's id.", examples=["car-park-south"]
)
_OtherSubjectIdPath = Path(
    pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$", description="The other's id.", examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCE"]
)
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such subject."}}
_CHANGING: dict[int | str, dict[str, Any]] = {
    **_MISSING,
    409: {"model": Problem, "description": "It was changed meanwhile, or others stand in the way."},
}


@router.get("/subjects", operation_id="list_subjects", summary="Subjects, newest first")
async def list_subjects(
    scoped: Viewing,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[TrackletId | None, Query(description="`next_cursor` of the page before.")] = None,
    pending: Annotated[bool, Query(description="Only where something waits for a second person.")] = False,
) -> SubjectPage:
    """Those with a confirmed or pending sighting of a camera that the account sees."""

    def read() -> SubjectPage:
        found, after = scoped.subjects.page(limit, cursor, only_pending=pending)
        names = scoped.camera_names()
        return SubjectPage(items=[subject_shown(one, names, with_sightings=False) for one in found], next_cursor=after)

    return await run_in_threadpool(read)


@router.post(
    "/subjects",
    operation_id="add_subject",
    summary="Make a subject of sightings",
    status_code=status.HTTP_201_CREATED,
    responses={**_CHANGING, **made_before(Subject)},
)
async def add_subject(
    request: SubjectCreate, scoped: ManagingSubjects, response: Response, key: IdempotencyKey = None
) -> Subject:
    """A sighting is confirmed in one subject only. The same again, with the same key, answers 200.

    Where two have to confirm, the sightings are `pending` until another account confirms each.
    """

    def make() -> Subject:
        made, new = scoped.subjects.add(request.name, request.tracklet_ids, key, request)
        response.status_code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
        response.headers["Location"] = f"/api/v1/subjects/{made.id}"
        return subject_shown(made, scoped.camera_names())

    return await run_in_threadpool(make)


@router.get("/subjects/{subject_id}", operation_id="get_subject", summary="One subject", responses=_MISSING)
async def get_subject(scoped: Viewing, subject_id: str = SubjectIdPath) -> Subject:
    """An id of a subject that was merged answers with the one it is now; see `previous_ids`."""
    return await run_in_threadpool(lambda: subject_shown(scoped.subjects.get(subject_id), scoped.camera_names()))


@router.patch("/subjects/{subject_id}", operation_id="rename_subject", summary="Name a subject", responses=_CHANGING)
async def rename(change: SubjectChange, scoped: ManagingSubjects, subject_id: str = SubjectIdPath) -> Subject:
    def do() -> Subject:
        return subject_shown(scoped.subjects.rename(subject_id, change.revision, change.name), scoped.camera_names())

    return await run_in_threadpool(do)


@router.delete(
    "/subjects/{subject_id}",
    operation_id="remove_subject",
    summary="Forget a subject",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=_CHANGING,
)
async def remove(
    scoped: ManagingSubjects, revision: Annotated[int, Query(ge=1)], subject_id: str = SubjectIdPath
) -> None:
    """Its sightings stay in the gallery; the ids it had lead nowhere any more."""
    await run_in_threadpool(scoped.subjects.remove, subject_id, revision)


@router.put(
    "/subjects/{subject_id}/tracklets/{tracklet_id}",
    operation_id="decide_tracklet",
    summary="Confirm or reject a sighting",
    responses=_CHANGING,
)
async def decide(
    request: DecisionRequest,
    scoped: ManagingSubjects,
    subject_id: str = SubjectIdPath,
    tracklet_id: str = TrackletIdPath,
) -> Subject:
    """The latest decision counts; the same again changes nothing. A rejected sighting is not proposed again.

    Where two have to confirm (`two_person_confirmation`), what the first one confirms is `pending` until another
    account does the same.
    """

    def do() -> Subject:
        confirmed = request.decision == "confirmed"
        return subject_shown(
            scoped.subjects.decide(subject_id, tracklet_id, confirmed=confirmed), scoped.camera_names()
        )

    return await run_in_threadpool(do)


@router.delete(
    "/subjects/{subject_id}/tracklets/{tracklet_id}",
    operation_id="withdraw_tracklet",
    summary="Take a decision back",
    responses=_CHANGING,
)
async def withdraw(
    scoped: ManagingSubjects, subject_id: str = SubjectIdPath, tracklet_id: str = TrackletIdPath
) -> Subject:
    def do() -> Subject:
        return subject_shown(scoped.subjects.withdraw(subject_id, tracklet_id), scoped.camera_names())

    return await run_in_threadpool(do)


@router.post(
    "/subjects/{subject_id}/merge", operation_id="merge_subjects", summary="Two subjects are one", responses=_CHANGING
)
async def merge(request: SubjectMerge, scoped: ManagingSubjects, subject_id: str = SubjectIdPath) -> Subject:
    """The other's sightings come here, and its id leads here from now on; a split takes sightings out again.

    Where two have to confirm, the first one only proposes it (`pending_merges`), and another account's same request
    does it.
    """

    def do() -> Subject:
        merged = scoped.subjects.merge(subject_id, request.revision, request.other_id, request.other_revision)
        return subject_shown(merged, scoped.camera_names())

    return await run_in_threadpool(do)


@router.delete(
    "/subjects/{subject_id}/merge/{other_id}",
    operation_id="withdraw_merge",
    summary="Take back a proposal to merge",
    responses=_CHANGING,
)
async def withdraw_merge(
    scoped: ManagingSubjects, subject_id: str = SubjectIdPath, other_id: str = _OtherSubjectIdPath
) -> Subject:
    def do() -> Subject:
        return subject_shown(scoped.subjects.withdraw_merge(subject_id, other_id), scoped.camera_names())

    return await run_in_threadpool(do)


@router.post(
    "/subjects/{subject_id}/split",
    operation_id="split_subject",
    summary="Some sightings are somebody else",
    status_code=status.HTTP_201_CREATED,
    responses={**_CHANGING, **made_before(Subject)},
)
async def split(
    request: SubjectSplit,
    scoped: ManagingSubjects,
    response: Response,
    key: IdempotencyKey = None,
    subject_id: str = SubjectIdPath,
) -> Subject:
    """They become a subject of their own, which says what it was split from. The same again, with the same key,
    answers 200.
    """

    def do() -> Subject:
        given = subject_id, request.revision, request.tracklet_ids, request.name
        made, new = scoped.subjects.split(*given, key, request)
        response.status_code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
        response.headers["Location"] = f"/api/v1/subjects/{made.id}"
        return subject_shown(made, scoped.camera_names())

    return await run_in_threadpool(do)


@router.post(
    "/subjects/{subject_id}/move",
    operation_id="move_tracklets",
    summary="Some sightings are of another subject",
    responses=_CHANGING,
)
async def move(request: SubjectMove, scoped: ManagingSubjects, subject_id: str = SubjectIdPath) -> Subject:
    """Taken out here and confirmed there, in one step; answers with the other subject. Done already, it changes
    nothing. All of them are moved by a merge.

    Where two have to confirm, they are `pending` there until another account confirms each.
    """

    def do() -> Subject:
        given = request.revision, request.tracklet_ids, request.other_id, request.other_revision
        return subject_shown(scoped.subjects.move(subject_id, *given), scoped.camera_names())

    return await run_in_threadpool(do)


@router.post(
    "/subjects/{subject_id}/proposals",
    operation_id="propose_links",
    summary="Sightings that are probably of the subject",
    responses={**_MISSING, 409: {"model": Problem, "description": "There is no sighting to search with."}},
)
async def propose(request: ProposalsRequest, scoped: Searching, subject_id: str = SubjectIdPath) -> Proposals:
    """Searched with the subject's best sightings. Nothing is linked until somebody confirms or rejects it."""
    f = request.filters
    filters = GalleryFilter(
        cameras=frozenset(f.cameras) if f.cameras is not None else None,
        modality=f.modality,
        since=f.since,
        until=f.until,
        exclude_cameras=frozenset(f.exclude_cameras),
    )
    least = max(request.min_probability, f.min_probability or 0.0)

    def run() -> Proposals:
        found, examples = scoped.subjects.proposals(
            subject_id, filters, request.limit, min_probability=least, reason=request.reason
        )
        names = scoped.camera_names()
        return Proposals(
            items=[
                Proposal(
                    tracklet=tracklet_shown(one.match.record, names),
                    probability=one.match.probability or 0.0,
                    cosine=one.match.cosine,
                    subject_id=one.subject_id,
                    impossible=bool(one.conflicts),
                    contradicts=[
                        which.id
                        for conflict in one.conflicts
                        for which in (conflict.first, conflict.second)
                        if which.id != one.match.record.id
                    ],
                )
                for one in found
            ],
            examples=examples,
            note=NOTE,
        )

    async with scoped.search_slots:
        return await run_in_threadpool(run)


@router.get(
    "/subjects/{subject_id}/timeline",
    operation_id="get_subject_timeline",
    summary="Where a subject was when",
    responses=_MISSING,
)
async def get_timeline(scoped: Viewing, subject_id: str = SubjectIdPath) -> SubjectTimeline:
    """Transitions and pairs that the distance of the cameras makes impossible are flagged."""

    def read() -> SubjectTimeline:
        subject, timeline = scoped.subjects.timeline(subject_id)
        return timeline_shown(subject.id, timeline, scoped)

    return await run_in_threadpool(read)


@router.get("/walking-times", operation_id="list_walking_times", summary="Least times between cameras")
async def list_walking_times(scoped: Viewing, limit: Limit = 200, cursor: Cursor = None) -> WalkingTimeList:
    """They count before what follows from the cameras' positions."""

    def read() -> WalkingTimeList:
        times, after = page_of(scoped.walks.times().items(), lambda one: "\0".join(one[0]), limit, cursor)
        return WalkingTimeList(items=[WalkingTime(camera_ids=list(p), seconds=s) for p, s in times], next_cursor=after)

    return await run_in_threadpool(read)


@router.put(
    "/walking-times/{camera_id}/{other_id}",
    operation_id="set_walking_time",
    summary="Set the least time between two cameras",
    responses=_MISSING,
)
async def set_walking_time(
    request: WalkingTimeRequest,
    scoped: ManagingCameras,
    camera_id: str = CameraIdPath,
    other_id: str = _OtherCameraIdPath,
) -> WalkingTime:
    """The same in both directions."""
    await run_in_threadpool(scoped.walks.put, camera_id, other_id, request.seconds)
    return WalkingTime(camera_ids=[camera_id, other_id], seconds=request.seconds)


@router.delete(
    "/walking-times/{camera_id}/{other_id}",
    operation_id="remove_walking_time",
    summary="Forget a time between two cameras",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=_MISSING,
)
async def remove_walking_time(
    scoped: ManagingCameras, camera_id: str = CameraIdPath, other_id: str = _OtherCameraIdPath
) -> None:
    await run_in_threadpool(scoped.walks.remove, camera_id, other_id)


def timeline_shown(subject_id: str, timeline: Timeline, scoped: Scoped) -> SubjectTimeline:
    """A timeline as the API tells of it."""
    names = scoped.camera_names()
    return SubjectTimeline(
        subject_id=subject_id,
        first_seen=timeline.first_seen,
        last_seen=timeline.last_seen,
        sightings=[
            TimelineSighting(tracklet=tracklet_shown(s, names), dwell_s=(s.ended_at - s.started_at).total_seconds())
            for s in timeline.sightings
            if isinstance(s, TrackletRecord)
        ],
        transitions=[
            TransitionInfo(
                from_tracklet_id=t.before.id,
                to_tracklet_id=t.after.id,
                from_camera_id=t.before.camera_id,
                to_camera_id=t.after.camera_id,
                gap_s=t.gap_s,
                least_s=t.least_s,
                impossible=t.impossible,
            )
            for t in timeline.transitions
        ],
        stays=[
            Stay(
                camera_id=s.camera_id,
                camera_name=names.get(s.camera_id, s.camera_id),
                sightings=s.sightings,
                dwell_s=s.dwell_s,
            )
            for s in timeline.stays
        ],
        conflicts=[
            ConflictInfo(tracklet_ids=(c.first.id, c.second.id), gap_s=c.gap_s, least_s=c.least_s)
            for c in timeline.conflicts
        ],
        conflict_count=timeline.conflict_count,
        max_speed_mps=scoped.settings.max_speed_mps,
    )


def subject_shown(subject: SubjectRecord, names: Mapping[str, str], *, with_sightings: bool = True) -> Subject:
    """A subject as the API tells of it."""
    sightings = [
        *_sightings(subject.confirmed, "confirmed", names),
        *_sightings(subject.pending, "pending", names),
        *_sightings(subject.rejected, "rejected", names),
    ]
    merges = [
        PendingMerge(subject_id=one, account=p.account, at=p.at) for one, p in sorted(subject.pending_merges.items())
    ]
    return Subject(
        id=subject.id,
        number=subject.number,
        name=subject.name,
        revision=subject.revision,
        account=subject.account,
        created_at=subject.created_at,
        changed_at=subject.changed_at,
        confirmed_count=len(subject.confirmed),
        pending_count=len(subject.pending),
        previous_ids=list(subject.previous_ids),
        split_from=subject.split_from,
        sightings=sightings if with_sightings else None,
        pending_merges=merges if with_sightings else None,
    )


def _sightings(
    decisions: Mapping[str, Decision], decision: Literal["confirmed", "pending", "rejected"], names: Mapping[str, str]
) -> list[SubjectSighting]:
    return [
        SubjectSighting(
            tracklet_id=one,
            camera_id=d.camera_id,
            camera_name=names.get(d.camera_id, d.camera_id),
            decision=decision,
            account=d.account,
            at=d.at,
            proposed_by=d.proposed.account if d.proposed is not None else None,
            proposed_at=d.proposed.at if d.proposed is not None else None,
        )
        for one, d in sorted(decisions.items())
    ]
