"""The audit log for administrators: read it, check it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool

from service.api.access import Auditing
from service.api.schema import Moment
from service.api.schema_people import AuditEntry, AuditPage, AuditVerification
from service.audit import AuditLog, LastVerification
from service.security.access import Permission

__all__ = ["WantedEntries", "audit_page", "entry_moment", "router"]

router = APIRouter(prefix="/audit", tags=["audit"])
MAX_LOOKED_AT = 5000  # entries for one page; a page may be short, its cursor goes on
CLOCKS_DIFFER = timedelta(minutes=5)  # between API processes


@router.get("", operation_id="list_audit", summary="Audit log, newest first")
async def list_audit(
    scoped: Auditing,
    event: Annotated[str | None, Query(max_length=64, description="Events that begin so: `login`, `search`.")] = None,
    account: Annotated[str | None, Query(max_length=64)] = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[int | None, Query(ge=1, le=2**53, description="`next_cursor` of the page before.")] = None,
) -> AuditPage:
    """A page can hold fewer entries than asked for, or none, and still have a next one."""
    services = scoped.of_every_camera(Permission.AUDIT)

    def read() -> AuditPage:
        wanted = WantedEntries(event, account, since, until)
        items, after = audit_page(services.audit, wanted, limit, cursor)
        head = services.audit.head()
        return AuditPage(
            items=[AuditEntry(**item) for item in items],
            next_cursor=after,
            head=str(head) if head else None,
            verification=_shown(services.verification.last),
        )

    return await run_in_threadpool(read)


@router.get("/verification", operation_id="verify_audit", summary="Check the whole audit log")
async def verify_audit(scoped: Auditing) -> AuditVerification:
    """Recomputes every hash. An answer can be half a minute old; `tapetum audit verify` checks without the service."""
    services = scoped.of_every_camera(Permission.AUDIT)
    shown = _shown(await run_in_threadpool(services.verification.fresh))
    assert shown is not None  # noqa: S101  a fresh one is one
    return shown


@dataclass(frozen=True, slots=True)
class WantedEntries:
    """The filters of a page; `event` is how its name begins."""

    event: str | None = None
    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def admits(self, entry: dict[str, Any]) -> bool:
        at = entry_moment(entry)
        return (
            (self.event is None or str(entry["event"]).startswith(self.event))
            and (self.account is None or entry["account"] == self.account)
            and (self.since is None or at is None or at >= self.since)
            and (self.until is None or at is None or at <= self.until)
        )

    def ends_at(self, entry: dict[str, Any]) -> bool:
        """Whether everything before is too old."""
        at = entry_moment(entry)
        return self.since is not None and at is not None and at < self.since - CLOCKS_DIFFER


def audit_page(
    audit: AuditLog, wanted: WantedEntries, limit: int, before: int | None
) -> tuple[list[dict[str, Any]], int | None]:
    """Entries that are wanted, newest first, and where to go on."""
    found: list[dict[str, Any]] = []
    looked_at = 0
    while looked_at < MAX_LOOKED_AT:
        batch = audit.newest(before)
        for entry in batch:
            if wanted.ends_at(entry):
                return found, None
            before = entry["seq"]
            looked_at += 1
            if wanted.admits(entry):
                found.append(entry)
                if len(found) == limit:
                    return found, before if before > 1 else None
        if not batch:
            return found, None
    return found, before


def entry_moment(entry: dict[str, Any]) -> datetime | None:
    """When an entry was written; None where that cannot be read."""
    try:
        return datetime.fromisoformat(entry["at"])
    except (TypeError, ValueError):
        return None


def _shown(last: LastVerification | None) -> AuditVerification | None:
    if last is None:
        return None
    found = last.outcome
    return AuditVerification(
        verified_at=last.at,
        intact=found.intact,
        checked=found.checked,
        head=str(found.head) if found.head else None,
        broken_at=found.broken_at,
        reason=found.reason,
    )
