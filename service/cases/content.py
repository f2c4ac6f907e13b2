"""What an export of a case says: gathered as one account may see it, and put into plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.cases.case import Case, Note, Pin
from service.gallery import TrackletRecord
from service.subjects import Subject, Timeline

__all__ = ["NOTE", "CaseContent", "Pictures", "picture_path", "told"]

NOTE = (
    "Sightings are put together by likeness and by people's decisions: evidence, never proof. What is not in here "
    "may still have happened."
)


@dataclass(frozen=True, slots=True)
class CaseContent:
    """A case as one account sees it.

    Attributes:
        sightings: pinned ones, and those confirmed in pinned subjects; oldest first, each once.
        subjects: with what of their timeline the account sees.
        camera_names: of the cameras in scope, as they are called now.
    """

    case: Case
    notes: tuple[Note, ...]
    pins: tuple[Pin, ...]
    sightings: tuple[TrackletRecord, ...]
    subjects: tuple[tuple[Subject, Timeline], ...]
    camera_names: Mapping[str, str] = field(default_factory=dict)

    def camera_name(self, camera_id: str) -> str:
        return self.camera_names.get(camera_id, camera_id)

    def pin_of(self, *ids: str) -> Pin | None:
        """The pin of a sighting, or of a subject under any id that it had."""
        return next((pin for pin in self.pins if pin.id in ids), None)


# Paths in the ZIP of each sighting's pictures, in the order of its crops; None for one that was gone.
Pictures = Mapping[str, tuple[str | None, ...]]


def picture_path(record: TrackletRecord, index: int) -> str:
    """Path in the ZIP: from an id that was checked and a number, never from what somebody wrote."""
    return f"pictures/{record.id}/{index}.jpg"


def told(content: CaseContent, pictures: Pictures, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything as JSON values; `about` is the export itself."""
    case = content.case
    owners = {one: subject.id for subject, _ in content.subjects for one in subject.confirmed}
    return {
        "export": dict(about),
        "note": NOTE,
        "case": {
            "id": case.id,
            "title": case.title,
            "state": case.state.value,
            "owner": case.owner.account,
            "members": [member.account for member in case.members],
            "readers": [reader.account for reader in case.readers],
            "created_at": case.created_at.isoformat(),
        },
        "notes": [{"account": n.account, "at": n.at.isoformat(), "text": n.text} for n in content.notes],
        "sightings": [
            {
                "id": record.id,
                "camera_id": record.camera_id,
                "camera_name": content.camera_name(record.camera_id),
                "modality": record.modality.value,
                "started_at": record.started_at.isoformat(),
                "ended_at": record.ended_at.isoformat(),
                "quality": record.quality,
                "model_hash": record.model_hash,
                "pin": _pin(content.pin_of(record.id)),
                "subject_id": owners.get(record.id),
                "pictures": [
                    {"path": path, "captured_at": crop.captured_at.isoformat(), "quality": crop.quality}
                    for path, crop in zip(pictures[record.id], record.crops, strict=True)
                ],
            }
            for record in content.sightings
        ],
        "subjects": [_subject(content, subject, timeline) for subject, timeline in content.subjects],
    }


def _pin(pin: Pin | None) -> dict[str, Any] | None:
    return {"account": pin.account, "at": pin.at.isoformat(), "note": pin.note} if pin is not None else None


def _subject(content: CaseContent, subject: Subject, timeline: Timeline) -> dict[str, Any]:
    return {
        "id": subject.id,
        "pin": _pin(content.pin_of(subject.id, *subject.previous_ids)),
        "number": subject.number,
        "name": subject.name,
        "previous_ids": list(subject.previous_ids),
        "first_seen": timeline.first_seen.isoformat() if timeline.first_seen else None,
        "last_seen": timeline.last_seen.isoformat() if timeline.last_seen else None,
        "sightings": [
            {
                "id": s.id,
                "confirmed_by": decision.account,
                "confirmed_at": decision.at.isoformat(),
                "proposed_by": decision.proposed.account if decision.proposed is not None else None,
            }
            for s in timeline.sightings
            for decision in (subject.confirmed[s.id],)
        ],
        "transitions": [
            {
                "from": t.before.id,
                "to": t.after.id,
                "gap_s": t.gap_s,
                "least_s": t.least_s,
                "impossible": t.impossible,
            }
            for t in timeline.transitions
        ],
        "stays": [{"camera_id": s.camera_id, "sightings": s.sightings, "dwell_s": s.dwell_s} for s in timeline.stays],
        "conflicts": [{"sightings": [c.first.id, c.second.id], "least_s": c.least_s} for c in timeline.conflicts],
        "conflict_count": timeline.conflict_count,
    }
