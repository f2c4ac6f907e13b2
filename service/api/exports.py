"""Exports of cases: ask for one, see how far it is, fetch the file."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Path, Response, status
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from service.api.access import Exporting
from service.api.cases import CHANGING, MISSING, CaseIdPath
from service.api.idempotency import IdempotencyKey, made_before
from service.api.schema_cases import ExportInfo, ExportList, ExportRequest
from service.cases import Export

__all__ = ["router"]

router = APIRouter(prefix="/cases/{case_id}/exports", tags=["exports"])
ExportIdPath = Path(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$", examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])
_ZIP: dict[int | str, dict[str, Any]] = {200: {"content": {"application/zip": {}}, "description": "A signed ZIP."}}


@router.post(
    "",
    operation_id="export_case",
    summary="Export a case",
    status_code=status.HTTP_202_ACCEPTED,
    responses={**CHANGING, **made_before(ExportInfo)},
)
async def export_case(
    request: ExportRequest,
    scoped: Exporting,
    response: Response,
    key: IdempotencyKey = None,
    case_id: str = CaseIdPath,
) -> ExportInfo:
    """A ZIP with pictures, JSON, a page to read, a manifest of hashes and a signature, of what the account sees.

    Who exported what and why is in the audit log.
    """

    def start() -> ExportInfo:
        export, new = scoped.exports.start(case_id, request.reason, blurred=request.blur, key=key, request=request)
        response.status_code = status.HTTP_202_ACCEPTED if new else status.HTTP_200_OK
        response.headers["Location"] = f"/api/v1/cases/{case_id}/exports/{export.id}"
        return _shown(export)

    return await run_in_threadpool(start)


@router.get("", operation_id="list_exports", summary="Exports of a case, newest first", responses=MISSING)
async def list_exports(scoped: Exporting, case_id: str = CaseIdPath) -> ExportList:
    """One's own; all of them for administrators of all cameras."""

    def read() -> ExportList:
        return ExportList(items=[_shown(export) for export in scoped.exports.of_case(case_id)])

    return await run_in_threadpool(read)


@router.get("/{export_id}", operation_id="get_export", summary="How far an export is", responses=MISSING)
async def get_export(scoped: Exporting, case_id: str = CaseIdPath, export_id: str = ExportIdPath) -> ExportInfo:
    return await run_in_threadpool(lambda: _shown(scoped.exports.get(case_id, export_id)))


@router.get(
    "/{export_id}/file",
    operation_id="fetch_export",
    summary="The ZIP",
    response_class=Response,
    responses={**CHANGING, **_ZIP},
)
async def fetch_export(scoped: Exporting, case_id: str = CaseIdPath, export_id: str = ExportIdPath) -> Response:
    """Check it with `tapetum exports verify`."""
    export, pieces = await run_in_threadpool(scoped.exports.fetch, case_id, export_id)
    headers = {
        "Content-Disposition": f'attachment; filename="case-{case_id}-{export_id}.zip"',
        "Content-Length": str(export.size_bytes),
    }
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


@router.delete(
    "/{export_id}",
    operation_id="remove_export",
    summary="Remove an export",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=MISSING,
)
async def remove_export(scoped: Exporting, case_id: str = CaseIdPath, export_id: str = ExportIdPath) -> None:
    """One that is being made is stopped."""
    await run_in_threadpool(scoped.exports.remove, case_id, export_id)


def _shown(export: Export) -> ExportInfo:
    return ExportInfo(
        id=export.id,
        case_id=export.case_id,
        account=export.account,
        reason=export.reason,
        blurred=export.blurred,
        state=export.state,
        done=export.done,
        total=export.total,
        created_at=export.created_at,
        finished_at=export.finished_at,
        expires_at=export.expires_at,
        size_bytes=export.size_bytes,
        sha256=export.sha256,
        manifest_sha256=export.manifest_sha256,
        key=export.key,
        error=export.error,
    )
