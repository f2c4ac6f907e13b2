"""Cases: title, notes, pinned sightings and subjects, open or closed, for their owner and members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response, status
from starlette.concurrency import run_in_threadpool

from service.api.access import ManagingCases, Viewing
from service.api.idempotency import IdempotencyKey, made_before
from service.api.schema import TrackletId
from service.api.schema_cases import (
    Case,
    CaseChange,
    CaseCreate,
    CasePage,
    NoteCreate,
    NoteInfo,
    NotePage,
    PinInfo,
    Pinned,
    PinPage,
    PinRequest,
)
from service.api.scoped import Scoped
from service.api.scoped_cases import PinSeen
from service.api.subjects import subject_shown
from service.api.tracklets import tracklet_shown
from service.cases import Case as CaseRecord
from service.cases import Note
from service.problems import Problem, ProblemError

__all__ = ["CHANGING", "MISSING", "CaseIdPath", "router"]

router = APIRouter(prefix="/cases", tags=["cases"])
_ULID = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"
CaseIdPath = Path(pattern=_ULID, examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])
_PinIdPath = Path(pattern=_ULID, description="Of the pin.", examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])
MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such case."}}
CHANGING: dict[int | str, dict[str, Any]] = {
    **MISSING,
    409: {"model": Problem, "description": "It was changed meanwhile, is closed, or holds as much as it may."},
}
Cursor = Annotated[TrackletId | None, Query(description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("", operation_id="list_cases", summary="Cases, newest first")
async def list_cases(scoped: Viewing, limit: Limit = 50, cursor: Cursor = None) -> CasePage:
    """One's own, and those one is a member of; all of them for administrators of all cameras."""

    def read() -> CasePage:
        found, after = scoped.cases.page(limit, cursor)
        return CasePage(items=[_shown(case) for case in found], next_cursor=after)

    return await run_in_threadpool(read)


@router.post(
    "",
    operation_id="add_case",
    summary="Open a case",
    status_code=status.HTTP_201_CREATED,
    responses={**CHANGING, **made_before(Case)},
)
async def add_case(request: CaseCreate, scoped: ManagingCases, response: Response, key: IdempotencyKey = None) -> Case:
    """Who opens it owns it. The same again, with the same key, answers 200."""

    def make() -> Case:
        case, new = scoped.cases.add(request.title, request.members, key, request, readers=request.readers)
        response.status_code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
        response.headers["Location"] = f"/api/v1/cases/{case.id}"
        return _counted(scoped, case)

    return await run_in_threadpool(make)


@router.get("/{case_id}", operation_id="get_case", summary="One case", responses=MISSING)
async def get_case(scoped: Viewing, case_id: str = CaseIdPath) -> Case:
    return await run_in_threadpool(lambda: _counted(scoped, scoped.cases.get(case_id)))


@router.patch("/{case_id}", operation_id="change_case", summary="Change a case", responses=CHANGING)
async def change_case(change: CaseChange, scoped: ManagingCases, case_id: str = CaseIdPath) -> Case:
    """Title, state, owner, members, readers: only the fields given change."""
    given = {name: getattr(change, name) for name in change.model_fields_set - {"revision"}}
    if None in given.values():
        raise ProblemError(422, "invalid", "No field can be null.")
    return await run_in_threadpool(lambda: _counted(scoped, scoped.cases.change(case_id, change.revision, **given)))


@router.delete(
    "/{case_id}",
    operation_id="remove_case",
    summary="Remove a case",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=CHANGING,
)
async def remove_case(scoped: ManagingCases, revision: Annotated[int, Query(ge=1)], case_id: str = CaseIdPath) -> None:
    """Its notes, pins and exports go too; sightings and subjects stay. For its owner, or who leads all cases."""
    await run_in_threadpool(scoped.cases.remove, case_id, revision)


@router.get("/{case_id}/notes", operation_id="list_notes", summary="Notes, oldest first", responses=MISSING)
async def list_notes(scoped: Viewing, limit: Limit = 50, cursor: Cursor = None, case_id: str = CaseIdPath) -> NotePage:
    def read() -> NotePage:
        found, after = scoped.cases.notes(case_id, limit, cursor)
        return NotePage(items=[_note(one) for one in found], next_cursor=after)

    return await run_in_threadpool(read)


@router.post(
    "/{case_id}/notes",
    operation_id="add_note",
    summary="Write a note",
    status_code=status.HTTP_201_CREATED,
    responses={**CHANGING, **made_before(NoteInfo)},
)
async def add_note(
    request: NoteCreate,
    scoped: ManagingCases,
    response: Response,
    key: IdempotencyKey = None,
    case_id: str = CaseIdPath,
) -> NoteInfo:
    """A note says who wrote it and when; it is neither changed nor taken away."""

    def write() -> NoteInfo:
        note, new = scoped.cases.add_note(case_id, request.text, key, request)
        response.status_code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
        return _note(note)

    return await run_in_threadpool(write)


@router.get("/{case_id}/pins", operation_id="list_pins", summary="What is pinned", responses=MISSING)
async def list_pins(scoped: Viewing, limit: Limit = 50, cursor: Cursor = None, case_id: str = CaseIdPath) -> PinPage:
    """Of the cameras that the account sees."""

    def read() -> PinPage:
        found, after = scoped.cases.pins(case_id, limit, cursor)
        names = scoped.camera_names()
        return PinPage(items=[_pin(one, names) for one in found], next_cursor=after)

    return await run_in_threadpool(read)


@router.post("/{case_id}/pins", operation_id="pin", summary="Pin sightings and subjects", responses=CHANGING)
async def pin(request: PinRequest, scoped: ManagingCases, case_id: str = CaseIdPath) -> Pinned:
    """All of them or none. What is pinned already stays as it is. A pin does not keep a sighting: a hold does."""
    given = request.tracklet_ids, request.subject_ids, request.note
    return Pinned(added=await run_in_threadpool(scoped.cases.pin, case_id, *given))


@router.delete(
    "/{case_id}/pins/{pin_id}",
    operation_id="unpin",
    summary="Take a pin out",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=CHANGING,
)
async def unpin(scoped: ManagingCases, case_id: str = CaseIdPath, pin_id: str = _PinIdPath) -> None:
    await run_in_threadpool(scoped.cases.unpin, case_id, pin_id)


def _counted(scoped: Scoped, case: CaseRecord) -> Case:
    sightings, subjects = scoped.cases.counts(case)
    return _shown(case).model_copy(update={"sighting_count": sightings, "subject_count": subjects})


def _shown(case: CaseRecord) -> Case:
    return Case(
        id=case.id,
        title=case.title,
        state=case.state,
        owner=case.owner.account,
        members=[member.account for member in case.members],
        readers=[reader.account for reader in case.readers],
        revision=case.revision,
        created_at=case.created_at,
        changed_at=case.changed_at,
    )


def _note(note: Note) -> NoteInfo:
    return NoteInfo(id=note.id, account=note.account, at=note.at, text=note.text)


def _pin(seen: PinSeen, names: Mapping[str, str]) -> PinInfo:
    return PinInfo(
        id=seen.pin.id,
        kind=seen.pin.kind,
        account=seen.pin.account,
        at=seen.pin.at,
        note=seen.pin.note,
        tracklet=tracklet_shown(seen.record, names) if seen.record is not None else None,
        subject=subject_shown(seen.subject, names, with_sightings=False) if seen.subject is not None else None,
    )
