"""Subjects as one account may use them: those it sees a sighting of, and of those the sightings it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.api.idempotency import id_for
from service.gallery import GalleryFilter, TrackletRecord
from service.gallery.newest import one_page
from service.problems import ProblemError
from service.search import Example, Match
from service.security.access import Access, Permission
from service.security.people import recorded
from service.subjects import (
    Conflict,
    Decision,
    Proposed,
    Subject,
    SubjectConflict,
    SubjectMissing,
    SubjectRefused,
    Timeline,
    timeline_of,
)
from service.subjects.seen import merges_in_sight, seen_of
from service.subjects.timeline import conflicts_with

if TYPE_CHECKING:
    from pydantic import BaseModel

    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["FoundProposal", "ScopedSubjects"]

MAX_EXAMPLES = 20  # of one search


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

    def page(self, limit: int, cursor: str | None, *, only_pending: bool = False) -> tuple[list[Subject], str | None]:
        """Newest first, and the id to go on below; only those where something waits for a second person, by choice."""
        self.require(Permission.VIEW)
        subjects = self.services.subjects
        walked = subjects.walk_waiting(cursor) if only_pending else subjects.walk(cursor)
        all_seen = (seen_of(subject, self._access) for subject in walked)
        wanted = (one for one in all_seen if one is not None and (not only_pending or one.pending or self._merges(one)))
        return one_page(wanted, limit)

    def holding(self, tracklet_id: str) -> Subject | None:
        """The subject that a sighting is confirmed in, where the account sees both."""
        self.require(Permission.VIEW)
        found = self.services.subjects.of([tracklet_id])
        subject = self.services.subjects.get_many(list(found.values())).get(found.get(tracklet_id, ""))
        seen = seen_of(subject, self._access) if subject is not None else None
        return seen if seen is not None and tracklet_id in seen.confirmed else None

    def get(self, subject_id: str) -> Subject:
        """The subject that has, or had, this id."""
        self.require(Permission.VIEW)
        with _problems():
            seen = seen_of(self.services.subjects.get(subject_id), self._access)
        if seen is None:
            raise _not_found()
        return replace(seen, pending_merges=self._merges(seen))

    def add(
        self, name: str | None, tracklet_ids: Sequence[str], key: str | None, request: BaseModel
    ) -> tuple[Subject, bool]:
        """Make a subject of confirmed sightings. Returns it and whether it was made now."""
        self.require(Permission.SUBJECTS)
        decisions = self._decisions(tracklet_ids)
        account = self._access.account
        subject_id = id_for(self.services.redis, account, "subject", key, request)
        told = {"subject": subject_id, "name": name, "tracklets": list(decisions)}
        pending = self._two_persons
        if pending:
            self._check_free(decisions, None)
        with _problems(), recorded(self.services.audit, "subject.add", self.scoped.trail, **told):
            made, new = self.services.subjects.add(subject_id, name, account, decisions, pending=pending)
        if new and pending:
            self._note("subject.pending", made.id, tracklets=list(decisions), proposed_by=account)
        return self._shown(made), new

    def rename(self, subject_id: str, revision: int, name: str | None) -> Subject:
        return self._change("subject.rename", subject_id, revision, lambda s: replace(s, name=name), name=name)

    def decide(self, subject_id: str, tracklet_id: str, *, confirmed: bool) -> Subject:
        """Confirm a sighting or reject it; the latest decision counts.

        Where two have to confirm, the first one proposes it and somebody else confirms it; the same person again
        changes nothing.
        """
        self.require(Permission.SUBJECTS)
        seen = self.get(subject_id)
        decision = self._decisions([tracklet_id])
        if confirmed and self._two_persons:
            return self._confirm_as_one_of_two(seen.id, tracklet_id, decision)
        return self._change(
            "subject.confirm" if confirmed else "subject.reject",
            subject_id,
            None,
            lambda s: _decided(s, decision, confirmed=confirmed),
            tracklet=tracklet_id,
        )

    def _confirm_as_one_of_two(self, subject_id: str, tracklet_id: str, decision: dict[str, Decision]) -> Subject:
        self._check_free(decision, subject_id)
        before: list[Subject] = []

        def change(subject: Subject) -> Subject:
            before[:] = [subject]
            return subject.confirmed_by_two(decision)

        after = self._change("subject.confirm", subject_id, None, change, tracklet=tracklet_id)
        if after.revision != before[0].revision:
            self._note_two(after, [tracklet_id])
        return after

    def _note_two(self, after: Subject, tracklet_ids: Iterable[str]) -> None:
        """Which of them wait for a second person now, and which have had both."""
        waiting = []
        for one in tracklet_ids:
            now = after.confirmed.get(one)
            if now is not None and now.proposed is not None:
                two = {"proposed_by": now.proposed.account, "confirmed_by": now.account}
                self._note("subject.confirmed", after.id, tracklet=one, **two)
            elif one in after.pending:
                waiting.append(one)
        if waiting:
            self._note("subject.pending", after.id, tracklets=waiting, proposed_by=self._access.account)

    def withdraw(self, subject_id: str, tracklet_id: str) -> Subject:
        """Take back whatever was decided about a sighting."""
        self.require(Permission.SUBJECTS)
        seen = self.get(subject_id)
        if not any(tracklet_id in decided for decided in (seen.confirmed, seen.pending, seen.rejected)):
            raise ProblemError(404, "tracklet-not-found", "Nothing was decided about such a sighting.")
        return self._change(
            "subject.withdraw", subject_id, None, lambda s: s.without([tracklet_id]), tracklet=tracklet_id
        )

    def merge(self, subject_id: str, revision: int, other_id: str, other_revision: int) -> Subject:
        """Take another subject into this one; its id leads here from now on.

        Where two have to confirm, the first one proposes it, and somebody else does it.
        """
        self.require(Permission.SUBJECTS)
        kept, other = self.get(subject_id), self.get(other_id)
        if self._two_persons and kept.id != other.id:
            proposed = kept.pending_merges.get(other.id) or other.pending_merges.get(kept.id)
            if proposed is None or proposed.account == self._access.account:
                return self._propose_merge(kept, revision, other, other_revision, proposed)
        told = {"subject": kept.id, "other": other.id}
        with _problems(), recorded(self.services.audit, "subject.merge", self.scoped.trail, **told):
            if (kept.revision, other.revision) != (revision, other_revision):
                raise SubjectConflict(kept.id)  # what is merged is what was judged above
            return self._shown(self.services.subjects.merge(kept.id, revision, other.id, other_revision))

    def _propose_merge(
        self, kept: Subject, revision: int, other: Subject, other_revision: int, before: Proposed | None
    ) -> Subject:
        """One's own proposal stays as it is."""
        if before is not None:
            return kept
        if other.revision != other_revision:
            raise _changed()
        proposed = Proposed(self._access.account, datetime.now(UTC))
        return self._change(
            "subject.merge.propose",
            kept.id,
            revision,
            lambda s: replace(s, pending_merges={**s.pending_merges, other.id: proposed}),
            other=other.id,
        )

    def withdraw_merge(self, subject_id: str, other_id: str) -> Subject:
        """Take back that somebody wants to merge another subject into this one."""
        self.require(Permission.SUBJECTS)
        seen = self.get(subject_id)
        if other_id not in seen.pending_merges:
            raise ProblemError(404, "merge-not-found", "Nobody wants to merge such a subject into this one.")
        return self._change(
            "subject.merge.withdraw",
            seen.id,
            None,
            lambda s: replace(s, pending_merges={i: p for i, p in s.pending_merges.items() if i != other_id}),
            other=other_id,
        )

    def split(
        self,
        subject_id: str,
        revision: int,
        tracklet_ids: Sequence[str],
        name: str | None,
        key: str | None,
        request: BaseModel,
    ) -> tuple[Subject, bool]:
        """Take sightings out into a subject of their own. Returns the new one, and whether it was made now."""
        self.require(Permission.SUBJECTS)
        seen = self.get(subject_id)
        new_id = id_for(self.services.redis, self._access.account, f"split:{subject_id}", key, request)
        if key is not None and self.services.subjects.get_many([new_id]):
            return self.get(new_id), False
        self._check_confirmed(seen, tracklet_ids)
        told = {"subject": seen.id, "other": new_id, "tracklets": sorted(set(tracklet_ids)), "name": name}
        with _problems(), recorded(self.services.audit, "subject.split", self.scoped.trail, **told):
            account = self._access.account
            _, made = self.services.subjects.split(seen.id, revision, tracklet_ids, new_id, name, account)
        return self._shown(made), True

    def move(
        self, subject_id: str, revision: int, tracklet_ids: Sequence[str], other_id: str, other_revision: int
    ) -> Subject:
        """Take sightings out and confirm them in another subject, which is returned. What was done already is nothing.

        Where two have to confirm, they are taken out at once, and wait in the other one until somebody else agrees.
        """
        self.require(Permission.SUBJECTS)
        seen, other = self.get(subject_id), self.get(other_id)
        decisions = self._decisions(tracklet_ids)
        there = other.confirmed.keys() | other.pending.keys()
        if seen.id != other.id and decisions.keys() <= there - seen.confirmed.keys():
            return other
        self._check_confirmed(seen, tracklet_ids)

        def take(subject: Subject) -> Subject:
            return subject.confirmed_by_two(decisions) if self._two_persons else subject.decided(confirmed=decisions)

        told = {"subject": seen.id, "other": other.id, "tracklets": list(decisions)}
        with _problems(), recorded(self.services.audit, "subject.move", self.scoped.trail, **told):
            _, gained = self.services.subjects.move(seen.id, revision, decisions, other.id, other_revision, take)
        self._note_two(gained, decisions)
        return self._shown(gained)

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
        best = _best(records)
        outcome = self.scoped.search(
            [Example(tracklet_id=record.id) for record in best],
            replace(filters, exclude_ids=frozenset({*seen.confirmed, *seen.rejected, *seen.pending})),
            k,
            reason=reason,
            min_probability=min_probability,
        )
        others = self.services.subjects.of([m.record.id for m in outcome.matches])
        walking = self.services.walking()
        found = [
            FoundProposal(m, others.get(m.record.id), tuple(conflicts_with(m.record, records, walking)))
            for m in outcome.matches
        ]
        return found, [record.id for record in best]

    def best(self, subject_id: str) -> list[TrackletRecord]:
        """The best confirmed sightings of a subject, to search or watch with. Raises ProblemError 409 for none."""
        return _best(self._records(self.get(subject_id)))

    def timeline(self, subject_id: str) -> tuple[Subject, Timeline]:
        """Where a subject was when; that somebody looked is noted."""
        seen = self.get(subject_id)
        self.services.views.note("view.timeline", self.scoped.trail, seen.id, "")
        return seen, timeline_of(self._records(seen), self.services.walking())

    # -- parts -----------------------------------------------------------------------------------

    @property
    def _access(self) -> Access:
        return self.scoped.access

    def _merges(self, subject: Subject) -> dict[str, Proposed]:
        return merges_in_sight(subject, self.services.subjects, self._access)

    @property
    def _two_persons(self) -> bool:
        return self.services.settings.two_person_confirmation

    def _check_free(self, decisions: Mapping[str, Decision], subject_id: str | None) -> None:
        """Say at once, and not to the second person, that a sighting is confirmed in another subject."""
        owners = self.services.subjects.of(list(decisions))
        taken = [one for one, owner in owners.items() if owner != subject_id]
        if taken:
            sentence = f"The sighting {taken[0]} is confirmed in another subject; merge them."
            raise ProblemError(409, "in-another-subject", sentence)

    def _check_confirmed(self, seen: Subject, tracklet_ids: Sequence[str]) -> None:
        if not seen.confirmed.keys() >= set(tracklet_ids):
            raise ProblemError(404, "tracklet-not-found", "A sighting is not confirmed in this subject.")

    def _note(self, event: str, subject_id: str, **told: Any) -> None:
        """What came of a step that was recorded before it was made."""
        self.services.audit.append(event, self.scoped.trail, subject=subject_id, **told)

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
        seen = seen_of(subject, self._access) or replace(subject, confirmed={}, rejected={}, pending={})
        return replace(seen, pending_merges=self._merges(seen))


