"""What one account sees of what is pinned to a case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.cases.case import Pin, PinKind
from service.security.access import Access
from service.subjects import Subject, SubjectStore
from service.subjects.seen import seen_of

__all__ = ["pinned_subjects", "seen_pins"]


def seen_pins(pins: Iterable[Pin], access: Access) -> list[Pin]:
    """Pinned sightings of cameras in scope, and all pinned subjects, which are judged by their sightings."""
    return [pin for pin in pins if pin.camera_id is None or access.sees(pin.camera_id)]


def pinned_subjects(pins: Sequence[Pin], subjects: SubjectStore, access: Access) -> dict[str, Subject]:
    """The subjects that an account sees, as they are now, by their pins. Two pins may lead to one, once merged."""
    now = subjects.get_many([pin.id for pin in pins if pin.kind is PinKind.SUBJECT])
    shown = {one: seen_of(subject, access) for one, subject in now.items()}
    return {one: subject for one, subject in shown.items() if subject is not None}
