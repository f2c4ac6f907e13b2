"""What a sighting looked like in the whole picture of its camera, without the pixels: a scene, and a short clip.

Both are small beside what the camera sent; their pictures travel and lie beside the crops, named by their content.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from pipeline.microseconds import from_microseconds, to_microseconds

__all__ = ["Clip", "Footage", "Fractions", "Scene", "TimedBox", "content_digest"]

Fractions = tuple[float, float, float, float]
"""A box in fractions of the picture: x1 y1 x2 y2, each 0 to 1."""

_DIGEST = re.compile(r"[0-9a-f]{32}")
_GRID = 10_000  # boxes are written down as whole parts of the picture's sides


def content_digest(data: bytes) -> str:
    """The name of a picture or clip: 32 hexadecimal figures of its content."""
    return sha256(data).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Scene:
    """The whole picture at a sighting's best moment. `box` is where its person was."""

    digest: str
    box: Fractions
    captured_at: datetime

    def __post_init__(self) -> None:
        _check_digest(self.digest)


@dataclass(frozen=True, slots=True)
class TimedBox:
    """Where the person was, so long after the clip's beginning."""

    at_s: float
    box: Fractions


@dataclass(frozen=True, slots=True)
class Clip:
    """A silent film (MP4, H.264) around a sighting's best moment, and where its person was in it, in order of time."""

    digest: str
    started_at: datetime
    duration_s: float
    boxes: tuple[TimedBox, ...]

    def __post_init__(self) -> None:
        _check_digest(self.digest)


@dataclass(frozen=True, slots=True)
class Footage:
    """What there is of a sighting: nothing where pictures were not kept, or from before they were."""

    scene: Scene | None = None
    clip: Clip | None = None

    def parts(self) -> tuple[Scene | Clip, ...]:
        """Those that there are."""
        return tuple(part for part in (self.scene, self.clip) if part is not None)

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if (scene := self.scene) is not None:
            told["scene"] = [scene.digest, to_microseconds(scene.captured_at), *_parts(scene.box)]
        if (clip := self.clip) is not None:
            boxes = [[round(1000 * one.at_s), *_parts(one.box)] for one in clip.boxes]
            told["clip"] = [clip.digest, to_microseconds(clip.started_at), round(1000 * clip.duration_s), boxes]
        return told

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Footage:
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        scene = clip = None
        if "scene" in told:
            digest, captured_us, *parts = told["scene"]
            scene = Scene(str(digest), _box(parts), from_microseconds(int(captured_us)))
        if "clip" in told:
            digest, started_us, duration_ms, rows = told["clip"]
            boxes = tuple(TimedBox(at_ms / 1000, _box(parts)) for at_ms, *parts in rows)
            clip = Clip(str(digest), from_microseconds(int(started_us)), duration_ms / 1000, boxes)
        return cls(scene, clip)


def _check_digest(digest: str) -> None:
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"digest: expected 32 hexadecimal figures, got {digest[:40]!r}")


def _parts(box: Fractions) -> list[int]:
    return [round(_GRID * side) for side in box]


def _box(parts: Sequence[int]) -> Fractions:
    x1, y1, x2, y2 = (side / _GRID for side in parts)
    return x1, y1, x2, y2
