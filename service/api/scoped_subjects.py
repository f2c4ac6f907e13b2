"""Subjects as one account may use them: those it sees a sighting of, and of those the sightings it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.api.idempotency import id_for
from service.gallery import GalleryFilter, TrackletRecord
from service.problems import ProblemError
from service.search import Example, Match
from service.security.access import Access, Permission
from service.security.people import recorded
from service.subjects import (
    Conflict,
    Decision,
    Subject,
    SubjectConflict,
    SubjectMissing,
    SubjectRefused,
    Timeline,
    Walking,
    timeline_of,
)
from service.subjects.seen import seen_of
from service.subjects.timeline import conflicts_with

if TYPE_CHECKING:
    from pydantic import BaseModel

    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["FoundProposal", "ScopedSubjects"]

MAX_EXAMPLES = 20  # of one search
_CHUNK = 100


@dataclass(frozen=True, slots=True)
class FoundProposal:
    """A sighting that is probably of a subject.

    Attributes:
        subject_id: the other subject that has confirmed it.
        conflicts: with confirmed sightings.
    """

    match: Match
    subject_id: str | None
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True)
class ScopedSubjects:
    """One account's subjects. What it sees no sighting of is not there.

    Every method may raise what `Scoped` may, and ProblemError: 404, 409 for what others changed meanwhile.
    Reading gives a subject without the sightings of other cameras.

    Attributes:
        require: raises AccessDenied when the permission is missing now.
    """

    services: Services
    scoped: Scoped
    require: Callable[[Permission], None]

    def page(self, limit: int, cursor: str | None) -> tuple[list[Subject], str | None]:
        """Newest first, and the id to go on below."""
        self.require(Permission.VIEW)
        found: list[Subject] = []
        while True:
            chunk = self.services.subjects.newest(cursor, _CHUNK)
            for subject in chunk:
                seen = seen_of(subject, self._access)
                if seen is not None and len(found) == limit:
                    return found, found[-1].id
                found += [seen] if seen is not None else []
            if len(chunk) < _CHUNK:
                return found, None
            cursor = chunk[-1].id

    def get(self, subject_id: str) -> Subject:
        """The subject that has, or had, this id."""
        self.require(Permission.VIEW)
        with _problems():
            seen = seen_of(self.services.subjects.get(subject_id), self._access)
        if seen is None:
            raise _not_found()
        return seen

    def add(
        self, name: str | None, tracklet_ids: Sequence[str], key: str | None, request: BaseModel
    ) -> tuple[Subject, bool]:
        """Make a subject of confirmed sightings. Returns it and whether it was made now."""
        self.require(Permission.SUBJECTS)
        decisions = self._decisions(tracklet_ids)
        account = self._access.account
        subject_id = id_for(self.services.redis, account, "subject", key, request)
        told = {"subject": subject_id, "name": name, "tracklets": list(decisions)}
        with _problems(), recorded(self.services.audit, "subject.add", self.scoped.trail, **told):
            made, new = self.services.subjects.add(subject_id, name, account, decisions)
        return self._shown(made), new

    def rename(self, subject_id: str, revision: int, name: str | None) -> Subject:
        return self._change("subject.rename", subject_id, revision, lambda s: replace(s, name=name), name=name)

    def decide(self, subject_id: str, tracklet_id: str, *, confirmed: bool) -> Subject:
        """Confirm a sighting or reject it; the latest decision counts."""
        self.require(Permission.SUBJECTS)
        self.get(subject_id)
        decision = self._decisions([tracklet_id])
        return self._change(
            "subject.confirm" if confirmed else "subject.reject",
            subject_id,
            None,
            lambda s: _decided(s, decision, confirmed=confirmed),
            tracklet=tracklet_id,
        )

    def withdraw(self, subject_id: str, tracklet_id: str) -> Subject:
        """Take back whatever was decided about a sighting."""
        self.require(Permission.SUBJECTS)
        seen = self.get(subject_id)
        if tracklet_id not in seen.confirmed and tracklet_id not in seen.rejected:
            raise ProblemError(404, "tracklet-not-found", "Nothing was decided about such a sighting.")
        return self._change(
            "subject.withdraw", subject_id, None, lambda s: s.without([tracklet_id]), tracklet=tracklet_id
        )

    def merge(self, subject_id: str, revision: int, other_id: str, other_revision: int) -> Subject:
        """Take another subject into this one; its id leads here from now on."""
        self.require(Permission.SUBJECTS)
        kept, other = self.get(subject_id), self.get(other_id)
        told = {"subject": kept.id, "other": other.id}
        with _problems(), recorded(self.services.audit, "subject.merge", self.scoped.trail, **told):
            return self._shown(self.services.subjects.merge(kept.id, revision, other.id, other_revision))

    def split(self, subject_id: str, revision: int, tracklet_ids: Sequence[str], name: str | None) -> Subject:
        """Take sightings out into a subject of their own. Returns the new one."""
        self.require(Permission.SUBJECTS)
        seen = self.get(subject_id)
        if not seen.confirmed.keys() >= set(tracklet_ids):
            raise ProblemError(404, "tracklet-not-found", "A sighting is not confirmed in this subject.")
        told = {"subject": seen.id, "tracklets": sorted(set(tracklet_ids)), "name": name}
        with _problems(), recorded(self.services.audit, "subject.split", self.scoped.trail, **told):
            _, made = self.services.subjects.split(seen.id, revision, tracklet_ids, name, self._access.account)
        return self._shown(made)

    def remove(self, subject_id: str, revision: int) -> None:
        """Forget a subject; its sightings stay."""
        self.require(Permission.SUBJECTS)
        seen = self.get(subject_id)
        with _problems(), recorded(self.services.audit, "subject.remove", self.scoped.trail, subject=seen.id):
            self.services.subjects.remove(seen.id, revision)

    # -- what follows from it --------------------------------------------------------------------

    def proposals(
        self, subject_id: str, filters: GalleryFilter, k: int, *, min_probability: float, reason: str | None
    ) -> tuple[list[FoundProposal], list[str]]:
        """Sightings that are probably of a subject, and the confirmed ones that were searched with.

        A search like any other, with its rights, its entry in the audit log and its errors.
        """
        seen = self.get(subject_id)
        records = self._records(seen)
        if not records:
            raise ProblemError(409, "no-examples", "The subject has no confirmed sighting to search with.")
        best = sorted(records, key=lambda r: -r.quality)[:MAX_EXAMPLES]
        outcome = self.scoped.search(
            [Example(tracklet_id=record.id) for record in best],
            replace(filters, exclude_ids=frozenset(seen.confirmed) | frozenset(seen.rejected)),
            k,
            reason=reason,
            min_probability=min_probability,
        )
        others = self.services.subjects.of([m.record.id for m in outcome.matches])
        walking = self.walking()
        found = [
            FoundProposal(m, others.get(m.record.id), tuple(conflicts_with(m.record, records, walking)))
            for m in outcome.matches
        ]
        return found, [record.id for record in best]

    def timeline(self, subject_id: str) -> tuple[Subject, Timeline]:
        """Where a subject was when; that somebody looked is noted."""
        seen = self.get(subject_id)
        self.services.views.note("view.timeline", self.scoped.trail, seen.id, "")
        return seen, timeline_of(self._records(seen), self.walking())

    # -- ways between cameras --------------------------------------------------------------------

    def walking(self) -> Walking:
        """What is known about the ways between cameras."""
        return self.services.walking()

    def walking_times(self) -> dict[tuple[str, str], float]:
        """Of pairs of cameras that are both in scope."""
        self.require(Permission.VIEW)
        times = self.services.walking_times.all()
        return {pair: seconds for pair, seconds in times.items() if all(self._access.sees(one) for one in pair)}

    def set_walking_time(self, camera_id: str, other_id: str, seconds: float) -> None:
        """The least time between two cameras. Raises ProblemError 404 or 422."""
        self.require(Permission.MANAGE_CAMERAS)
        self.scoped.camera(camera_id), self.scoped.camera(other_id)
        told = {"cameras": [camera_id, other_id], "seconds": seconds}
        try:
            with recorded(self.services.audit, "walking.set", self.scoped.trail, **told):
                self.services.walking_times.put(camera_id, other_id, seconds)
        except ValueError as error:
            raise ProblemError(422, "invalid", str(error)) from None

    def remove_walking_time(self, camera_id: str, other_id: str) -> None:
        self.require(Permission.MANAGE_CAMERAS)
        if tuple(sorted((camera_id, other_id))) not in self.walking_times():
            raise ProblemError(404, "walking-time-not-found", "There is no time between such cameras.")
        with recorded(self.services.audit, "walking.remove", self.scoped.trail, cameras=[camera_id, other_id]):
            self.services.walking_times.remove(camera_id, other_id)

    # -- parts -----------------------------------------------------------------------------------

    @property
    def _access(self) -> Access:
        return self.scoped.access

    def _records(self, seen: Subject) -> list[TrackletRecord]:
        return list(self.services.gallery.get_many(list(seen.confirmed)).values())

    def _decisions(self, tracklet_ids: Sequence[str]) -> dict[str, Decision]:
        """About sightings in scope. Raises ProblemError 404."""
        wanted = list(dict.fromkeys(tracklet_ids))
        known = self.services.gallery.get_many(wanted)
        if any(one not in known or not self._access.sees(known[one].camera_id) for one in wanted):
            raise ProblemError(404, "tracklet-not-found", "There is no such sighting.")
        now = datetime.now(UTC)
        return {one: Decision(known[one].camera_id, self._access.account, now) for one in wanted}

    def _change(
        self, event: str, subject_id: str, revision: int | None, change: Callable[[Subject], Subject], **told: Any
    ) -> Subject:
        self.require(Permission.SUBJECTS)
        seen = self.get(subject_id)
        with _problems(), recorded(self.services.audit, event, self.scoped.trail, subject=seen.id, **told):
            return self._shown(self.services.subjects.change(seen.id, revision, change))

    def _shown(self, subject: Subject) -> Subject:
        return seen_of(subject, self._access) or replace(subject, confirmed={}, rejected={})


def _decided(subject: Subject, decision: dict[str, Decision], *, confirmed: bool) -> Subject:
    """The same again changes nothing: who decided first, and when, stays."""
    there = subject.confirmed if confirmed else subject.rejected
    if there.keys() >= decision.keys():
        return subject
    return subject.decided(decision, {}) if confirmed else subject.decided({}, decision)


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except SubjectMissing:
        raise _not_found() from None
    except SubjectConflict:
        raise ProblemError(409, "subject-changed", "The subject was changed meanwhile. Read it again.") from None
    except SubjectRefused as error:
        status, code = {
            "gone": (404, "tracklet-not-found"),
            "taken": (409, "in-another-subject"),
            "full": (409, "too-many"),
            "rejected": (409, "was-rejected"),
        }[error.kind]
        raise ProblemError(status, code, str(error)) from None


def _not_found() -> ProblemError:
    return ProblemError(404, "subject-not-found", "There is no such subject.")
