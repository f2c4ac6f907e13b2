"""Sightings, their pictures, and their end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from models.types import Modality
from service.api.schema import Tracklet, TrackletPage
from service.api.schema_erasures import Erasure, ErasureRequest, HoldInfo, HoldRequest
from service.client.noun import Noun

__all__ = ["Erasures", "Tracklets"]


class Tracklets(Noun):
    def list(
        self,
        *,
        cameras: Sequence[str] | None = None,
        modality: Modality | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 200,
    ) -> Iterator[Tracklet]:
        """Newest first; pages are fetched as they are looked at. Times carry their offset."""
        return self._api.each(
            TrackletPage,
            "/tracklets",
            camera=list(cameras) if cameras else None,
            modality=modality.value if modality else None,
            since=since.isoformat() if since else None,
            until=until.isoformat() if until else None,
            limit=page_size,
        )

    def get(self, tracklet_id: str) -> Tracklet:
        return self._api.get(Tracklet, f"/tracklets/{tracklet_id}")

    def crop(self, tracklet_id: str, index: int) -> bytes:
        """One of its pictures, a JPEG."""
        return self._api.send("GET", f"/tracklets/{tracklet_id}/crops/{index}").content

    def thumbnail(self, tracklet_id: str) -> bytes:
        """The best of them, small."""
        return self._api.send("GET", f"/tracklets/{tracklet_id}/thumbnail").content

    def scene(self, tracklet_id: str) -> bytes:
        """The whole picture at its best moment, a JPEG; `get` says where the person is in it."""
        return self._api.send("GET", f"/tracklets/{tracklet_id}/scene").content

    def clip(self, tracklet_id: str) -> bytes:
        """A short silent film, MP4, once the sighting has ended."""
        return self._api.send("GET", f"/tracklets/{tracklet_id}/clip").content

    def hold(self, tracklet_id: str, reason: str) -> HoldInfo:
        """Keep it from retention and erasure."""
        return self._api.call(HoldInfo, "PUT", f"/tracklets/{tracklet_id}/hold", HoldRequest(reason=reason))

    def lift_hold(self, tracklet_id: str) -> None:
        self._api.send("DELETE", f"/tracklets/{tracklet_id}/hold")


class Erasures(Noun):
    def erase(self, tracklet_ids: Sequence[str], reason: str) -> Erasure:
        """Erase sightings for good. Keep the answer: it is the proof."""
        return self._erase(ErasureRequest(tracklet_ids=list(tracklet_ids), reason=reason))

    def erase_subject(self, subject_id: str, reason: str) -> Erasure:
        """Erase all sightings that are confirmed in a subject and in the account's cameras, for good."""
        return self._erase(ErasureRequest(subject_id=subject_id, reason=reason))

    def _erase(self, request: ErasureRequest) -> Erasure:
        return self._api.call(Erasure, "POST", "/erasures", request)
