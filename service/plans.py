"""Floor plans: a name that cameras' positions have too, how many metres it covers, and a picture of it.

A camera's ``x_m`` and ``y_m`` count from the plan's upper left corner, to the right and down. A plan that nobody has
described here is one all the same, as far as positions name it: it only has no picture and no edges.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import cv2
import redis
import structlog

from pipeline.types import Image
from service.gallery import MediaStore
from service.gallery.store import redis_at_work
from service.pictures import PictureError, PictureRules, decode_picture

__all__ = ["MAX_PLANS", "PLANS", "PLAN_NAME", "PLAN_PICTURES", "FloorPlan", "PlanMissing", "PlanPicture", "PlanStore"]
__all__ += ["encode_plan", "read_picture"]

log = structlog.get_logger("tapetum.plans")

PLANS = "tapetum:plans"  # hash: name -> JSON
PLAN_PICTURES = "tapetum:plans:pictures"  # hash: name -> JSON
MAX_PLANS = 200
# It is part of a path: nothing that a browser would take for a step in it.
PLAN_NAME = re.compile(r"[^/\\\s.](?:[^/\\]{0,118}[^/\\\s])?")
MIN_SIDE_M, MAX_SIDE_M = 1.0, 100_000.0
RULES = PictureRules(
    "plan",
    ("JPEG", "PNG"),
    "JPEG or PNG",
    side_px=3000,
    least_px=(64, 64),
    too_small="nothing can be read on it below",
    ground=255,  # drawings are black lines on nothing
)
_WEBP_QUALITY = 90

# KEYS: plans, their pictures. ARGV: name, JSON of its picture. Returns the former picture, '' for none; nil: no plan.
_SHOW = """#!lua
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return nil end
local old = redis.call('HGET', KEYS[2], ARGV[1]) or ''
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return old
"""
# KEYS: plans. ARGV: name, JSON, how many there may be. Returns 0 when there are so many.
_PUT = """#!lua
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class PlanMissing(KeyError):  # noqa: N818  a state of the world, as callers see it
    """There is no such plan."""


@dataclass(frozen=True, slots=True)
class PlanPicture:
    """A plan's picture in the media store."""

    key: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """One plan.

    Attributes:
        width_m, height_m: what it covers; with a picture the height follows from its shape.
    """

    name: str
    width_m: float
    height_m: float
    picture: PlanPicture | None = None


def encode_plan(data: bytes, *, max_pixels: int) -> tuple[bytes, int, int]:
    """What somebody uploaded, decoded and written anew: a WebP, its width and its height. Raises PictureError."""
    image: Image = decode_picture(data, RULES, max_pixels=max_pixels)
    ok, webp = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])
    if not ok:
        raise PictureError("The plan could not be kept in this form; save it again and retry.")
    return webp.tobytes(), image.shape[1], image.shape[0]


class PlanStore:
    """Plans in Redis, their pictures in the media store. Raises GalleryUnavailable and MediaError."""

    def __init__(self, client: redis.Redis, media: MediaStore) -> None:
        self._redis, self._media = client, media
        self._show = client.register_script(_SHOW)
        self._put = client.register_script(_PUT)

    def list(self) -> list[FloorPlan]:
        """By name. One that cannot be read is left out and logged."""
        with redis_at_work(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(PLANS)
            pipe.hgetall(PLAN_PICTURES)
            plans, pictures = pipe.execute()
        found = (_read(name.decode(), text, pictures.get(name)) for name, text in plans.items())
        return sorted((plan for plan in found if plan is not None), key=lambda plan: (plan.name.casefold(), plan.name))

    def get(self, name: str) -> FloorPlan:
        """Raises PlanMissing."""
        with redis_at_work(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hget(PLANS, name)
            pipe.hget(PLAN_PICTURES, name)
            text, picture = pipe.execute()
        plan = _read(name, text, picture) if text is not None else None
        if plan is None:
            raise PlanMissing(name)
        return plan

    def put(self, name: str, width_m: float, height_m: float) -> FloorPlan:
        """Make a plan, or change how many metres it covers.

        Raises:
            ValueError: a field is wrong, or there are too many plans; the message names it.
        """
        if not PLAN_NAME.fullmatch(name) or any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in name):
            raise ValueError("name: expected 1 to 120 characters without / and \\, a dot or a space at the beginning")
        for field, value in (("width_m", width_m), ("height_m", height_m)):
            if not (math.isfinite(value) and MIN_SIDE_M <= value <= MAX_SIDE_M):
                raise ValueError(f"{field}: expected {MIN_SIDE_M:g} to {MAX_SIDE_M:g}, got {value}")
        text = json.dumps({"width_m": float(width_m), "height_m": float(height_m)})
        with redis_at_work():
            if not self._put([PLANS], [name, text, MAX_PLANS]):
                raise ValueError(f"name: there are {MAX_PLANS} plans already; remove one first")
        return self.get(name)

    def show(self, name: str, webp: bytes, width_px: int, height_px: int) -> FloorPlan:
        """Give a plan another picture, which `encode_plan` made. Raises PlanMissing."""
        picture = PlanPicture(MediaStore.plan_key(name), width_px, height_px)
        self._media.write(picture.key, webp)
        text = json.dumps({"key": picture.key, "width_px": width_px, "height_px": height_px})
        with redis_at_work():
            old = cast("bytes | None", self._show([PLANS, PLAN_PICTURES], [name, text]))
        if old is None:
            self._media.delete(picture.key)
            raise PlanMissing(name)
        if old:
            with suppress(ValueError):  # it could not be read, so nobody knows what it named
                self._media.delete(read_picture(old).key)
        return self.get(name)

    def picture(self, picture: PlanPicture) -> bytes:
        """A WebP. Raises KeyError where it is gone."""
        return self._media.read(picture.key)

    def remove(self, name: str) -> None:
        """Forget a plan and its picture; cameras keep their positions. Raises PlanMissing."""
        with redis_at_work(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(PLANS, name)
            pipe.hdel(PLAN_PICTURES, name)
            removed, _ = pipe.execute()
        if not removed:
            raise PlanMissing(name)
        self._media.keep_only(MediaStore.plan_key(name), ())


def read_picture(text: bytes) -> PlanPicture:
    """Raises ValueError for anything that `show` would not have written."""
    try:
        stored = json.loads(text)
        picture = PlanPicture(str(stored["key"]), int(stored["width_px"]), int(stored["height_px"]))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"expected the picture of a floor plan: {error!r}") from None
    if not MediaStore.is_plan_key(picture.key) or min(picture.width_px, picture.height_px) < 1:
        raise ValueError("expected the picture of a floor plan")
    return picture


def _read(name: str, text: bytes, picture: bytes | None) -> FloorPlan | None:
    """None for one that cannot be read."""
    try:
        stored = json.loads(text)
        width_m, height_m = float(stored["width_m"]), float(stored["height_m"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        log.error("a floor plan cannot be read and is left out", plan=name, reason=repr(error))
        return None
    try:
        shown = read_picture(picture) if picture is not None else None
    except ValueError as error:
        log.error("the picture of a floor plan cannot be read", plan=name, reason=str(error))
        shown = None
    return FloorPlan(name, width_m, width_m * shown.height_px / shown.width_px if shown else height_m, shown)
