"""What the gallery keeps of a tracklet, and its form as a Redis hash."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from datetime import datetime

import numpy as np

from models.types import Modality
from pipeline.footage import Footage
from pipeline.microseconds import from_microseconds, to_microseconds
from pipeline.sealing import Sealer
from pipeline.types import CropQuality, FloatArray, Sighting
from service.gallery import keys

__all__ = [
    "CAMERA_ID",
    "NO_FOOTAGE",
    "TRACKLET_ID",
    "CropRef",
    "GalleryFilter",
    "RecordError",
    "TrackletRecord",
    "from_microseconds",
    "to_microseconds",
]

SCHEMA = 1
MAX_DIMENSION = 8192
NO_FOOTAGE = "{}"
TRACKLET_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
CAMERA_ID = re.compile(r"[a-z0-9-]{1,64}")
_MODEL_HASH = re.compile(r"[\x21-\x7e]{1,200}")


class RecordError(ValueError):
    """A record in Redis cannot be understood; the message says why."""


@dataclass(frozen=True, slots=True)
class CropRef:
    """One picture of a tracklet: its key in the media store, and where and when it was seen."""

    key: str
    box: tuple[float, float, float, float]
    quality: float
    pts_s: float
    captured_at: datetime


@dataclass(frozen=True, slots=True)
class TrackletRecord(Sighting):
    """One tracklet in the gallery.

    Attributes:
        vector: ``float32[D]``; its values are those of float16, in which it is stored.
        crops: in the order of time; empty only when the media are gone.
        thumbnail: key of a small picture, None when the media are gone.
    """

    model_hash: str
    vector: FloatArray = field(repr=False, compare=False)
    crops: tuple[CropRef, ...] = ()
    thumbnail: str | None = None

    def __post_init__(self) -> None:
        if not TRACKLET_ID.fullmatch(self.id):
            raise RecordError(f"id: expected a ULID, got {self.id[:40]!r}")
        if self.revision < 0:
            raise RecordError(f"revision: expected at least 0, got {self.revision}")
        if not CAMERA_ID.fullmatch(self.camera_id):
            raise RecordError(f"camera_id: expected [a-z0-9-]{{1,64}}, got {self.camera_id[:80]!r}")
        if not _MODEL_HASH.fullmatch(self.model_hash):
            raise RecordError("model_hash: expected 1 to 200 printable characters")
        if self.ended_at < self.started_at:
            raise RecordError(f"expected ended_at >= started_at, got {self.ended_at} < {self.started_at}")
        if self.vector.ndim != 1 or not 1 <= len(self.vector) <= MAX_DIMENSION:
            raise RecordError(f"vector: expected shape (1..{MAX_DIMENSION},), got {self.vector.shape}")
        with np.errstate(over="ignore"):
            stored = self.vector.astype(np.float16).astype(np.float32)
        if not np.isfinite(stored).all() or not stored.any():
            raise RecordError("vector: expected finite numbers, not all zero")
        object.__setattr__(self, "vector", stored)

    def to_hash(self, sealer: Sealer) -> dict[str, bytes | str | int]:
        """Fields for HSET, the vector sealed."""
        crops = [
            [c.key, [round(v, 2) for v in c.box], round(c.quality, 4), c.pts_s, to_microseconds(c.captured_at)]
            for c in self.crops
        ]
        return {
            "schema": SCHEMA,
            "revision": self.revision,
            "camera": self.camera_id,
            "track": self.track_id,
            "modality": str(self.modality),
            "started": to_microseconds(self.started_at),
            "ended": to_microseconds(self.ended_at),
            "closed": int(self.closed),
            "frames": self.frame_count,
            "quality": repr(float(self.quality)),
            "model": self.model_hash,
            "vector": sealer.seal(self.vector.astype("<f2").tobytes(), keys.vector_place(self.id)),
            "crops": json.dumps(crops, separators=(",", ":")),
            "thumbnail": self.thumbnail or "",
            "marks": json.dumps([round(mark, 4) for mark in astuple(self.marks)]) if self.marks is not None else "",
            "footage": json.dumps(self.footage.to_json(), separators=(",", ":")),
        }

    @classmethod
    def from_hash(
        cls, tracklet_id: str, fields: Mapping[bytes, bytes], sealer: Sealer, model_hash: str | None = None
    ) -> TrackletRecord:
        """Read what `to_hash` wrote. Raises RecordError for anything else.

        Args:
            model_hash: whose vector to take where there are two, because the gallery is being re-embedded.
        """
        try:
            model, vector = fields[b"model"].decode(), fields[b"vector"]
            if model_hash is not None and model != model_hash and fields.get(b"other_model") == model_hash.encode():
                model, vector = model_hash, fields[b"other_vector"]
            if int(fields[b"schema"]) != SCHEMA:
                raise RecordError(f"schema: expected {SCHEMA}, got {int(fields[b'schema'])}")
            crops = tuple(
                CropRef(str(key), _box(box), float(quality), float(pts_s), from_microseconds(int(captured)))
                for key, box, quality, pts_s, captured in json.loads(fields[b"crops"])
            )
            return cls(
                id=tracklet_id,
                revision=int(fields[b"revision"]),
                camera_id=fields[b"camera"].decode(),
                track_id=int(fields[b"track"]),
                modality=Modality(fields[b"modality"].decode()),
                started_at=from_microseconds(int(fields[b"started"])),
                ended_at=from_microseconds(int(fields[b"ended"])),
                closed=bool(int(fields[b"closed"])),
                frame_count=int(fields[b"frames"]),
                quality=float(fields[b"quality"]),
                marks=CropQuality(*map(float, json.loads(marks))) if (marks := fields.get(b"marks")) else None,
                footage=Footage.from_json(json.loads(fields.get(b"footage", NO_FOOTAGE))),
                model_hash=model,
                vector=np.frombuffer(sealer.open(vector, keys.vector_place(tracklet_id)), "<f2").astype(np.float32),
                crops=crops,
                thumbnail=fields[b"thumbnail"].decode() or None,
            )
        except RecordError:
            raise
        except KeyError as error:
            raise RecordError(f"field {error.args[0]!r} is missing") from None
        except (ValueError, TypeError, OverflowError) as error:
            raise RecordError(f"cannot be read: {error}") from None


def _box(values: list[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(v) for v in values)
    return x1, y1, x2, y2


@dataclass(frozen=True, slots=True)
class GalleryFilter:
    """Which tracklets are meant. A tracklet is in a window of time when it overlaps it.

    Attributes:
        cameras: only these; None for all, empty for none at all.
        since, until: aware times, both inclusive.
    """

    cameras: frozenset[str] | None = None
    modality: Modality | None = None
    since: datetime | None = None
    until: datetime | None = None
    exclude_cameras: frozenset[str] = frozenset()
    exclude_ids: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name}: expected a time with its zone, got {moment!r}")
        if self.since and self.until and self.until < self.since:
            raise ValueError(f"expected until >= since, got {self.until.isoformat()} < {self.since.isoformat()}")

    def admits(self, record: TrackletRecord) -> bool:
        return (
            (self.cameras is None or record.camera_id in self.cameras)
            and record.camera_id not in self.exclude_cameras
            and (self.modality is None or record.modality is self.modality)
            and (self.since is None or record.ended_at >= self.since)
            and (self.until is None or record.started_at <= self.until)
            and record.id not in self.exclude_ids
        )
