"""A tracklet as it lies in the spool: pictures apart, named by their content, everything else as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from datetime import datetime

import numpy as np

from models.types import Modality
from pipeline.footage import Footage, content_digest
from pipeline.handover import HandedOver
from pipeline.microseconds import from_microseconds, to_microseconds
from pipeline.types import CropQuality, FloatArray, Sighting

__all__ = ["SpooledCrop", "SpooledTracklet", "from_body", "to_body"]


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
    """One revision of a tracklet as it comes out of the spool.

    Attributes:
        vector: ``float32[D]``.
        media: what its footage names, by digest; without what the media store has.
    """

    model_hash: str
    vector: FloatArray = field(repr=False)
    crops: tuple[SpooledCrop, ...] = field(repr=False)
    media: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    replayed: bool = False


def to_body(tracklet: HandedOver) -> str:
    """Everything but id, revision, vector and pictures, as JSON."""
    return json.dumps(
        {
            "camera_id": tracklet.camera_id,
            "track_id": tracklet.track_id,
            "modality": str(tracklet.modality),
            "started_us": to_microseconds(tracklet.started_at),
            "ended_us": to_microseconds(tracklet.ended_at),
            "closed": tracklet.closed,
            "frame_count": tracklet.frame_count,
            "quality": float(tracklet.quality),
            "model_hash": tracklet.model_hash,
            "marks": astuple(tracklet.marks) if tracklet.marks is not None else None,
            "footage": tracklet.footage.to_json(),
            "crops": [
                [
                    content_digest(crop.jpeg),
                    [float(v) for v in crop.box],
                    float(crop.quality),
                    float(crop.pts_s),
                    to_microseconds(crop.captured_at),
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
        marks, footage = fields.get("marks"), Footage.from_json(fields.get("footage", {}))
        return SpooledTracklet(
            id=tracklet_id,
            revision=revision,
            camera_id=fields["camera_id"],
            track_id=fields["track_id"],
            modality=Modality(fields["modality"]),
            started_at=from_microseconds(fields["started_us"]),
            ended_at=from_microseconds(fields["ended_us"]),
            closed=fields["closed"],
            frame_count=fields["frame_count"],
            quality=fields["quality"],
            marks=CropQuality(*marks) if marks is not None else None,
            footage=footage,
            model_hash=fields["model_hash"],
            vector=np.frombuffer(vector, "<f4").astype(np.float32),
            crops=tuple(
                SpooledCrop(digest, tuple(box), quality, pts_s, from_microseconds(captured), pictures.get(digest))
                for digest, box, quality, pts_s, captured in fields["crops"]
            ),
            media={one.digest: data for one in footage.parts() if (data := pictures.get(one.digest)) is not None},
            replayed=replayed,
        )
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"spooled tracklet {tracklet_id} cannot be read: {error!r}") from None
