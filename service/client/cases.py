"""Cases, what is written and pinned in them, and their exports."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from models.files import replaced_whole
from service.api.schema_cases import (
    Case,
    CaseChange,
    CaseCreate,
    CasePage,
    ExportInfo,
    ExportList,
    ExportRequest,
    NoteCreate,
    NoteInfo,
    NotePage,
    PinInfo,
    Pinned,
    PinPage,
    PinRequest,
)
from service.cases.export_job import ExportState
from service.client.errors import DamagedError
from service.client.noun import Noun

__all__ = ["Cases", "Exports"]

_UNDER_WAY = frozenset({ExportState.QUEUED, ExportState.RUNNING})


class Cases(Noun):
    def list(self, *, page_size: int = 200) -> Iterator[Case]:
        """One's own and those one takes part in, newest first; pages are fetched as they are looked at."""
        return self._api.each(CasePage, "/cases", limit=page_size)

    def get(self, case_id: str) -> Case:
        return self._api.get(Case, f"/cases/{case_id}")

    def add(self, case: CaseCreate, *, key: str | None = None) -> Case:
        """Open a case, once for each `key`."""
        return self._api.create(Case, "/cases", case, key)

    def change(self, case_id: str, change: CaseChange) -> Case:
        """Title, state, owner, members: only the fields given."""
        return self._api.call(Case, "PATCH", f"/cases/{case_id}", change)

    def remove(self, case_id: str, revision: int) -> None:
        """Notes, pins and exports go with it; sightings and subjects stay."""
        self._api.send("DELETE", f"/cases/{case_id}", parameters={"revision": revision})

    def notes(self, case_id: str, *, page_size: int = 200) -> Iterator[NoteInfo]:
        """Oldest first."""
        return self._api.each(NotePage, f"/cases/{case_id}/notes", limit=page_size)

    def add_note(self, case_id: str, text: str, *, key: str | None = None) -> NoteInfo:
        """Write a note, once for each `key`. It stays as it is."""
        return self._api.create(NoteInfo, f"/cases/{case_id}/notes", NoteCreate(text=text), key)

    def pins(self, case_id: str, *, page_size: int = 200) -> Iterator[PinInfo]:
        """Sightings and subjects of the cameras that the account sees."""
        return self._api.each(PinPage, f"/cases/{case_id}/pins", limit=page_size)

    def pin(self, case_id: str, request: PinRequest) -> int:
        """Pin all of them or none. Returns how many were not pinned before."""
        return self._api.call(Pinned, "POST", f"/cases/{case_id}/pins", request).added

    def unpin(self, case_id: str, pin_id: str) -> None:
        self._api.send("DELETE", f"/cases/{case_id}/pins/{pin_id}")


class Exports(Noun):
    def list(self, case_id: str) -> Iterator[ExportInfo]:
        """One's own of a case, newest first."""
        return iter(self._api.get(ExportList, f"/cases/{case_id}/exports").items)

    def get(self, case_id: str, export_id: str) -> ExportInfo:
        return self._api.get(ExportInfo, f"/cases/{case_id}/exports/{export_id}")

    def start(self, case_id: str, reason: str, *, blur: bool = True, key: str | None = None) -> ExportInfo:
        """Begin an export, once for each `key`; see `wait`."""
        request = ExportRequest(reason=reason, blur=blur)
        return self._api.create(ExportInfo, f"/cases/{case_id}/exports", request, key)

    def wait(
        self,
        export: ExportInfo,
        *,
        progress: Callable[[ExportInfo], None] | None = None,
        timeout_s: float | None = None,
        every_s: float = 1.0,
    ) -> ExportInfo:
        """Wait until it is over, well or not: the answer's `state` and `error` say which.

        Args:
            progress: is called with every answer, the last one too; `done` of `total` sightings are written.
            timeout_s: None waits for ever.

        Raises:
            TimeoutError: it goes on, and may be waited for again.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            found = self.get(export.case_id, export.id)
            if progress is not None:
                progress(found)
            if found.state not in _UNDER_WAY:
                return found
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"export {export.id} is {found.state} after {timeout_s:g} s")
            time.sleep(every_s)

    def download(self, export: ExportInfo, path: Path) -> None:
        """Write the ZIP to `path`, which it replaces only when all of it is here and is what the service made.

        Raises:
            ConflictError: it is not done, or not to be had any more.
            DamagedError: something else arrived.
        """
        digest = hashlib.sha256()
        expected = export.sha256 or self.get(export.case_id, export.id).sha256
        with replaced_whole(path) as scratch:
            with scratch.open("wb") as file:
                for piece in self._api.pieces(f"/cases/{export.case_id}/exports/{export.id}/file"):
                    digest.update(piece)
                    file.write(piece)
            if digest.hexdigest() != expected:
                raise DamagedError(f"export {export.id} arrived damaged; {path} was not written")

    def remove(self, case_id: str, export_id: str) -> None:
        """One that is being made is stopped."""
        self._api.send("DELETE", f"/cases/{case_id}/exports/{export_id}")
