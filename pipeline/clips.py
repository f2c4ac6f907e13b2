"""The short clip of a sighting, made of its pictures when it has ended."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np

from pipeline.footage import Clip, TimedBox, content_digest
from pipeline.handover import HandedOver
from pipeline.mp4 import Mp4Writer
from pipeline.types import Image, Moment

__all__ = ["make_clip", "with_clip"]

_LEAST_PICTURES = 3  # fewer show nothing that the scene does not
_BOX_EVERY_S = 0.9  # in between, people go straight
_CODEC = {"preset": "superfast", "crf": "30", "threads": "1"}  # a fifth less work than veryfast for the same bytes


def with_clip(tracklet: HandedOver) -> HandedOver:
    """The same tracklet with the clip of its reel; without one where too few pictures were taken.

    Raises:
        ValueError: a picture cannot be decoded.
    """
    if len(tracklet.reel) < _LEAST_PICTURES:
        return replace(tracklet, reel=())
    clip, mp4 = make_clip(tracklet.reel)
    footage = replace(tracklet.footage, clip=clip)
    return replace(tracklet, footage=footage, media={**tracklet.media, clip.digest: mp4}, reel=())


def make_clip(reel: tuple[Moment, ...]) -> tuple[Clip, bytes]:
    """The clip of some moments, at least one, and its MP4."""
    begins, ends = reel[0].still, reel[-1].still
    mp4 = _film(reel)
    boxes = tuple(TimedBox(one.still.pts_s - begins.pts_s, one.box) for one in _spaced(reel))
    return Clip(content_digest(mp4), begins.captured_at, ends.pts_s - begins.pts_s, boxes), mp4


def _film(reel: tuple[Moment, ...]) -> bytes:
    file = io.BytesIO()
    # Room for the index at the beginning, so that a browser need not fetch the end first.
    writer = Mp4Writer(file, codec=_CODEC, container={"moov_size": str(2048 + 32 * len(reel))})
    try:
        size: tuple[int, int] | None = None
        for moment in reel:
            image = _decoded(moment.still.jpeg)
            size = size or (image.shape[1], image.shape[0])
            if (image.shape[1], image.shape[0]) != size:  # the stream changed its format meanwhile
                image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            writer.write(image, moment.still.pts_s - reel[0].still.pts_s)
    finally:
        writer.close()
    return file.getvalue()


def _decoded(jpeg: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"expected a JPEG picture, got {len(jpeg)} bytes that are none")
    return np.asarray(image, np.uint8)


def _spaced(reel: tuple[Moment, ...]) -> list[Moment]:
    """First, last, and some in between: as many as straight lines need."""
    kept = [reel[0]]
    for moment in reel[1:-1]:
        if moment.still.pts_s - kept[-1].still.pts_s >= _BOX_EVERY_S:
            kept.append(moment)
    return [*kept, reel[-1]]
