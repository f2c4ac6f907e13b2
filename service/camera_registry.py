"""The cameras: kept in Redis, managed by API, dashboard and command line, checked in one place."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import redis
import structlog

from models.types import Modality
from pipeline.camera import CameraConfig, CameraPosition
from pipeline.camera_url import mask_url
from service.gallery.records import CAMERA_ID
from service.gallery.store import redis_at_work
from service.history import history_keys

__all__ = [
    "CameraConflictError",
    "CameraExistsError",
    "CameraMissingError",
    "CameraRecord",
    "CameraRegistry",
    "check_camera",
]

log = structlog.get_logger("tapetum.cameras")

CAMERAS = "tapetum:cameras"  # hash: id -> JSON
_IDS_EVER = "tapetum:cameras:ids"  # set: an id is not given to another camera, its tracklets are still there
MAX_NAME = 120
MAX_URL = 2048
_MAX_POLYGONS, _MAX_POINTS = 32, 256

# KEYS: cameras, ids ever. ARGV: id, JSON, whether the id may have been used. Returns 1 when added.
_ADD = """#!lua
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
if redis.call('SADD', KEYS[2], ARGV[1]) == 0 and ARGV[3] == '0' then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""
# KEYS: cameras. ARGV: id, what is there, what comes. Returns 1 when replaced, 0 when something else is there.
_REPLACE = """#!lua
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class CameraMissingError(KeyError):
    """There is no such camera."""


class CameraExistsError(ValueError):
    """The id is taken, or was by a camera that is gone."""


class CameraConflictError(RuntimeError):
    """Somebody else changed the camera meanwhile: read it again."""


@dataclass(frozen=True, slots=True)
class CameraRecord:
    """A camera as it is kept. `revision` rises with every edit."""

    config: CameraConfig
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def masked(self) -> CameraRecord:
        """The same without credentials: the only form that may leave the service."""
        return replace(self, config=replace(self.config, url=mask_url(self.config.url)))


class CameraRegistry:
    """Cameras in Redis. Every method raises GalleryUnavailable when Redis cannot serve.

    Args:
        check_url: raises ValueError for an address that may not be used; every way in passes it.
    """

    def __init__(self, client: redis.Redis, *, check_url: Callable[[str], object] | None = None):
        self._redis = client
        self._check_url = check_url
        self._add = client.register_script(_ADD)
        self._replace = client.register_script(_REPLACE)

    def list(self) -> tuple[CameraRecord, ...]:
        """All cameras by name. One that cannot be read is left out and logged."""
        with redis_at_work():
            stored = cast("dict[bytes, bytes]", self._redis.hgetall(CAMERAS))
        found = []
        for camera_id, text in stored.items():
            try:
                found.append(_read(text))
            except ValueError as error:
                log.error("camera cannot be read and is left out", camera=camera_id, reason=str(error))
        return tuple(sorted(found, key=lambda record: (record.config.name.casefold(), record.config.id)))

    def get(self, camera_id: str) -> CameraRecord:
        """Raises CameraMissingError."""
        return _read(self._stored(camera_id))

    def add(self, config: CameraConfig) -> CameraRecord:
        """Add a camera. An empty id is made from the name and is one that no camera ever had.

        Raises:
            ValueError: a field is wrong; the message names it.
            CameraExistsError: a given id is taken.
        """
        self._check(replace(config, id=config.id or "new"))
        now = datetime.now(UTC)
        for attempt in range(1, 1000):
            one = config if config.id else replace(config, id=_slug(config.name, attempt))
            record = CameraRecord(one, 1, now, now)
            with redis_at_work():
                added = self._add([CAMERAS, _IDS_EVER], [one.id, _write(record), int(bool(config.id))])
            if added:
                log.info("camera added", camera=one.id)
                return record
            if config.id:
                raise CameraExistsError(f"id: there is a camera {config.id} already")
        raise CameraExistsError(f"id: too many cameras are named like {config.name!r}")

    def edit(self, config: CameraConfig, *, expected_revision: int | None = None) -> CameraRecord:
        """Replace a camera's configuration. A URL that is the masked form of the present one keeps it.

        Raises:
            ValueError: a field is wrong; the message names it.
            CameraMissingError: no such camera.
            CameraConflictError: the camera is not at the expected revision any more.
        """
        for _ in range(10):
            text = self._stored(config.id)
            old = _read(text)
            if expected_revision is not None and old.revision != expected_revision:
                raise CameraConflictError(f"revision: expected {expected_revision}, the camera is at {old.revision}")
            if config.url == old.masked.config.url:
                config = replace(config, url=old.config.url)
            self._check(config)
            record = CameraRecord(config, old.revision + 1, old.created_at, datetime.now(UTC))
            with redis_at_work():
                if self._replace([CAMERAS], [config.id, text, _write(record)]):
                    return record
        raise CameraConflictError("the camera is being changed again and again by others")

    def declare(self, config: CameraConfig) -> CameraRecord:
        """Make the camera with this id be as given, whether it is there or not."""
        try:
            present = self.get(config.id)
        except CameraMissingError:
            return self.add(config)
        return present if present.config == config else self.edit(config)

    def remove(self, camera_id: str) -> None:
        """Forget a camera, its credentials and its history; its tracklets stay. Raises CameraMissingError."""
        with redis_at_work(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(CAMERAS, camera_id)
            pipe.delete(*history_keys(camera_id, datetime.now(UTC)))
            if not pipe.execute()[0]:
                raise CameraMissingError(camera_id)
        log.info("camera removed", camera=camera_id)

    def _stored(self, camera_id: str) -> bytes:
        with redis_at_work():
            text = cast("bytes | None", self._redis.hget(CAMERAS, camera_id))
        if text is None:
            raise CameraMissingError(camera_id)
        return text

    def _check(self, config: CameraConfig) -> None:
        check_camera(config)
        if self._check_url is not None:
            self._check_url(config.url)


def check_camera(config: CameraConfig) -> None:
    """Raise ValueError naming the field that is wrong; the URL's policy is not looked at here."""
    if not CAMERA_ID.fullmatch(config.id):
        raise ValueError("id: expected 1 to 64 of a-z, 0-9 and -")
    _check_text("name", config.name, MAX_NAME)
    if config.name != config.name.strip():
        raise ValueError("name: expected no space at its ends")
    _check_text("url", config.url, MAX_URL)
    if config.max_fps is not None and not 0 < config.max_fps <= 1000:
        raise ValueError(f"max_fps: expected above 0 and at most 1000, got {config.max_fps}")
    if config.keep_days is not None and not 0 < config.keep_days <= 36500:
        raise ValueError(f"keep_days: expected above 0 and at most 36500, got {config.keep_days}")
    if not 1 <= config.min_height_px <= 10_000:
        raise ValueError(f"min_height_px: expected 1 to 10000, got {config.min_height_px}")
    for name in ("open_timeout_s", "read_timeout_s"):
        if not 0.1 <= getattr(config, name) <= 300:
            raise ValueError(f"{name}: expected 0.1 to 300, got {getattr(config, name)}")
    for name in ("include", "exclude"):
        _check_polygons(name, getattr(config, name))
    if config.position is not None:
        _check_position(config.position)


