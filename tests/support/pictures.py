"""Pictures as people and attackers upload them."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image as Pillow

from pipeline.types import Image

__all__ = ["bomb", "png_header", "room", "saved"]


def saved(image: Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(image[:, :, ::-1]).save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A valid header that promises pixels, and almost no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def bomb(side: int) -> bytes:
    """A real picture of one colour: tiny as a file, huge when decoded."""
    buffer = io.BytesIO()
    Pillow.new("1", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


def room(width: int = 800, height: int = 600) -> Image:
    """A floor plan: black walls on white, two doors, a stair."""
    image = np.full((height, width, 3), 255, np.uint8)
    cv2.rectangle(image, (20, 20), (width - 20, height - 20), (0, 0, 0), 6)
    cv2.line(image, (width // 2, 20), (width // 2, height * 2 // 5), (0, 0, 0), 4)
    cv2.line(image, (20, height * 3 // 5), (width // 3, height * 3 // 5), (0, 0, 0), 4)
    cv2.line(image, (width * 3 // 5, height * 3 // 5), (width - 20, height * 3 // 5), (0, 0, 0), 4)
    for step in range(6):
        left = width * 3 // 4 + step * 20
        cv2.rectangle(image, (left, height - 120), (left + 20, height - 40), (120, 120, 120), 1)
    return image
