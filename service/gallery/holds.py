"""Legal hold: sightings that neither retention nor erasure may touch until somebody lifts it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis

from service.gallery import keys
from service.gallery.store import redis_at_work

__all__ = ["Hold", "Holds"]


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a sighting must stay, who said so and when."""

    tracklet_id: str
    reason: str
    account: str
    placed_at: datetime


class Holds:
    """The holds in Redis. Every method raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def place(self, tracklet_id: str, reason: str, account: str) -> Hold:
        """Hold a sighting; a hold that is there keeps its reason, who placed it and when."""
        hold = Hold(tracklet_id, reason, account, datetime.now(UTC))
        value = json.dumps({"reason": reason, "account": account, "placed_at": hold.placed_at.isoformat()})
        with redis_at_work():
            self._redis.hsetnx(keys.HOLDS, tracklet_id, value)
        return self.of([tracklet_id]).get(tracklet_id, hold)

    def lift(self, tracklet_id: str) -> bool:
        """Whether there was one."""
        with redis_at_work():
            return bool(self._redis.hdel(keys.HOLDS, tracklet_id))

    def of(self, ids: Sequence[str]) -> dict[str, Hold]:
        """The holds among some sightings."""
        if not ids:
            return {}
        with redis_at_work():
            values = cast("list[bytes | None]", self._redis.hmget(keys.HOLDS, list(ids)))
        return {one: _read(one, value) for one, value in zip(ids, values, strict=True) if value is not None}

    def free(self, ids: Iterable[str]) -> list[str]:
        """Those that nothing holds, in their order."""
        wanted = list(ids)
        held = self.of(wanted)
        return [one for one in wanted if one not in held]

    def count(self) -> int:
        with redis_at_work():
            return self._redis.hlen(keys.HOLDS)


def _read(tracklet_id: str, value: bytes) -> Hold:
    """A hold that cannot be read still holds."""
    try:
        found: dict[str, Any] = json.loads(value)
        return Hold(
            tracklet_id, str(found["reason"]), str(found["account"]), datetime.fromisoformat(found["placed_at"])
        )
    except (ValueError, KeyError, TypeError):
        return Hold(tracklet_id, "(cannot be read)", "", datetime.fromtimestamp(0, UTC))
