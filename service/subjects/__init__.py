"""Subjects: sightings that people confirmed to be one person, where that person was, and whether that can be."""

from service.subjects.store import SubjectConflict, SubjectMissing, SubjectRefused, SubjectStore
from service.subjects.subject import Decision, Proposed, Subject
from service.subjects.timeline import Conflict, Timeline, Transition, timeline_of
from service.subjects.walking import Walking, WalkingRules, WalkingTimes

__all__ = [
    "Conflict",
    "Decision",
    "Proposed",
    "Subject",
    "SubjectConflict",
    "SubjectMissing",
    "SubjectRefused",
    "SubjectStore",
    "Timeline",
    "Transition",
    "Walking",
    "WalkingRules",
    "WalkingTimes",
    "timeline_of",
]
