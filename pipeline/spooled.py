"""A tracklet as it lies in the spool: pictures apart, named by their content, everything else as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import numpy as np

from models.types import Modality
from pipeline.handover import HandedOver
from pipeline.types import FloatArray, Sighting

__all__ = ["SpooledCrop", "SpooledTracklet", "from_body", "picture_digest", "to_body"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SpooledCrop:
    """A picture of a spooled tracklet; `jpeg` is None once the media store has it."""

    digest: str
    box: tuple[float, float, float, float]
    quality: float
    pts_s: float
    captured_at: datetime
    jpeg: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SpooledTracklet(Sighting):
    """One revision of a tracklet as it comes out of the spool. `vector` is ``float32[D]``."""

    model_hash: str
    vector: FloatArray = field(repr=False)
    crops: tuple[SpooledCrop, ...] = field(repr=False)
    replayed: bool = False


def picture_digest(jpeg: bytes) -> str:
    """The name of a picture: 32 hexadecimal figures of its content."""
    return sha256(jpeg).hexdigest()[:32]


def to_body(tracklet: HandedOver) -> str:
    """Everything but id, revision, vector and pictures, as JSON."""
    return json.dumps(
        {
            "camera_id": tracklet.camera_id,
            "track_id": tracklet.track_id,
            "modality": str(tracklet.modality),
            "started_us": _microseconds(tracklet.started_at),
            "ended_us": _microseconds(tracklet.ended_at),
            "closed": tracklet.closed,
            "frame_count": tracklet.frame_count,
            "quality": float(tracklet.quality),
            "model_hash": tracklet.model_hash,
            "crops": [
                [
                    picture_digest(crop.jpeg),
                    [float(v) for v in crop.box],
                    float(crop.quality),
                    float(crop.pts_s),
                    _microseconds(crop.captured_at),
                ]
                for crop in tracklet.crops
            ],
        }
    )


def from_body(
    tracklet_id: str,
    revision: int,
    body: str,
    vector: bytes,
    pictures: Mapping[str, bytes],
    *,
    replayed: bool,
) -> SpooledTracklet:
    """Read what `to_body` wrote. Raises ValueError when it cannot be read."""
    try:
        fields = json.loads(body)
        return SpooledTracklet(
            id=tracklet_id,
            revision=revision,
            camera_id=fields["camera_id"],
            track_id=fields["track_id"],
            modality=Modality(fields["modality"]),
            started_at=_time(fields["started_us"]),
            ended_at=_time(fields["ended_us"]),
            closed=fields["closed"],
            frame_count=fields["frame_count"],
            quality=fields["quality"],
            model_hash=fields["model_hash"],
            vector=np.frombuffer(vector, "<f4").astype(np.float32),
            crops=tuple(
                SpooledCrop(digest, tuple(box), quality, pts_s, _time(captured), pictures.get(digest))
                for digest, box, quality, pts_s, captured in fields["crops"]
            ),
            replayed=replayed,
        )
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"spooled tracklet {tracklet_id} cannot be read: {error!r}") from None


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
