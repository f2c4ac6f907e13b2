"""Photos, and searches with them and with sightings."""

from __future__ import annotations

from builtins import list as listed
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from models.types import Modality
from service.api.schema import Photo, SearchAnswer, SearchRequest
from service.api.schema_searches import (
    FeedbackRequest,
    KeptSearch,
    KeptSearchGroup,
    KeptSearchGroups,
    KeptSearchList,
    KeptSearchRequest,
    KeptSearchSummary,
    SearchChange,
)
from service.client.noun import Noun
from service.search_store import VerdictKind

__all__ = ["Photos", "Searches"]


class Photos(Noun):
    def find_persons(self, photo: Path | bytes, *, modality: Modality | None = None, whole: bool = False) -> Photo:
        """Who is in a photo; each may be an example of a search, for an hour.

        Args:
            whole: take all of it for one person.
        """
        data = photo.read_bytes() if isinstance(photo, Path) else photo
        fields = {"whole": str(whole).lower(), **({"modality": modality.value} if modality else {})}
        answer = self._api.send("POST", "/photos", files={"photo": ("photo", data)}, fields=fields)
        return Photo.model_validate_json(answer.content)


class Searches(Noun):
    def once(self, request: SearchRequest) -> SearchAnswer:
        """Search, and keep nothing but the entry in the audit log."""
        return self._api.call(SearchAnswer, "POST", "/search", request)

    def create(self, request: KeptSearchRequest, *, limit: int = 50, key: str | None = None) -> KeptSearch:
        """Search, and keep question and answer; once for each `key`."""
        return self._api.create(KeptSearch, "/searches", request, key, limit=limit)

    def list(self) -> Iterator[KeptSearchSummary]:
        """One's own, newest first."""
        return iter(self._api.get(KeptSearchList, "/searches").items)

    def get(self, search_id: str, *, limit: int = 50, cursor: str | None = None) -> KeptSearch:
        """A page of the answer as it was made."""
        return self._api.get(KeptSearch, f"/searches/{search_id}", limit=limit, cursor=cursor)

    def groups(self, search_id: str, by: Literal["camera", "time"] = "camera") -> listed[KeptSearchGroup]:
        return self._api.get(KeptSearchGroups, f"/searches/{search_id}/groups", by=by).groups

    def refresh(self, search_id: str, *, limit: int = 50) -> KeptSearch:
        """Ask again, over the gallery as it is."""
        return self._api.call(KeptSearch, "POST", f"/searches/{search_id}/refresh", limit=limit)

    def judge(self, search_id: str, tracklet_id: str, verdict: VerdictKind) -> KeptSearch:
        """Confirm or reject a match, or leave it open; ranked anew."""
        request = FeedbackRequest(verdict=verdict)
        return self._api.call(KeptSearch, "PUT", f"/searches/{search_id}/feedback/{tracklet_id}", request)

    def unjudge(self, search_id: str, tracklet_id: str) -> KeptSearch:
        return self._api.call(KeptSearch, "DELETE", f"/searches/{search_id}/feedback/{tracklet_id}")

    def rename(self, search_id: str, name: str | None) -> KeptSearchSummary:
        return self._api.call(KeptSearchSummary, "PATCH", f"/searches/{search_id}", SearchChange(name=name))

    def delete(self, search_id: str) -> None:
        self._api.send("DELETE", f"/searches/{search_id}")
