"""A filmed world on disk: a video and a truth for each camera, and what they are.

``world.json`` names the cameras; ``day-1.mp4`` is a video, ``day-1.txt`` its truth as MOTChallenge writes it:
``frame,identity,x,y,width,height,1,1,visibility``, frames from 1, boxes in pixels cut to the picture, identities the
same for all cameras.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.samples import DataError
from models.types import Modality

__all__ = ["CameraClip", "ClipWorld", "Truth", "read_clips", "read_truth"]

VERSION = 1


@dataclass(frozen=True)
class Truth:
    """Who is where: N boxes, sorted by frame.

    Attributes:
        frame: ``int64[N]``, from 1.
        identity: ``int64[N]``.
        boxes: ``float64[N, 4]``: x1, y1, x2, y2 in pixels.
        visibility: ``float64[N]``, 0 to 1: what is to be seen of the whole person.
    """

    frame: NDArray[np.int64]
    identity: NDArray[np.int64]
    boxes: NDArray[np.float64] = field(repr=False)
    visibility: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class CameraClip:
    """One camera.

    Attributes:
        starts_at: of the first frame, UTC.
        modalities: which light from which frame on (from 0), the first from 0.
    """

    id: str
    name: str
    video: Path
    truth: Path
    width_px: int
    height_px: int
    fps: int
    frames: int
    starts_at: datetime
    modalities: tuple[tuple[Modality, int], ...]

    @property
    def fixed_modality(self) -> Modality | None:
        """The light of a camera that never changes it: what an operator would set."""
        return self.modalities[0][0] if len(self.modalities) == 1 else None

    def modality_at(self, frame: int) -> Modality:
        """The light of a frame, from 0."""
        return next(light for light, first in reversed(self.modalities) if first <= frame)


@dataclass(frozen=True)
class ClipWorld:
    """All cameras of a folder."""

    root: Path
    seed: int
    cameras: tuple[CameraClip, ...]


def read_clips(folder: Path) -> ClipWorld:
    """What ``world.json`` says; videos and truths must be there.

    Raises:
        DataError: no such world, of another version, or damaged; the message says what is missing.
    """
    note = folder / "world.json"
    try:
        found: Any = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{note}: expected what `tapetum synth clips` writes: {error}") from error
    if not isinstance(found, dict) or found.get("version") != VERSION or not isinstance(found.get("cameras"), list):
        raise DataError(f"{note}: expected a filmed world of version {VERSION}")
    try:
        cameras = tuple(_camera(folder, values) for values in found["cameras"])
        seed = int(found["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{note}: damaged: {type(error).__name__}: {error}") from error
    for camera in cameras:
        for file in (camera.video, camera.truth):
            if not file.is_file():
                raise DataError(f"{file}: is not there; `tapetum synth clips` completes a broken-off run")
    return ClipWorld(folder, seed, cameras)


def _camera(folder: Path, values: Mapping[str, Any]) -> CameraClip:
    lights = tuple((Modality(light), int(first)) for light, first in values["modalities"])
    if not lights or lights[0][1] != 0 or any(a[1] >= b[1] for a, b in pairwise(lights)):
        raise ValueError(f"modalities: expected ascending first frames from 0, got {values['modalities']}")
    names = [str(values[key]) for key in ("file", "truth")]
    if any(Path(name).name != name for name in names):
        raise ValueError(f"expected names of files in the same folder, got {names}")
    sizes = {key: int(values[key]) for key in ("width_px", "height_px", "fps", "frames")}
    if min(sizes.values()) < 1:
        raise ValueError(f"expected sizes, fps and frames of at least 1, got {sizes}")
    starts_at = datetime.fromisoformat(values["starts_at"])
    if starts_at.tzinfo is None:
        raise ValueError(f"starts_at: expected a time with its offset, got {values['starts_at']}")
    return CameraClip(
        str(values["id"]),
        str(values["name"]),
        folder / names[0],
        folder / names[1],
        starts_at=starts_at,
        modalities=lights,
        **sizes,
    )


def read_truth(clip: CameraClip) -> Truth:
    """The boxes of a camera's people.

    Raises:
        DataError: not such a file, or of more frames than the video.
    """
    rows = []
    try:
        for line in clip.truth.read_text(encoding="ascii").splitlines():
            if line.strip():
                frame, identity, x, y, width, height, _, _, visibility = map(float, line.split(","))
                rows.append((frame, identity, x, y, x + width, y + height, visibility))
    except (OSError, ValueError) as error:
        raise DataError(f"{clip.truth}: expected frame,identity,x,y,width,height,1,1,visibility: {error}") from error
    table = np.array(sorted(rows), np.float64).reshape(-1, 7)
    if not np.isfinite(table).all() or (len(table) and (table[:, 0].min() < 1 or table[:, 0].max() > clip.frames)):
        raise DataError(f"{clip.truth}: expected finite numbers and frames from 1 to {clip.frames}")
    return Truth(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6], table[:, 6])
