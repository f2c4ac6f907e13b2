"""Which worker holds which camera, and how the cameras are: leases and health reports in Redis."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import cast

import redis
import structlog

from models.types import Modality
from pipeline.camera import CameraConfig, CameraHealth, CameraState
from service.camera_registry import (
    CAMERAS,
    CameraConflictError,
    CameraExistsError,
    CameraMissingError,
    CameraRecord,
    CameraRegistry,
)
from service.gallery.store import GalleryUnavailable, redis_at_work
from service.history import NOBODY, CameraRecorder

__all__ = [
    "CameraConflictError",
    "CameraExistsError",
    "CameraHealthReader",
    "CameraMissingError",
    "CameraRecord",
    "CameraRegistry",
    "RedisCameraBoard",
]

log = structlog.get_logger("tapetum.cameras")

LEASE_MS = 10_000
HEALTH_S = 15
_LEASE = "tapetum:lease:"  # + camera: worker
_HEALTH = "tapetum:health:"  # + camera: JSON
_WORKERS = "tapetum:workers"  # hash: worker -> capacity
_SEEN = "tapetum:workers:seen"  # sorted set: worker by the server's time in ms

# KEYS: workers, seen. ARGV: worker, capacity, lease in ms, prefix of leases, then the enabled cameras in order.
# Every worker runs the same arithmetic: cameras go one by one to the living worker with the fewest that has
# room, so shares differ by at most one. A worker gives up what is above its share only for another that waits.
# Returns the cameras this worker holds.
_TAKE = """#!lua
local me, ttl, prefix = ARGV[1], tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ttl)) do
  redis.call('ZREM', KEYS[2], dead)
  redis.call('HDEL', KEYS[1], dead)
end
redis.call('HSET', KEYS[1], me, ARGV[2])
redis.call('ZADD', KEYS[2], now, me)

local workers = redis.call('ZRANGE', KEYS[2], 0, -1)
local room, share, held = {}, {}, {}
for _, w in ipairs(workers) do
  room[w], share[w], held[w] = tonumber(redis.call('HGET', KEYS[1], w) or 0), 0, 0
