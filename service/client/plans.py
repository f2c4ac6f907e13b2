"""Floor plans."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from service.api.schema_plans import Plan, PlanList, PlanPut
from service.client.noun import Noun

__all__ = ["Plans"]


class Plans(Noun):
    def list(self) -> Iterator[Plan]:
        """Those that the account sees, by name."""
        return self._api.each(PlanList, "/plans")

    def get(self, name: str) -> Plan:
        return self._api.get(Plan, _path(name))

    def put(self, name: str, plan: PlanPut) -> Plan:
        """Make a plan, or change how many metres it covers."""
        return self._api.call(Plan, "PUT", _path(name), plan)

    def remove(self, name: str) -> None:
        """Cameras keep their positions."""
        self._api.send("DELETE", _path(name))

    def image(self, name: str) -> bytes:
        """Its picture, a WebP."""
        return self._api.send("GET", f"{_path(name)}/image").content

    def put_image(self, name: str, picture: bytes) -> Plan:
        """Give it a picture, JPEG or PNG."""
        answer = self._api.send("PUT", f"{_path(name)}/image", files={"image": ("plan", picture)})
        return Plan.model_validate_json(answer.content)


def _path(name: str) -> str:
    return f"/plans/{quote(name, safe='')}"