def _best(records: Sequence[TrackletRecord]) -> list[TrackletRecord]:
    if not records:
        raise ProblemError(409, "no-examples", "The subject has no confirmed sighting to search with.")
    return sorted(records, key=lambda record: -record.quality)[:MAX_EXAMPLES]


def _decided(subject: Subject, decision: dict[str, Decision], *, confirmed: bool) -> Subject:
    """The same again changes nothing: who decided first, and when, stays."""
    there = subject.confirmed if confirmed else subject.rejected
    if there.keys() >= decision.keys():
        return subject
    return subject.decided(confirmed=decision) if confirmed else subject.decided(rejected=decision)


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except SubjectMissing:
        raise _not_found() from None
    except SubjectConflict:
        raise _changed() from None
    except SubjectRefused as error:
        status, code = {
            "gone": (404, "tracklet-not-found"),
            "taken": (409, "in-another-subject"),
            "full": (409, "too-many"),
            "rejected": (409, "was-rejected"),
        }[error.kind]
        raise ProblemError(status, code, str(error)) from None


def _changed() -> ProblemError:
    return ProblemError(409, "subject-changed", "The subject was changed meanwhile. Read it again.")


def _not_found() -> ProblemError:
    return ProblemError(404, "subject-not-found", "There is no such subject.")
