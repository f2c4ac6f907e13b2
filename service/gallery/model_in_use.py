"""Whose vectors the gallery is searched by: one model for the whole installation, whatever each process has loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis

from models.calibration import Calibration
from service.gallery import keys
from service.gallery.store import redis_at_work

__all__ = ["GalleryModel", "GalleryModels"]

# KEYS: model, all sightings. ARGV: hash, then the fields. An empty gallery takes the first model that comes; the one
# that is the gallery's already says anew how it is called and calibrated.
_CLAIM = """#!lua
local now = redis.call('HGET', KEYS[1], 'hash')
if not now or now == ARGV[1] or redis.call('ZCARD', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], unpack(ARGV, 2))
end
return redis.call('HGETALL', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class GalleryModel:
    """A model as far as a search of its vectors needs it.

    Attributes:
        dimension: D of its vectors.
        calibration: None where nobody who knew it has said.
    """

    hash: str
    dimension: int
    label: str
    calibration: Calibration | None = None

    def __str__(self) -> str:
        return f"“{self.label}” ({self.hash[:12]})"

    def to_hash(self) -> dict[str, str]:
        """Fields for HSET."""
        calibration = "" if self.calibration is None else json.dumps(self.calibration.to_dict())
        return {"hash": self.hash, "dimension": str(self.dimension), "label": self.label, "calibration": calibration}

    @classmethod
    def from_hash(cls, fields: Mapping[bytes, bytes]) -> GalleryModel:
        """Read what `to_hash` wrote. Raises ValueError."""
        try:
            text = fields[b"calibration"]
            return cls(
                hash=fields[b"hash"].decode(),
                dimension=int(fields[b"dimension"]),
                label=fields[b"label"].decode(),
                calibration=Calibration.from_dict(json.loads(text)) if text else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"the gallery's model in Redis ({keys.MODEL}) cannot be read: {error!r}") from None


class GalleryModels:
    """Every method raises GalleryUnavailable when Redis cannot serve, ValueError for what cannot be read."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._claim = client.register_script(_CLAIM)

    def read(self) -> GalleryModel | None:
        """The gallery's model; None before anybody has named one."""
        with redis_at_work():
            fields = cast("dict[bytes, bytes]", self._redis.hgetall(keys.MODEL))
        return GalleryModel.from_hash(fields) if fields else None

    def claim(self, mine: GalleryModel) -> GalleryModel:
        """The gallery's model, which is now the given one if there was none or nothing is in the gallery."""
        arguments: list[Any] = [mine.hash, *_flat(mine)]
        with redis_at_work():
            reply = cast("list[bytes]", self._claim([keys.MODEL, keys.ALL], arguments))
        return GalleryModel.from_hash(dict(zip(reply[::2], reply[1::2], strict=True)))

    def switch(self, model: GalleryModel) -> None:
        """From now on the gallery is searched by this model's vectors: one step for all processes."""
        with redis_at_work():
            self._redis.hset(keys.MODEL, mapping=cast("dict[Any, Any]", model.to_hash()))


def _flat(model: GalleryModel) -> list[str]:
    return [part for item in model.to_hash().items() for part in item]
