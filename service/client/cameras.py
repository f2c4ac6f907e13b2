"""Cameras, and what they show now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from service.api.schema import (
    Camera,
    CameraChange,
    CameraCreate,
    CameraList,
    CameraTest,
    CameraTestRequest,
    LiveBoxes,
)
from service.api.schema_history import CameraHistory
from service.client.noun import Noun, window

__all__ = ["Cameras"]


class Cameras(Noun):
    def list(self) -> Iterator[Camera]:
        """Those that the account sees, by name."""
        return self._api.each(CameraList, "/cameras")

    def get(self, camera_id: str) -> Camera:
        return self._api.get(Camera, f"/cameras/{camera_id}")

    def add(self, camera: CameraCreate, *, key: str | None = None) -> Camera:
        """Add a camera, once for each `key`."""
        return self._api.create(Camera, "/cameras", camera, key)

    def change(self, camera_id: str, change: CameraChange) -> Camera:
        return self._api.call(Camera, "PATCH", f"/cameras/{camera_id}", change)

    def remove(self, camera_id: str) -> None:
        """Its sightings stay."""
        self._api.send("DELETE", f"/cameras/{camera_id}")

    def test_address(self, request: CameraTestRequest) -> CameraTest:
        """Look at an address before it is saved."""
        return self._api.call(CameraTest, "POST", "/cameras/test", request)

    def test(self, camera_id: str) -> CameraTest:
        """Look at a saved camera."""
        return self._api.call(CameraTest, "POST", f"/cameras/{camera_id}/test")

    def history(
        self,
        camera_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step_s: int | None = None,
    ) -> CameraHistory:
        """How it was over time; the last 24 hours when nothing is said."""
        return self._api.get(CameraHistory, f"/cameras/{camera_id}/history", **window(since, until, step_s))

    def snapshot(self, camera_id: str) -> bytes:
        """The newest picture, a JPEG."""
        return self._api.send("GET", f"/cameras/{camera_id}/snapshot").content

    def boxes(self, camera_id: str) -> LiveBoxes:
        """Who is in the newest picture."""
        return self._api.get(LiveBoxes, f"/cameras/{camera_id}/boxes")