end
local mine, free = {}, {}
for i = 5, #ARGV do
  local owner = redis.call('GET', prefix .. ARGV[i])
  if owner == me then mine[#mine + 1] = ARGV[i]
  elseif not owner then free[#free + 1] = ARGV[i] end
  if owner and held[owner] then held[owner] = held[owner] + 1 end
end
-- Among equals the share goes to who holds more already, so that cameras move as little as possible.
table.sort(workers, function(a, b) if held[a] ~= held[b] then return held[a] > held[b] end return a < b end)
for i = 5, #ARGV do
  local best
  for _, w in ipairs(workers) do
    if share[w] < room[w] and (not best or share[w] < share[best]) then best = w end
  end
  if not best then break end
  share[best] = share[best] + 1
end

while #mine < share[me] and #free > 0 do
  mine[#mine + 1] = table.remove(free, 1)
end
local waiting = -#free
for _, w in ipairs(workers) do
  if w ~= me then waiting = waiting + math.max(0, share[w] - held[w]) end
end
while #mine > room[me] or (#mine > share[me] and waiting > 0) do
  redis.call('DEL', prefix .. table.remove(mine))
  waiting = waiting - 1
end
for _, camera in ipairs(mine) do redis.call('SET', prefix .. camera, me, 'PX', ttl) end
return mine
"""

# KEYS: workers, seen. ARGV: worker, prefix of leases, then cameras. Frees those that are this worker's.
_RELEASE = """#!lua
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
for i = 3, #ARGV do
  local key = ARGV[2] .. ARGV[i]
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
return 1
"""

# KEYS: leases. ARGV: worker. Frees those of cameras that were removed or disabled.
_DROP = """#!lua
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
return 1
"""


class RedisCameraBoard:
    """`pipeline.camera.CameraBoard` over Redis: the cameras one worker holds, by leases that others can see.

    A worker that dies is replaced when its leases end; one that stops gives its cameras back at once. While
    Redis is away a worker keeps the cameras it has: what they see goes to the spool.

    Args:
        capacity: how many cameras this worker can follow.
    """

    def __init__(
        self,
        client: redis.Redis,
        worker_id: str,
        capacity: int,
        *,
        registry: CameraRegistry | None = None,
        lease_ms: int = LEASE_MS,
    ):
        if capacity < 1:
            raise ValueError(f"capacity: expected at least 1, got {capacity}")
        self.worker_id = worker_id
        self._redis = client
        self._capacity = capacity
        self._registry = registry or CameraRegistry(client)
        self._lease_ms = lease_ms
        self._take = client.register_script(_TAKE)
        self._release = client.register_script(_RELEASE)
        self._drop = client.register_script(_DROP)
        self._held: tuple[CameraConfig, ...] = ()
        self._history = CameraRecorder(client, CAMERAS)
        self._away = False

    def lease(self) -> Sequence[CameraConfig]:
        """The enabled cameras this worker holds now. To be called about once a second; renews the leases."""
        try:
            known = {record.config.id: record.config for record in self._registry.list()}
            enabled = {camera_id: config for camera_id, config in known.items() if config.enabled}
            with redis_at_work():
                gone = [_LEASE + config.id for config in self._held if config.id not in enabled]
                if gone:
                    self._drop(gone, [self.worker_id])
                arguments: list[str | int] = [self.worker_id, self._capacity, self._lease_ms, _LEASE]
                mine = cast("list[bytes]", self._take([_WORKERS, _SEEN], [*arguments, *sorted(enabled)]))
        except GalleryUnavailable as error:
            if not self._away:
                log.warning("Redis is away, the cameras are kept", cameras=len(self._held), reason=str(error))
            self._away = True
            return self._held
        if self._away:
            log.info("Redis is back", cameras=len(mine))
            self._away = False
        before, self._held = self._held, tuple(enabled[camera.decode()] for camera in mine)
        left = {c.id for c in before} - {c.id for c in self._held}
        self._leave(
            {one: CameraState.DISABLED.value if one in known.keys() - enabled.keys() else NOBODY for one in left}
        )
        return self._held

    def report(self, health: Sequence[CameraHealth]) -> None:
        """Pin reports for `HEALTH_S` seconds, and note what has changed; while Redis is away only the latter lasts."""
        if not health:
            return
        try:
            with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
                for one in health:
                    pipe.set(_HEALTH + one.camera_id, _write_health(one), ex=HEALTH_S)
                pipe.execute()
        except GalleryUnavailable as error:
            log.debug("health not reported", reason=str(error))
        try:
            self._history.note(health)
        except GalleryUnavailable as error:
            log.debug("history waits for Redis", reason=str(error))

    def release(self) -> None:
        """Give all cameras back, so that another worker can take over at once."""
        held, self._held = self._held, ()
        self._leave({config.id: NOBODY for config in held})
        try:
            with redis_at_work():
                self._release([_WORKERS, _SEEN], [self.worker_id, _LEASE, *(c.id for c in held)])
        except GalleryUnavailable as error:
            log.warning("leases could not be given back and will end by themselves", reason=str(error))

    def _leave(self, cameras: Mapping[str, str]) -> None:
        """Note that cameras are not followed any more, and in which states they are."""
        if not cameras:
            return
        try:
            self._history.leave(cameras, datetime.now(UTC))
        except GalleryUnavailable as error:
            log.debug("history is not told of cameras that were given up", reason=str(error))


class CameraHealthReader:
    """What workers say about cameras. Raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis):
        self._redis = client

    def get(self, camera_id: str) -> CameraHealth | None:
        """The last report; None when no worker has spoken of the camera lately."""
        return self.get_many([camera_id]).get(camera_id)

    def get_many(self, camera_ids: Sequence[str]) -> dict[str, CameraHealth]:
        if not camera_ids:
            return {}
        with redis_at_work():
            names = [_HEALTH + one for one in camera_ids]
            found = cast("list[bytes | None]", self._redis.mget(names))
        reports = {}
        for camera_id, text in zip(camera_ids, found, strict=True):
            report = _read_health(text) if text else None
            if report is not None:
                reports[camera_id] = report
        return reports

    def workers(self) -> dict[str, int]:
        """The workers seen lately and how many cameras each can follow."""
        with redis_at_work():
            found = cast("dict[bytes, bytes]", self._redis.hgetall(_WORKERS))
        return {worker.decode(): int(capacity) for worker, capacity in found.items()}


def _write_health(health: CameraHealth) -> str:
    fields = asdict(health)
    for name in ("updated_at", "last_frame_at"):
        fields[name] = fields[name].isoformat() if fields[name] else None
    return json.dumps(fields)


def _read_health(text: bytes) -> CameraHealth | None:
    try:
        fields = json.loads(text)
        fields["state"] = CameraState(fields["state"])
        fields["modality"] = Modality(fields["modality"]) if fields["modality"] else None
        for name in ("updated_at", "last_frame_at"):
            fields[name] = datetime.fromisoformat(fields[name]) if fields[name] else None
        return CameraHealth(**fields)
    except (ValueError, KeyError, TypeError) as error:
        log.warning("health report cannot be read", reason=repr(error))
        return None
