"""Cases as one account may use them: those it takes part in; all for an administrator of all cameras.

What is pinned of other cameras than the account's is in no page, count or export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.api.idempotency import id_for
from service.cases import (
    Case,
    CaseClosed,
    CaseConflict,
    CaseFull,
    CaseMissing,
    CaseState,
    Member,
    Note,
    Pin,
    PinGone,
    PinKind,
)
from service.cases.seen import pinned_subjects, seen_pins
from service.gallery import TrackletRecord
from service.gallery.newest import one_page
from service.problems import ProblemError
from service.security.access import Access, AccessDenied, Permission, Role
from service.security.accounts import AccountError, account_name
from service.security.people import recorded
from service.subjects import Subject

if TYPE_CHECKING:
    from pydantic import BaseModel

    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["PinSeen", "ScopedCases"]


@dataclass(frozen=True, slots=True)
class PinSeen:
    """A pin, and what it shows: a sighting or a subject."""

    pin: Pin
    record: TrackletRecord | None
    subject: Subject | None


@dataclass(frozen=True, slots=True)
class ScopedCases:
    """One account's cases. Every method may raise what `Scoped` may, and ProblemError: 404, 409, 422.

    Attributes:
        require: raises AccessDenied when the permission is missing now.
    """

    services: Services
    scoped: Scoped
    require: Callable[[Permission], None]

    # -- heads -----------------------------------------------------------------------------------

    def page(self, limit: int, cursor: str | None) -> tuple[list[Case], str | None]:
        """Newest first, and the id to go on below."""
        self.require(Permission.VIEW)
        me = self._me
        return one_page((case for case in self.services.cases.walk(cursor) if self._sees(case, me)), limit)

    def get(self, case_id: str) -> Case:
        self.require(Permission.VIEW)
        with _problems():
            case = self.services.cases.get(case_id)
        if not self._sees(case, self._me):
            raise _not_found()
        return case

    def counts(self, case: Case) -> tuple[int, int]:
        """Pinned sightings and subjects that the account sees."""
        pins = self._seen_pins(case.id)
        sightings = sum(subject is None for _, subject in pins)
        return sightings, len(pins) - sightings

    def add(
        self, title: str, members: Sequence[str], key: str | None, request: BaseModel, *, readers: Sequence[str] = ()
    ) -> tuple[Case, bool]:
        """Make a case. Returns it and whether it was made now."""
        self.require(Permission.CASES)
        owner, now = self._me, datetime.now(UTC)
        if owner is None:
            raise AccessDenied(Permission.CASES.value)
        case_id = id_for(self.services.redis, owner.account, "case", key, request)
        case = Case(
            case_id, title, CaseState.OPEN, owner, self._members(members), now, now, readers=self._members(readers)
        )
        case = _each_once(case)
        with self._recorded("case.add", case_id, title=title, members=list(members), readers=list(readers)):
            made, new = self.services.cases.add(case)
        return self.get(made.id), new  # by an old key it may be somebody else's by now

    def change(
        self,
        case_id: str,
        revision: int,
        *,
        title: str | None = None,
        state: CaseState | None = None,
        owner: str | None = None,
        members: Sequence[str] | None = None,
        readers: Sequence[str] | None = None,
    ) -> Case:
        """Change what is given. Who owns it and takes part is the owner's matter, or an administrator's."""
        case = self._taking_part(case_id)
        changes: dict[str, Any] = {}
        if any(given is not None for given in (owner, members, readers)):
            self._require_leading(case)
        if owner is not None:
            (changes["owner"],) = self._members([owner])
        if members is not None:
            changes["members"] = self._members(members)
        if readers is not None:
            changes["readers"] = self._members(readers)
        changes |= {name: value for name, value in (("title", title), ("state", state)) if value is not None}
        told: dict[str, Any] = {"title": title, "state": state, "owner": owner}
        told |= {"members": members and list(members), "readers": readers and list(readers)}
        with self._recorded("case.change", case_id, **{name: v for name, v in told.items() if v is not None}):
            return self.services.cases.change(case_id, revision, lambda before: _each_once(before.changed(**changes)))

    def remove(self, case_id: str, revision: int) -> None:
        """Forget a case with its notes, pins and exports."""
        self._require_leading(self._taking_part(case_id))
        with self._recorded("case.remove", case_id):
            self.services.cases.remove(case_id, revision)
            for export in self.services.exports.of_case(case_id):
                self.services.exports.remove(export.id)

    # -- notes -----------------------------------------------------------------------------------

    def notes(self, case_id: str, limit: int, cursor: str | None) -> tuple[list[Note], str | None]:
        """Oldest first, and the id to go on above."""
        self.get(case_id)
        after = [note for note in self.services.cases.notes(case_id) if cursor is None or note.id > cursor]
        return after[:limit], after[limit - 1].id if len(after) > limit else None

    def add_note(self, case_id: str, text: str, key: str | None, request: BaseModel) -> tuple[Note, bool]:
        """Who and when is kept with it; what is written is not in the audit log. Returns whether it is new."""
        self._taking_part(case_id)
        account = self._access.account
        note = Note(id_for(self.services.redis, account, f"note:{case_id}", key, request), account, _now(), text)
        with self._recorded("case.note", case_id, note=note.id):
            return self.services.cases.add_note(case_id, note)

    # -- pins ------------------------------------------------------------------------------------

    def pins(self, case_id: str, limit: int, cursor: str | None) -> tuple[list[PinSeen], str | None]:
        """Newest sightings and subjects first, and the id to go on below."""
        self.get(case_id)
        shown = [one for one in self._seen_pins(case_id) if cursor is None or one[0].id < cursor]
        chunk, more = shown[:limit], len(shown) > limit
        records = self.services.gallery.get_many([pin.id for pin, subject in chunk if subject is None])
        seen = [
            PinSeen(pin, records.get(pin.id), subject)
            for pin, subject in chunk
            if subject is not None or pin.id in records
        ]
        return seen, chunk[-1][0].id if more else None

    def pin(self, case_id: str, tracklet_ids: Sequence[str], subject_ids: Sequence[str], note: str | None) -> int:
        """All of them or none. Returns how many are new; what is pinned already keeps its note."""
        self._taking_part(case_id)
        account, now = self._access.account, _now()
        wanted = list(dict.fromkeys(tracklet_ids))
        records = self.services.gallery.get_many(wanted)
        if any(one not in records or not self._access.sees(records[one].camera_id) for one in wanted):
            raise _sighting_not_found()
        subjects = {self.scoped.subjects.get(one).id for one in subject_ids}
        pins = [Pin(PinKind.TRACKLET, one.id, one.camera_id, account, now, note) for one in records.values()]
        pins += [Pin(PinKind.SUBJECT, one, None, account, now, note) for one in sorted(subjects)]
        with self._recorded("case.pin", case_id, tracklets=sorted(records), subjects=sorted(subjects)):
            return self.services.cases.pin(case_id, pins)

    def unpin(self, case_id: str, pin_id: str) -> None:
        """Take one out, with all that lead to the same subject. Pins of other cameras are not there."""
        self._taking_part(case_id)
        pins = seen_pins(self.services.cases.pins(case_id), self._access)
        subjects = pinned_subjects(pins, self.services.subjects, self._access)
        found = next((pin for pin in pins if pin.id == pin_id), None)
        if found is None or (found.kind is PinKind.SUBJECT and pin_id not in subjects):
            raise ProblemError(404, "pin-not-found", "Nothing like that is pinned.")
        wanted = [pin_id]
        if found.kind is PinKind.SUBJECT:
            wanted = [one for one, subject in subjects.items() if subject.id == subjects[pin_id].id]
        with self._recorded("case.unpin", case_id, pin=pin_id):
            self.services.cases.unpin(case_id, wanted)

    # -- parts -----------------------------------------------------------------------------------

    @property
    def _access(self) -> Access:
        return self.scoped.access

    @property
    def _me(self) -> Member | None:
        """The account, told from an earlier one of the same name; None when it was removed a moment ago."""
        account = self.services.accounts.get(self._access.account)
        return Member(account.name, account.created_at) if account is not None else None

    @property
    def over_all(self) -> bool:
        """What is written in a case may be about any camera: who sees only some leads no case as administrator."""
        return self._access.role is Role.ADMIN and self._access.cameras is None

    def _sees(self, case: Case, me: Member | None) -> bool:
        return self.over_all or (me is not None and case.takes_part(me))

    def may_change(self, case: Case) -> bool:
        """Whether the account, which sees the case, may change and export it: not as one of its readers."""
        me = self._me
        return self._access.may(Permission.CASES) and (self.over_all or (me is not None and case.may_change(me)))

    def leads(self, case: Case) -> bool:
        """Whether the account says who takes part: the owner, or an administrator of all cameras."""
        return self._access.may(Permission.CASES) and (self.over_all or case.owner == self._me)

    def require_part(self, case_id: str) -> Case:
        """The case, for one who changes it. Raises AccessDenied for a reader."""
        case = self.get(case_id)
        if not self.may_change(case):
            raise AccessDenied(Permission.CASES.value)
        return case

    def _taking_part(self, case_id: str) -> Case:
        self.require(Permission.CASES)
        return self.require_part(case_id)

    def _require_leading(self, case: Case) -> None:
        if not self.leads(case):
            raise AccessDenied(Permission.CASES.value)

    def _members(self, names: Sequence[str]) -> tuple[Member, ...]:
        """Accounts by name, each once. Raises ProblemError 422 for one that is not there."""
        found: dict[str, Member] = {}
        for typed in names:
            try:
                account = self.services.accounts.get(account_name(typed))
            except AccountError:
                account = None
            if account is None:
                raise ProblemError(422, "no-such-account", "One of the accounts is not there.")
            found[account.name] = Member(account.name, account.created_at)
        return tuple(found.values())

    def _seen_pins(self, case_id: str) -> list[tuple[Pin, Subject | None]]:
        """Pins with the subjects that they are now; of two that were merged, the newer pin."""
        pins = seen_pins(self.services.cases.pins(case_id), self._access)
        subjects = pinned_subjects(pins, self.services.subjects, self._access)
        shown, seen = list[tuple[Pin, Subject | None]](), set[str]()
        for pin in pins:
            subject = subjects.get(pin.id)
            if pin.kind is PinKind.TRACKLET:
                shown.append((pin, None))
            elif subject is not None and subject.id not in seen:
                seen.add(subject.id)
                shown.append((pin, subject))
        return shown

    @contextmanager
    def _recorded(self, event: str, case_id: str, **told: Any) -> Iterator[None]:
        with _problems(), recorded(self.services.audit, event, self.scoped.trail, case=case_id, **told):
            yield


def _each_once(case: Case) -> Case:
    """Everybody as what lets them do most."""
    members = tuple(one for one in case.members if one != case.owner)
    return replace(case, members=members, readers=tuple(r for r in case.readers if r not in (case.owner, *members)))


@contextmanager
def _problems() -> Iterator[None]:
    """Turn what is wrong with a case into a problem document with the right status."""
    try:
        yield
    except CaseMissing:
        raise _not_found() from None
    except CaseConflict:
        raise ProblemError(409, "case-changed", "The case was changed meanwhile. Read it again.") from None
    except CaseClosed:
        raise ProblemError(409, "case-closed", "The case is closed. Open it again first.") from None
    except CaseFull:
        raise ProblemError(409, "too-many", "The case holds as much as it may.") from None
    except PinGone:
        raise _sighting_not_found() from None


def _not_found() -> ProblemError:
    return ProblemError(404, "case-not-found", "There is no such case.")


def _sighting_not_found() -> ProblemError:
    return ProblemError(404, "tracklet-not-found", "There is no such sighting.")


def _now() -> datetime:
    return datetime.now(UTC)
