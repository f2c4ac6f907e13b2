"""What pages show of several subjects at once: found by name, two side by side, what waits for a second person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from service.gallery import TrackletRecord
from service.problems import ProblemError
from service.security.access import Permission
from service.subjects import Conflict, Proposed, Subject, timeline_of
from service.subjects.seen import merges_in_sight, seen_of

if TYPE_CHECKING:
    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = [
    "MOST_LOOKED_AT",
    "MOST_WAITING",
    "KnownSubject",
    "ProposedMerge",
    "ScopedSubjectViews",
    "SubjectPair",
    "WaitingSubject",
]

MOST_LOOKED_AT = 3000  # subjects, for a name or a count
MOST_WAITING = 99  # counted


@dataclass(frozen=True, slots=True)
class KnownSubject:
    """A subject and its latest confirmed sighting, None where that is gone."""

    subject: Subject
    picture: TrackletRecord | None


@dataclass(frozen=True, slots=True)
class SubjectPair:
    """Sightings of one subject, all or some of them, beside those of another.

    Attributes:
        sightings, others: oldest first.
        conflicts: of a sighting of the one with one of the other, at most `MAX_CONFLICTS` of `conflict_count`.
        denied: sightings of one that were rejected for the other, which stands in the way of a merge.
    """

    subject: Subject
    other: Subject
    sightings: tuple[TrackletRecord, ...]
    others: tuple[TrackletRecord, ...]
    conflicts: tuple[Conflict, ...]
    conflict_count: int
    denied: frozenset[str]


@dataclass(frozen=True, slots=True)
class ProposedMerge:
    """Another subject that somebody wants to merge into one."""

    other: KnownSubject
    proposed: Proposed


@dataclass(frozen=True, slots=True)
class WaitingSubject:
    """What of a subject waits for a second person.

    Attributes:
        sightings: the pending ones, where they are still there.
        taken: pending ones that are confirmed in another subject by now, so that nobody can agree any more.
    """

    known: KnownSubject
    sightings: Mapping[str, TrackletRecord]
    taken: frozenset[str]
    merges: tuple[ProposedMerge, ...]


@dataclass(frozen=True, slots=True)
class ScopedSubjectViews:
    """Of one account's subjects; see `ScopedSubjects`.

    Attributes:
        require: raises AccessDenied when the permission is missing now.
    """

    services: Services
    scoped: Scoped
    require: Callable[[Permission], None]

    def overview(self, limit: int, cursor: str | None) -> tuple[list[KnownSubject], str | None]:
        """Like `ScopedSubjects.page`, each with its latest confirmed sighting."""
        found, further = self.scoped.subjects.page(limit, cursor)
        return self._known(found), further

    def find(self, wanted: Callable[[Subject], bool], limit: int) -> list[KnownSubject]:
        """The newest that are wanted, of the newest `MOST_LOOKED_AT`."""
        self.require(Permission.VIEW)
        seen = self._seen(islice(self.services.subjects.walk(), MOST_LOOKED_AT))
        return self._known(list(islice(filter(wanted, seen), limit)))

    def pair(self, subject_id: str, other_id: str, only: Collection[str] | None = None) -> SubjectPair:
        """Two subjects side by side, of the first only some sightings by choice; that somebody looked is noted.

        Raises:
            ProblemError: 404, and 409 for one subject twice.
        """
        subjects = self.scoped.subjects
        subject, other = subjects.get(subject_id), subjects.get(other_id)
        if subject.id == other.id:
            raise ProblemError(409, "subject-changed", "Both are one subject.")
        for one in (subject, other):
            self.services.views.note("view.timeline", self.scoped.trail, one.id, "")
        chosen = subject.confirmed.keys() if only is None else subject.confirmed.keys() & set(only)
        records = self.services.gallery.get_many([*chosen, *other.confirmed])
        walking = self.services.walking()
        mine = timeline_of((r for one, r in records.items() if one in chosen), walking)
        theirs = timeline_of((r for one, r in records.items() if one not in chosen), walking)
        both = timeline_of(records.values(), walking)
        return SubjectPair(
            subject,
            other,
            tuple(s for s in mine.sightings if isinstance(s, TrackletRecord)),
            tuple(s for s in theirs.sightings if isinstance(s, TrackletRecord)),
            tuple(c for c in both.conflicts if (c.first.id in chosen) != (c.second.id in chosen)),
            both.conflict_count - mine.conflict_count - theirs.conflict_count,
            frozenset((chosen & other.rejected.keys()) | (other.confirmed.keys() & subject.rejected.keys())),
        )

    # -- what waits for a second person ----------------------------------------------------------

    def waiting(self, limit: int, cursor: str | None) -> tuple[list[WaitingSubject], str | None]:
        """Newest subjects first, and the id to go on below."""
        found, further = self.scoped.subjects.page(limit, cursor, only_pending=True)
        return [self.waiting_of(subject) for subject in found], further

    def waiting_of(self, subject: Subject) -> WaitingSubject:
        """What waits of a subject that was read here."""
        pending = list(subject.pending)
        owners = self.services.subjects.of(pending)
        merges = merges_in_sight(subject, self.services.subjects, self.scoped.access)
        others = self._known(list(self._seen(self.services.subjects.get_many(list(merges)).values())))
        known = {other.subject.id: other for other in others}  # one that was merged a moment ago has another id now
        return WaitingSubject(
            self._known([subject])[0],
            self.services.gallery.get_many(pending),
            frozenset(one for one, owner in owners.items() if owner != subject.id),
            tuple(ProposedMerge(known[one], proposed) for one, proposed in merges.items() if one in known),
        )

    def waiting_count(self) -> int:
        """How much waits for this account, which did not propose it; what is above `MOST_WAITING` is not counted."""
        self.require(Permission.SUBJECTS)
        access, count = self.scoped.access, 0
        for seen in self._seen(islice(self.services.subjects.walk_waiting(), MOST_LOOKED_AT)):
            count += sum(decision.account != access.account for decision in seen.pending.values())
            if seen.pending_merges:
                merges = merges_in_sight(seen, self.services.subjects, access)
                count += sum(proposed.account != access.account for proposed in merges.values())
            if count > MOST_WAITING:
                break
        return count

    # -- parts -----------------------------------------------------------------------------------

    def _seen(self, subjects: Iterator[Subject] | Collection[Subject]) -> Iterator[Subject]:
        shown = (seen_of(subject, self.scoped.access) for subject in subjects)
        return (subject for subject in shown if subject is not None)

    def _known(self, found: Sequence[Subject]) -> list[KnownSubject]:
        latest = [max(subject.confirmed, default=None) for subject in found]  # ids rise with time
        known = self.services.gallery.get_many([one for one in latest if one is not None])
        pairs = zip(found, latest, strict=True)
        return [KnownSubject(subject, known.get(one) if one is not None else None) for subject, one in pairs]
