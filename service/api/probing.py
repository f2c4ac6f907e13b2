"""What a look at a camera's stream found, and how it is told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from models.types import Modality
from pipeline.camera_url import mask_url
from pipeline.types import Image

__all__ = ["CameraProbe", "without_place"]

_LITERAL = r"\[[0-9a-fA-F:.]+\](?::\d+)?|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?!\w)"
# As `CheckedUrl.origin` writes it: a sentence that was kept may be of an address that the camera had before.
_HOST_AND_PORT = r"(?<![\w.-])(?=[\w.-]*[a-z])[\w-]+(?:\.[\w-]+)*:\d+(?![\w-])"
_QUOTED = re.compile(r"'[^']*'")


@dataclass(frozen=True, slots=True)
class CameraProbe:
    """Either a first frame with what is known of the stream, or the reason in words why there is none."""

    reason: str | None = None
    image: Image | None = field(default=None, repr=False)
    codec: str | None = None
    fps: float | None = None
    modality: Modality | None = None
    clock_offset_s: float | None = None

    @property
    def width_px(self) -> int | None:
        return None if self.image is None else int(self.image.shape[1])

    @property
    def height_px(self) -> int | None:
        return None if self.image is None else int(self.image.shape[0])


def without_place(sentence: str, url: str) -> str:
    """A sentence about a camera that says "the camera" where its host, its IP address or its file stood."""
    _, network, rest = mask_url(url).partition("://")
    host = re.split(r"[/?]", rest, maxsplit=1)[0].rpartition("@")[2]
    place = re.sub(r":\d*$", "", host) if network else url.rpartition("/")[2]
    unknown = f"{_LITERAL}|{_HOST_AND_PORT}"
    named = rf"(?<![\w.-])(?:{re.escape(place)})(?::\d+)?(?![\w-])|{unknown}" if place else unknown
    text = re.sub(named, "the camera", _QUOTED.sub("'…'", sentence), flags=re.IGNORECASE)
    return text[:1].upper() + text[1:]
