"""Looks through a whole archive before anything is touched: every digest, every count, the chain of the audit log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from service.audit import verify_chain
from service.audit.log import AUDIT_HEAD, AUDIT_STREAM
from service.backup.archive import CHUNK_NAME, MANIFEST_NAME, MEDIA, BackupError, read_members
from service.backup.keyspace import Line, decoded, load
from service.backup.manifest import Manifest
from service.backup.plans import plan_pictures_of
from service.backup.sightings import comes_otherwise, pictures_of
from service.gallery import keys
from service.gallery.media import MEDIA_KEY
from service.gallery.records import TRACKLET_ID
from service.schema_version import SCHEMA_VERSION

__all__ = ["Checked", "check_backup", "fields_of", "lines_of", "open_backup"]


@dataclass(frozen=True, slots=True)
class Checked:
    """An archive that is what it says.

    Attributes:
        digest: SHA-256 of the manifest.
        ids: of its sightings, as ASCII.
    """

    manifest: Manifest
    digest: str
    ids: frozenset[bytes] = field(repr=False)


def open_backup(path: Path) -> BinaryIO:
    """Raises BackupError."""
    try:
        return path.open("rb")
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror or error}") from None


def check_backup(path: Path) -> Checked:
    """Read an archive from its first byte to its last. Nothing is written anywhere.

    Raises:
        BackupError: it is no backup, was cut off or changed, contradicts itself, or is of a newer program.
    """
    with open_backup(path) as file:
        check = _Check()
        entries = check.audit_entries(file)
        chain = verify_chain(entries)
        for _ in entries:  # a broken chain ends the check of the chain, not that of the file
            pass
    manifest = check.manifest
    if manifest is None:
        raise BackupError("the backup has no manifest")
    if manifest.schema > SCHEMA_VERSION:
        raise BackupError(f"the backup is of version {manifest.schema}, newer than this program: update tapetum")
    told = {"records": len(check.ids), "keys": len(check.names), "audit_entries": check.entries}
    told |= {name: getattr(check, name) for name in ("pictures", "picture_bytes", "missing")}
    wrong = [f"{value} {name} instead of {getattr(manifest, name)}" for name, value in told.items()
             if value != getattr(manifest, name)]  # fmt: skip
    if manifest.audit_intact and (not chain.intact or chain.head != manifest.audit_head):
        wrong.append(f"an audit log that is not the one it says: {chain.reason or 'it ends elsewhere'}")
    if check.chunks != manifest.chunks:
        wrong.append("records with other digests")
    if wrong:
        raise BackupError(f"the backup contradicts its manifest: {'; '.join(wrong)}")
    return Checked(manifest, check.digest, frozenset(check.ids))


def lines_of(data: bytes) -> Iterator[Line]:
    """The lines of a chunk. Raises BackupError."""
    for text in data.splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict):
            raise BackupError("the backup is damaged: a line cannot be read")
        yield line


def fields_of(line: Line) -> dict[bytes, bytes]:
    """A record's hash. Raises BackupError."""
    try:
        return {decoded(name): decoded(value) for name, value in line["fields"]}
    except (TypeError, ValueError):
        raise BackupError("the backup is damaged: a record cannot be read") from None


class _Nowhere:
    """A pipeline that only checks whether a line can be loaded."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@dataclass
class _Check:
    manifest: Manifest | None = None
    digest: str = ""
    chunks: dict[str, str] = field(default_factory=dict)
    ids: set[bytes] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    pictures: int = 0
    picture_bytes: int = 0
    missing: int = 0
    entries: int = 0

    def audit_entries(self, file: BinaryIO) -> Iterator[bytes]:
        """Go through everything; gives the audit log's entries on the way."""
        waiting: dict[str, set[tuple[str, int]]] = {}
        for name, data in read_members(file):
            if self.manifest is not None:
                raise BackupError("the backup is damaged: its manifest is not the last")
            digest = hashlib.sha256(data).hexdigest()
            if name == MANIFEST_NAME:
                self.manifest, self.digest = Manifest.from_json(data), digest
            elif name.startswith(MEDIA):
                waiting.setdefault(name.removeprefix(MEDIA), set()).add((digest, len(data)))
            elif name != CHUNK_NAME.format(len(self.chunks) + 1):
                raise BackupError(f"the backup is damaged: {name} is out of place")
            else:
                self.chunks[name] = digest
                yield from self._chunk(data, waiting)
                waiting = {}
        if waiting:
            raise BackupError("the backup is damaged: pictures without a record")

    def _chunk(self, data: bytes, waiting: Mapping[str, set[tuple[str, int]]]) -> Iterator[bytes]:
        named: set[str] = set()
        absent: set[str] = set()
        for line in lines_of(data):
            if "media" in line:
                key, size = str(line["media"]), line.get("size")
                if not isinstance(size, int) or (str(line.get("sha256")), size) not in waiting.get(key, ()):
                    raise BackupError(f"the backup is damaged: the picture {key[:200]} is not the one that was saved")
                named.add(key)
                self.pictures += 1
                self.picture_bytes += size
            elif "missing" in line:
                absent.add(str(line["missing"]))
                self.missing += 1
            elif "gone" in line:
                self.ids.discard(_id(line["gone"]))
            elif "record" in line:
                self._record(line, named | absent)
            else:
                yield from self._key(line, named | absent)
        if named != waiting.keys() or not all(MEDIA_KEY.fullmatch(key) for key in absent):
            raise BackupError("the backup is damaged: pictures without a record")

    def _record(self, line: Line, there: set[str]) -> None:
        one = _id(line["record"])
        _require(pictures_of(one.decode(), fields_of(line)), there)
        self.ids.add(one)

    def _key(self, line: Line, there: set[str]) -> Iterator[bytes]:
        load(_Nowhere(), line)
        _require(plan_pictures_of(line), there)
        name = str(line["key"])
        if name == AUDIT_STREAM:
            if line["type"] != "stream":
                raise BackupError("the backup is damaged: its audit log is none")
            self.entries += len(line["entries"])
            for _, pairs in line["entries"]:
                yield {decoded(field): decoded(value) for field, value in pairs}.get(b"entry", b"")
        elif name != AUDIT_HEAD:
            if comes_otherwise(name) and name != keys.ERASED:
                raise BackupError(f"the backup has a key that no backup has: {name[:80]!r}")
            self.names.add(name)


def _require(pictures: list[str], there: set[str]) -> None:
    lost = [key for key in pictures if key not in there]
    if lost:
        raise BackupError(f"the backup is damaged: it lacks the picture {lost[0]}")


def _id(value: object) -> bytes:
    if not isinstance(value, str) or not TRACKLET_ID.fullmatch(value):
        raise BackupError("the backup is damaged: a sighting without an id")
    return value.encode()
