"""Films as pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipeline.types import Image

__all__ = ["frames_of"]


def frames_of(video: Path) -> list[Image]:
    """All of them; a minute of the demo's films is 750 MB."""
    capture, frames = cv2.VideoCapture(str(video)), []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    return frames
