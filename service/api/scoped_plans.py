"""Floor plans as one account may see and change them.

A plan is there for who sees a camera that stands on it, and for who sees all cameras. To change one is for the latter:
others' cameras stand on it too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.plans import FloorPlan, PlanMissing, encode_plan
from service.problems import ProblemError
from service.security.access import Permission
from service.security.people import recorded

if TYPE_CHECKING:
    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["ScopedPlans", "plan_not_found"]


def plan_not_found() -> ProblemError:
    """The answer for a plan that is not there, and for one that is not for this account."""
    return ProblemError(404, "plan-not-found", "There is no such plan.")


@dataclass(frozen=True, slots=True)
class ScopedPlans:
    """Every method may raise what `Scoped` may, and ProblemError 404.

    Attributes:
        require: raises AccessDenied when the permission is missing now.
    """

    services: Services
    scoped: Scoped
    require: Callable[[Permission], None]

    def all(self) -> list[FloorPlan]:
        """By name."""
        self.require(Permission.VIEW)
        plans = self.services.plans.list()
        if self.scoped.access.cameras is None:
            return plans
        names = self.names()
        return [plan for plan in plans if plan.name in names]

    def names(self) -> frozenset[str]:
        """Of the plans that the account's cameras stand on, whether anybody has described them or not."""
        return frozenset(c.position.plan for c in self.scoped.cameras() if c.position is not None)

    def get(self, name: str) -> FloorPlan:
        self.require(Permission.VIEW)
        if self.scoped.access.cameras is not None and name not in self.names():
            raise plan_not_found()
        try:
            return self.services.plans.get(name)
        except PlanMissing:
            raise plan_not_found() from None

    def picture(self, name: str) -> bytes:
        """A WebP."""
        plan = self.get(name)
        if plan.picture is not None:
            try:
                return self.services.plans.picture(plan.picture)
            except KeyError:
                pass
        raise ProblemError(404, "plan-picture-not-found", "This plan has no picture.")

    def put(self, name: str, width_m: float, height_m: float) -> FloorPlan:
        """Make a plan, or change how many metres it covers. Raises ProblemError 422."""
        self.require(Permission.PLANS)
        told = {"plan": name, "width_m": width_m, "height_m": height_m}
        try:
            with recorded(self.services.audit, "plan.put", self.scoped.trail, **told):
                return self.services.plans.put(name, width_m, height_m)
        except ValueError as error:
            raise ProblemError(422, "invalid", str(error)) from None

    def show(self, name: str, data: bytes) -> FloorPlan:
        """Give a plan the picture that somebody uploaded. Raises PictureError."""
        self.require(Permission.PLANS)
        self.get(name)
        webp, width_px, height_px = encode_plan(data, max_pixels=self.services.settings.max_photo_pixels)
        told = {"plan": name, "width_px": width_px, "height_px": height_px}
        try:
            with recorded(self.services.audit, "plan.picture", self.scoped.trail, **told):
                return self.services.plans.show(name, webp, width_px, height_px)
        except PlanMissing:
            raise plan_not_found() from None

    def remove(self, name: str) -> None:
        """Forget a plan and its picture; cameras keep their positions."""
        self.require(Permission.PLANS)
        self.get(name)
        try:
            with recorded(self.services.audit, "plan.remove", self.scoped.trail, plan=name):
                self.services.plans.remove(name)
        except PlanMissing:
            raise plan_not_found() from None
