"""What a look at a camera's stream found."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.types import Modality
from pipeline.types import Image

__all__ = ["CameraProbe"]


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
