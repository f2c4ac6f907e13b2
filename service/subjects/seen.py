"""What one account sees of a subject."""

from __future__ import annotations

from dataclasses import replace

from service.security.access import Access
from service.subjects.subject import Subject

__all__ = ["seen_of"]


def seen_of(subject: Subject, access: Access) -> Subject | None:
    """What an account sees of a subject; None where there is none for it.

    One without any sighting is there for its maker and for who sees all cameras.
    """
    if access.cameras is None:
        return subject
    confirmed = {one: d for one, d in subject.confirmed.items() if access.sees(d.camera_id)}
    if not confirmed and (subject.confirmed or subject.account != access.account):
        return None
    return replace(
        subject,
        confirmed=confirmed,
        rejected={one: d for one, d in subject.rejected.items() if access.sees(d.camera_id)},
    )
