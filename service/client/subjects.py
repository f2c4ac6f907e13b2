"""Subjects, and the least times between cameras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.api.schema_subjects import (
    DecisionRequest,
    Proposals,
    ProposalsRequest,
    Subject,
    SubjectChange,
    SubjectCreate,
    SubjectMerge,
    SubjectMove,
    SubjectPage,
    SubjectSplit,
    SubjectTimeline,
    WalkingTime,
    WalkingTimeList,
    WalkingTimeRequest,
)
from service.client.noun import Noun

__all__ = ["Subjects", "WalkingTimes"]


class Subjects(Noun):
    def list(self, *, pending: bool = False, page_size: int = 200) -> Iterator[Subject]:
        """Newest first; pages are fetched as they are looked at. Only where a second person has to agree, by choice."""
        return self._api.each(SubjectPage, "/subjects", limit=page_size, pending=pending)

    def get(self, subject_id: str) -> Subject:
        return self._api.get(Subject, f"/subjects/{subject_id}")

    def add(self, tracklet_ids: Sequence[str], name: str | None = None, *, key: str | None = None) -> Subject:
        """Make a subject of confirmed sightings, once for each `key`."""
        return self._api.create(Subject, "/subjects", SubjectCreate(name=name, tracklet_ids=list(tracklet_ids)), key)

    def rename(self, subject_id: str, revision: int, name: str | None) -> Subject:
        change = SubjectChange(revision=revision, name=name)
        return self._api.call(Subject, "PATCH", f"/subjects/{subject_id}", change)

    def remove(self, subject_id: str, revision: int) -> None:
        self._api.send("DELETE", f"/subjects/{subject_id}", parameters={"revision": revision})

    def decide(self, subject_id: str, tracklet_id: str, *, confirmed: bool) -> Subject:
        request = DecisionRequest(decision="confirmed" if confirmed else "rejected")
        return self._api.call(Subject, "PUT", f"/subjects/{subject_id}/tracklets/{tracklet_id}", request)

    def withdraw(self, subject_id: str, tracklet_id: str) -> Subject:
        """Take a decision back."""
        return self._api.call(Subject, "DELETE", f"/subjects/{subject_id}/tracklets/{tracklet_id}")

    def merge(self, subject: Subject, other: Subject) -> Subject:
        """Two are one: the other's id leads to the first."""
        request = SubjectMerge(revision=subject.revision, other_id=other.id, other_revision=other.revision)
        return self._api.call(Subject, "POST", f"/subjects/{subject.id}/merge", request)

    def withdraw_merge(self, subject_id: str, other_id: str) -> Subject:
        """Take a proposal to merge back, where two accounts have to confirm."""
        return self._api.call(Subject, "DELETE", f"/subjects/{subject_id}/merge/{other_id}")

    def split(
        self, subject: Subject, tracklet_ids: Sequence[str], name: str | None = None, *, key: str | None = None
    ) -> Subject:
        """Some sightings are somebody else; returns that one, made once for each `key`."""
        request = SubjectSplit(revision=subject.revision, tracklet_ids=list(tracklet_ids), name=name)
        return self._api.create(Subject, f"/subjects/{subject.id}/split", request, key)

    def move(self, subject: Subject, tracklet_ids: Sequence[str], other: Subject) -> Subject:
        """Some sightings are of another subject; returns that one."""
        request = SubjectMove(
            revision=subject.revision,
            tracklet_ids=list(tracklet_ids),
            other_id=other.id,
            other_revision=other.revision,
        )
        return self._api.call(Subject, "POST", f"/subjects/{subject.id}/move", request)

    def proposals(self, subject_id: str, request: ProposalsRequest | None = None) -> Proposals:
        """Sightings that are probably of the subject."""
        return self._api.call(Proposals, "POST", f"/subjects/{subject_id}/proposals", request or ProposalsRequest())

    def timeline(self, subject_id: str) -> SubjectTimeline:
        return self._api.get(SubjectTimeline, f"/subjects/{subject_id}/timeline")


class WalkingTimes(Noun):
    def list(self) -> Iterator[WalkingTime]:
        return self._api.each(WalkingTimeList, "/walking-times")

    def set(self, camera_id: str, other_id: str, seconds: float) -> WalkingTime:
        """The same in both directions."""
        request = WalkingTimeRequest(seconds=seconds)
        return self._api.call(WalkingTime, "PUT", f"/walking-times/{camera_id}/{other_id}", request)

    def remove(self, camera_id: str, other_id: str) -> None:
        self._api.send("DELETE", f"/walking-times/{camera_id}/{other_id}")
