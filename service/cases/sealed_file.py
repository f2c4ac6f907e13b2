"""Exports as they lie on the disk: plain ZIP files, or sealed piece by piece where the installation encrypts at rest.

A sealed file is a mark, then for each piece its length (8 bytes, big-endian) and the piece, which opens only in its own
place. What is written is never on the disk in the clear, not even while the export is being made.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.sealing import PLAIN, Sealer

__all__ = ["ExportFile", "is_under_first_key", "pieces"]

_MARK = b"TPexpor1"
_LENGTH_BYTES = 8
_CHUNK = 2**20


class ExportFile:
    """A new file, readable by its owner only, that a ZIP is written to.

    What was written since the last `settle` can be gone back to, as `zipfile` does; what is settled is sealed.
    Raises OSError when the disk is full, FileExistsError when the file is there.

    Args:
        place: what the pieces belong to.
    """

    def __init__(self, path: Path, sealer: Sealer = PLAIN, place: str = "") -> None:
        self._raw = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._sealer, self._place, self._number = sealer, place, 0
        self._window, self._digest = io.BytesIO(), hashlib.sha256()
        self.size_bytes = 0
        """Of what is settled."""
        if sealer.ids:
            self._raw.write(_MARK)

    @property
    def sha256(self) -> str:
        """Of what is settled, as it was before it was sealed."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> int:
        return self._window.write(data)

    def tell(self) -> int:
        return self.size_bytes + self._window.tell()

    def seek(self, place: int) -> int:
        return self.size_bytes + self._window.seek(place - self.size_bytes)

    def flush(self) -> None:
        """Nothing yet: `settle` does it."""

    def settle(self) -> None:
        data = self._window.getvalue()
        if self._sealer.ids:
            sealed = self._sealer.seal(data, f"{self._place}/{self._number}")
            self._raw.write(len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)
        else:
            self._raw.write(data)
        self._digest.update(data)
        self.size_bytes += len(data)
        self._number += 1
        self._window = io.BytesIO()

    def sync(self) -> None:
        """Everything that is settled is on the disk when this returns."""
        self._raw.flush()
        os.fsync(self._raw.fileno())

    def close(self) -> None:
        self._raw.close()


def is_under_first_key(file: BinaryIO, sealer: Sealer) -> bool:
    """Whether a file needs no new seal: its pieces were all sealed with the sealer's first key."""
    head = file.read(len(_MARK) + _LENGTH_BYTES + len(sealer.prefix))
    return head.startswith(_MARK) and head.endswith(sealer.prefix)


def pieces(file: BinaryIO, sealer: Sealer, place: str) -> Iterator[bytes]:
    """What was written to an `ExportFile`. Raises SealError, OSError."""
    head = file.read(len(_MARK))
    if head != _MARK:
        yield head
        while chunk := file.read(_CHUNK):
            yield chunk
        return
    number = 0
    while length := file.read(_LENGTH_BYTES):
        yield sealer.open(file.read(int.from_bytes(length, "big")), f"{place}/{number}")
        number += 1
