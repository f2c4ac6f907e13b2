"""Exports of cases as one account may use them: made of what it sees, fetched only by who still sees all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.sealing import SealError
from service.api.idempotency import id_for
from service.cases import Export, ExportState
from service.cases.export_job import UNDER_WAY
from service.cases.exporter import ExportJob
from service.problems import ProblemError
from service.security.access import Access, Permission
from service.security.people import recorded

if TYPE_CHECKING:
    from pydantic import BaseModel

    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["ScopedExports"]

MAX_UNDER_WAY = 3  # of one account


@dataclass(frozen=True, slots=True)
class ScopedExports:
    """The exports of cases that an account takes part in: its own, and an administrator of all cameras all of them.

    Every method may raise what `Scoped` may, and ProblemError: 404, 409.
    """

    services: Services
    scoped: Scoped
    require: Callable[[Permission], None]

    def start(
        self, case_id: str, reason: str, *, blurred: bool, key: str | None, request: BaseModel
    ) -> tuple[Export, bool]:
        """Have an export made of what the account sees. Returns the job and whether it is new."""
        self.require(Permission.EXPORT)
        case, account, now = self.scoped.cases.require_part(case_id), self._access.account, datetime.now(UTC)
        export = Export(
            id=id_for(self.services.redis, account, f"export:{case.id}", key, request),
            case_id=case.id,
            account=account,
            reason=reason,
            blurred=blurred,
            state=ExportState.QUEUED,
            created_at=now,
            expires_at=now + timedelta(days=self.services.settings.export_days),
        )
        if self.services.exports.get(export.id) is not None:
            return self.get(case.id, export.id), False
        under_way = [e for e in self.services.exports.all() if e.account == account and e.state in UNDER_WAY]
        if len(under_way) >= MAX_UNDER_WAY:
            raise ProblemError(409, "too-many", f"{MAX_UNDER_WAY} of your exports are still being made.")
        told = {"case": case.id, "export": export.id, "reason": reason, "blurred": blurred}
        with recorded(self.services.audit, "export", self.scoped.trail, **told):
            made, new = self.services.exports.add(export)
        if new:
            self.services.exporter.submit(ExportJob(made, self._access, self.scoped.trail))
        return made, new

    def of_case(self, case_id: str) -> list[Export]:
        """Newest first."""
        self.require(Permission.EXPORT)
        case = self.scoped.cases.get(case_id)
        return [export for export in self.services.exports.of_case(case.id) if self._sees(export)]

    def get(self, case_id: str, export_id: str) -> Export:
        self.require(Permission.EXPORT)
        case = self.scoped.cases.get(case_id)
        export = self.services.exports.get(export_id)
        if export is None or export.case_id != case.id or not self._sees(export):
            raise ProblemError(404, "export-not-found", "There is no such export.")
        return export

    def fetch(self, case_id: str, export_id: str) -> tuple[Export, Iterator[bytes]]:
        """The ZIP in pieces; recorded before any is given. Raises ProblemError 409 when there is none."""
        export = self.get(case_id, export_id)
        if export.state is not ExportState.DONE:
            raise ProblemError(409, "export-not-there", export.error or f"The export is {export.state.value}.")
        try:
            found = self.services.exports.read(export.id)
        except FileNotFoundError:
            raise ProblemError(409, "export-not-there", "Its file is not on this machine.") from None
        except SealError:
            sentence = "It is encrypted with a key that is not there any more. Export the case again."
            raise ProblemError(409, "export-not-there", sentence) from None
        told = {"case": case_id, "export": export.id, "sha256": export.sha256}
        self.services.audit.append("export.fetch", self.scoped.trail, **told)
        return export, found

    def remove(self, case_id: str, export_id: str) -> None:
        """Forget an export and its file; one that is being made is stopped."""
        export = self.get(case_id, export_id)
        with recorded(self.services.audit, "export.remove", self.scoped.trail, case=case_id, export=export.id):
            self.services.exports.remove(export.id)

    @property
    def _access(self) -> Access:
        return self.scoped.access

    def _sees(self, export: Export) -> bool:
        """Whether it is one's own, or one leads all cases, and sees every camera in it."""
        mine = self.scoped.cases.over_all or (
            export.account == self._access.account and export.created_at >= self.services.accounts.born(export.account)
        )
        return mine and all(self._access.sees(camera) for camera in export.cameras or ())
