"""What of a subject one account sees: the sightings of its cameras."""

from __future__ import annotations

from service.security.access import Access
from service.subjects.subject import Subject

__all__ = ["seen_of"]


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