def _check_position(position: CameraPosition) -> None:
    for names, limits in ((("x_m", "y_m"), (1e6, 1e6)), (("latitude", "longitude"), (90.0, 180.0))):
        values = [getattr(position, name) for name in names]
        if (values[0] is None) != (values[1] is None):
            raise ValueError(f"position: expected both {names[0]} and {names[1]}, or neither")
        for name, value, limit in zip(names, values, limits, strict=True):
            if value is not None and not abs(value) <= limit:
                raise ValueError(f"position: expected {name} from {-limit:g} to {limit:g}, got {value}")
    if position.x_m is None and position.latitude is None:
        raise ValueError("position: expected x_m and y_m, or latitude and longitude")
    if position.plan:
        _check_text("position", position.plan, MAX_NAME)


def _check_text(name: str, text: str, limit: int) -> None:
    if not isinstance(text, str) or not 1 <= len(text) <= limit:
        raise ValueError(f"{name}: expected 1 to {limit} characters")
    # Control characters, those that turn the direction of writing, line separators, half surrogates.
    if any(unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"} for c in text):
        raise ValueError(f"{name}: expected no control or direction characters")


def _check_polygons(name: str, polygons: tuple[tuple[tuple[float, float], ...], ...]) -> None:
    if len(polygons) > _MAX_POLYGONS:
        raise ValueError(f"{name}: expected at most {_MAX_POLYGONS} polygons, got {len(polygons)}")
    for polygon in polygons:
        if not 3 <= len(polygon) <= _MAX_POINTS:
            raise ValueError(f"{name}: expected 3 to {_MAX_POINTS} points in a polygon, got {len(polygon)}")
        for point in polygon:
            if len(point) != 2 or not all(math.isfinite(v) and 0 <= v <= 1 for v in point):
                raise ValueError(f"{name}: expected points as fractions of the frame, got {point}")


def _slug(name: str, attempt: int) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:56].strip("-") or "camera"
    return slug if attempt == 1 else f"{slug}-{attempt}"


def _write(record: CameraRecord) -> str:
    return json.dumps(
        {
            "config": asdict(record.config),
            "revision": record.revision,
            "created_at": record.created_at.isoformat(),
            "updated_at": record.updated_at.isoformat(),
        }
    )


def _read(text: bytes) -> CameraRecord:
    """Raises ValueError for anything that `_write` would not have written."""
    try:
        stored: dict[str, Any] = json.loads(text)
        fields = {"keep_days": None, "position": None, **stored["config"]}
        fields["position"] = CameraPosition(**fields["position"]) if fields["position"] else None
        fields["modality"] = Modality(fields["modality"]) if fields["modality"] else None
        for name in ("include", "exclude"):
            fields[name] = tuple(tuple((x, y) for x, y in polygon) for polygon in fields[name])
        record = CameraRecord(
            CameraConfig(**fields),
            int(stored["revision"]),
            datetime.fromisoformat(stored["created_at"]),
            datetime.fromisoformat(stored["updated_at"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"expected a stored camera: {error!r}") from None
    check_camera(record.config)
    return record
