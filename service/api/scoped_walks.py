"""Least times between cameras as one account may see and set them: of pairs that are both in its scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.problems import ProblemError
from service.security.access import Permission
from service.security.people import recorded

if TYPE_CHECKING:
    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["ScopedWalks"]


@dataclass(frozen=True, slots=True)
class ScopedWalks:
    """Every method may raise what `Scoped` may, and ProblemError 404.

    Attributes:
        require: raises AccessDenied when the permission is missing now.
    """

    services: Services
    scoped: Scoped
    require: Callable[[Permission], None]

    def times(self) -> dict[tuple[str, str], float]:
        """Of pairs of cameras that are both in scope."""
        self.require(Permission.VIEW)
        times = self.services.walking_times.all()
        return {pair: seconds for pair, seconds in times.items() if all(self.scoped.access.sees(one) for one in pair)}

    def put(self, camera_id: str, other_id: str, seconds: float) -> None:
        """The least time between two cameras. Raises ProblemError 404 or 422."""
        self.require(Permission.MANAGE_CAMERAS)
        self.scoped.camera(camera_id), self.scoped.camera(other_id)
        told = {"cameras": [camera_id, other_id], "seconds": seconds}
        try:
            with recorded(self.services.audit, "walking.set", self.scoped.trail, **told):
                self.services.walking_times.put(camera_id, other_id, seconds)
        except ValueError as error:
            raise ProblemError(422, "invalid", str(error)) from None

    def remove(self, camera_id: str, other_id: str) -> None:
        self.require(Permission.MANAGE_CAMERAS)
        if tuple(sorted((camera_id, other_id))) not in self.times():
            raise ProblemError(404, "walking-time-not-found", "There is no time between such cameras.")
        with recorded(self.services.audit, "walking.remove", self.scoped.trail, cameras=[camera_id, other_id]):
            self.services.walking_times.remove(camera_id, other_id)
