"""Bystanders made unrecognisable in the crops of one person.

Three things tell what is not the person: the outline that an upright person has in a crop; where the gallery's
other sightings of the same camera were at that moment; and other persons that the detector finds in the crop. Who
stands in front of the person is blurred whole, who stands behind only beside the person's middle. Somebody in front
whom neither a sighting nor the detector knows stays visible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from models.boxes import intersection_over_union
from pipeline.types import Image
from service.gallery import CropRef, TrackletRecord
from service.photos import PersonDetector

__all__ = ["Blur", "Bystander", "blurred", "outline"]

Box = tuple[float, float, float, float]
BoolArray = npt.NDArray[np.bool_]
_WIDTH, _CORE, _POWER = 0.86, 0.52, 3.0  # of outline and middle, as shares of the crop, and how square they are
_CELLS = 10  # a blurred crop has so few cells across: no face or writing is left
_REACH = timedelta(seconds=2)  # a sighting says where somebody was so long after and before its pictures
_SAME = 0.7  # two boxes that overlap more are of one person that was tracked or found twice
_PERSON = 0.3  # a box that covers less of the crop is not the person's
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Bystander:
    """Somebody else in a crop. `box` in its pixels; `in_front` of the person, as far as that can be told."""

    box: Box
    in_front: bool


@dataclass(frozen=True, slots=True)
class Blur:
    """Blurs crops."""

    detector: PersonDetector

    def pictures(
        self, jpegs: Sequence[bytes], crops: Sequence[CropRef], others: Sequence[TrackletRecord]
    ) -> list[bytes | None]:
        """Crops of one sighting without bystanders; None for one that cannot be decoded.

        Args:
            jpegs: the crops' files, in the same order.
            others: sightings of other people by the same camera at about that time.
        """
        images = [_decoded(jpeg) for jpeg in jpegs]
        readable = [image for image in images if image is not None]
        found = iter(self.detector.detect(readable) if readable else ())
        done: list[bytes | None] = []
        for image, crop in zip(images, crops, strict=True):
            if image is None:
                done.append(None)
                continue
            bystanders = [*_known(crop, others), *_found(next(found).boxes.tolist(), image)]
            done.append(_encoded(blurred(image, bystanders)))
        return done


def blurred(image: Image, bystanders: Iterable[Bystander]) -> Image:
    """``uint8[H, W, 3]``: what lies outside the person's outline, and bystanders, unrecognisable."""
    height, width = image.shape[:2]
    hidden = ~outline(height, width)
    core = outline(height, width, _CORE)
    for other in bystanders:
        x1, y1 = (max(0, int(v)) for v in other.box[:2])
        x2, y2 = (max(0, int(np.ceil(v))) for v in other.box[2:])
        region = np.zeros((height, width), bool)
        region[y1:y2, x1:x2] = True
        hidden |= region if other.in_front else region & ~core
    cells = max(1, min(_CELLS, width, height))
    small = cv2.resize(image, (cells, max(1, round(cells * height / width))), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(hidden[:, :, None], coarse, image).astype(np.uint8)


def outline(height: int, width: int, share: float = _WIDTH) -> BoolArray:
    """``bool[H, W]``: where an upright person is in a crop, a rounded rectangle (a superellipse)."""
    y = np.abs((np.arange(height) + 0.5) / height * 2 - 1)
    x = np.abs((np.arange(width) + 0.5) / width * 2 - 1) / share
    inside: BoolArray = y[:, None] ** _POWER + x[None, :] ** _POWER <= 1.0
    return inside


def _known(crop: CropRef, others: Iterable[TrackletRecord]) -> list[Bystander]:
    """Other sightings at the moment of a crop. Who stands nearer to the camera ends lower in the frame."""
    left, top = (max(0, int(v)) for v in crop.box[:2])  # as crops are cut
    boxes = [box for other in others if (box := _box_at(crop.captured_at, other.crops)) is not None]
    return [
        Bystander((box[0] - left, box[1] - top, box[2] - left, box[3] - top), box[3] > crop.box[3] + 1)
        for box, share in zip(boxes, _shares(boxes, crop.box), strict=True)
        if 0 < share <= _SAME
    ]


def _found(boxes: Sequence[Sequence[float]], image: Image) -> list[Bystander]:
    """What the detector found, but for the person. Whose feet the crop cuts off may be in front, and is taken so."""
    height, width = image.shape[:2]
    shares = _shares(boxes, (0.0, 0.0, float(width), float(height)))
    best = max(shares, default=0.0)
    mine = shares.index(best) if best >= _PERSON else None
    return [
        Bystander((box[0], box[1], box[2], box[3]), box[3] >= 0.98 * height)
        for place, (box, share) in enumerate(zip(boxes, shares, strict=True))
        if place != mine and share <= _SAME
    ]


def _shares(boxes: Sequence[Sequence[float]], box: Box) -> list[float]:
    """How much each of them is the same as one, intersection over union."""
    return [float(share) for share in intersection_over_union(list(boxes), [box])[:, 0]]


def _box_at(moment: datetime, crops: Sequence[CropRef]) -> Box | None:
    """Where a sighting was in the frame, between its pictures on a straight line; None long before and after."""
    for before, after in pairwise(crops):
        if before.captured_at <= moment <= after.captured_at:
            span_s = (after.captured_at - before.captured_at).total_seconds()
            share = (moment - before.captured_at).total_seconds() / span_s if span_s else 0.0
            x1, y1, x2, y2 = (a + (b - a) * share for a, b in zip(before.box, after.box, strict=True))
            return x1, y1, x2, y2
    nearest = min(crops, key=lambda crop: abs(crop.captured_at - moment), default=None)
    return nearest.box if nearest is not None and abs(nearest.captured_at - moment) <= _REACH else None


def _decoded(jpeg: bytes) -> Image | None:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    return np.asarray(image, np.uint8) if image is not None else None


def _encoded(image: Image) -> bytes:
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not ok:
        raise ValueError(f"a picture of shape {image.shape} could not be encoded")
    return bytes(data)
