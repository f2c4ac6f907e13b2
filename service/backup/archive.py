"""The file of a backup: a plain tar archive, written and read strictly, one member at a time.

Pictures are compressed already, so the archive is not, and nothing in it can unfold to more than it is. Any `tar` lists
and unpacks it. Reading accepts nothing but what `ArchiveWriter` writes, byte by byte: regular files of known names
(no links, no paths that lead elsewhere), a SHA-256 over everything before it as the last member, and nothing behind.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from service.gallery.media import MEDIA_KEY

__all__ = ["CHUNK_NAME", "FORMAT", "MANIFEST_NAME", "MAX_MEMBER_BYTES", "ArchiveWriter", "BackupError", "new_file"]
__all__ += ["MEDIA", "read_members"]

FORMAT = b"tapetum backup 1\n"
MEDIA = "media/"
CHUNK_NAME = "redis/{:06d}.jsonl"
MANIFEST_NAME = "manifest.json"
MAX_MEMBER_BYTES = 256 * 2**20
"""More is in no member; each is read as a whole."""
_FORMAT_NAME = "format"
_CHECKSUM_NAME = "checksum"
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_NAME = re.compile(rf"{_FORMAT_NAME}|{MEDIA}{MEDIA_KEY.pattern}|redis/\d{{6}}\.jsonl|{re.escape(MANIFEST_NAME)}")


class BackupError(RuntimeError):
    """A backup cannot be written, is none, is damaged, or does not go where it should; the message says which."""


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that only its owner may read and that has its name when it is whole and on the disk; never over another.

    Raises:
        BackupError: the file is there already, or the disk refused it, for example because it is full.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        if path.exists():  # said before everything is written, and once more below
            raise FileExistsError
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)  # unlike a renaming, it never takes another file's place
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        if not path.exists():  # it is the folder that is a file
            raise BackupError(f"{path.parent} is no folder") from None
        raise BackupError(f"{path} is there already; a backup does not overwrite anything") from None
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror or error}. Nothing is left of it.") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


class ArchiveWriter:
    """Adds members to an open file; `finish` makes it an archive."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._sha = hashlib.sha256()
        self.add(_FORMAT_NAME, FORMAT)

    def add(self, name: str, data: bytes) -> str:
        """Returns the SHA-256 of the data. Raises OSError."""
        for part in (_header(name, len(data)), data, _padding(len(data))):
            self._out.write(part)
            self._sha.update(part)
        return hashlib.sha256(data).hexdigest()

    def finish(self) -> None:
        self.add(_CHECKSUM_NAME, self._sha.hexdigest().encode())
        self._out.write(_END)


def read_members(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Every member's name and data, the manifest last. Only after the last one is it sure that all were right.

    Raises:
        BackupError: the file is no backup, was cut off, or was changed.
    """
    sha, number, ended = hashlib.sha256(), 0, False
    while not ended:
        before = sha.hexdigest()
        header = file.read(_BLOCK)
        sha.update(header)
        name, size = _member(header, number)
        data = file.read(size)
        padding = file.read(-size % _BLOCK)
        if len(data) != size or padding != _padding(size):
            raise BackupError(f"the backup is damaged or cut off in {name}")
        sha.update(data)
        sha.update(padding)
        if (name == _FORMAT_NAME) is not (number == 0):
            raise BackupError("this is no backup of tapetum")
        if number == 0 and data != FORMAT:
            shown = data[:40].decode("ascii", "replace").strip()
            raise BackupError(f"the backup has the format {shown!r}; this program reads {FORMAT.decode().strip()!r}")
        if name == _CHECKSUM_NAME:
            if data != before.encode():
                raise BackupError("the backup was changed: its checksum is not that of its content")
            ended = True
        elif number:
            yield name, data
        number += 1
    if file.read(len(_END) + 1) != _END:
        raise BackupError("the backup is damaged: something else stands at its end")


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _member(header: bytes, number: int) -> tuple[str, int]:
    """Name and size, if this is a header that `ArchiveWriter` would have written."""
    if number and len(header) < _BLOCK:
        raise BackupError("the backup was cut off")
    try:
        info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        known = _NAME.fullmatch(info.name) is not None or info.name == _CHECKSUM_NAME
        right = known and 0 <= info.size <= MAX_MEMBER_BYTES and _header(info.name, info.size) == header
    except (tarfile.HeaderError, ValueError):
        right = False
    if not right:
        where = "this is no backup of tapetum" if number == 0 else f"the backup is damaged at member {number + 1}"
        raise BackupError(f"{where}: expected a file that a backup has, and no link or other path")
    return info.name, info.size
