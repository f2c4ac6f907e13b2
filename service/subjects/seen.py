"""What of a subject one account sees: the sightings of its cameras."""

from __future__ import annotations

from service.security.access import Access
from service.subjects.store import SubjectStore
from service.subjects.subject import Proposed, Subject

__all__ = ["merges_in_sight", "seen_of"]


def seen_of(subject: Subject, access: Access) -> Subject | None:
    """What an account sees of a subject; None where there is none for it.

    One without any sighting is there for its maker and for who sees all cameras.
    """
    if access.cameras is None:
        return subject
    hidden = [
        one
        for decisions in (subject.confirmed, subject.pending, subject.rejected)
        for one, d in decisions.items()
        if not access.sees(d.camera_id)
    ]
    seen = subject.without(hidden)
    nothing = not (seen.confirmed or seen.pending)
    if nothing and (subject.confirmed or subject.pending or subject.account != access.account):
        return None
    return seen


def merges_in_sight(subject: Subject, store: SubjectStore, access: Access) -> dict[str, Proposed]:
    """Merges that somebody proposed, without subjects that the account sees nothing of, and those that are gone."""
    others = store.get_many(list(subject.pending_merges))
    return {
        one: proposed
        for one, proposed in subject.pending_merges.items()
        if one in others and others[one].id == one and seen_of(others[one], access) is not None
    }
