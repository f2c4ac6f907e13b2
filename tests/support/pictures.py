"""Pictures as people and attackers upload them."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image as Pillow

from pipeline.types import Image

__all__ = ["bomb", "png_header", "saved"]


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
