"""Writes a backup while the installation runs: each sighting with its pictures in one go, then everything else.

A sighting is read, then its pictures, then once more when one of them was gone: so no record is in the archive without
its pictures, whatever workers, retention and erasures do meanwhile. What changed behind the walk's back is known from
the gallery's stream of changes and read again; what was erased is marked. The sorted sets over the sightings are left
out, because they follow from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import cast

import redis

from service.audit import AuditLog, Trail, Verification, verify_chain
from service.audit.log import AUDIT_HEAD, AUDIT_STREAM
from service.backup.archive import CHUNK_NAME, MANIFEST_NAME, MEDIA, ArchiveWriter, BackupError, new_file
from service.backup.keyspace import Line, all_names, decoded, dumped, encoded, is_passing, stream_lines
from service.backup.manifest import Manifest
from service.backup.plans import plan_pictures_of
from service.backup.sightings import comes_otherwise, pictures_of
from service.gallery import MediaStore, keys
from service.gallery.feed import Change, Feed, FeedLostError
from service.gallery.model_in_use import GalleryModels
from service.gallery.records import TRACKLET_ID
from service.gallery.store import redis_at_work
from service.plans import PLAN_PICTURES
from service.schema_version import schema_version
from service.security.people import recorded
from service.version import package_version

__all__ = ["write_backup"]

Progress = Callable[[str, float | None], None]
_BATCH = 64
_CHUNK_BYTES = 2**19
_CHANGES = 1000
_ROUNDS = 100
_ATTEMPTS = 3
_TOLD_WITHIN_S = 600
"""After a record is erased, the stores of what else remembers it are told; a backup may read them in between."""


def write_backup(
    client: redis.Redis,
    media: MediaStore,
    path: Path,
    *,
    trail: Trail,
    progress: Progress = lambda *_: None,
) -> tuple[Manifest, str]:
    """Write everything into one new file that only its owner may read; it is there when it is whole, and not before.

    What is encrypted at rest stays so, and no key is needed.

    Memory: the sightings' ids (some 90 MB a million), one sighting's pictures, a few megabytes.

    Returns:
        The manifest, and its SHA-256, which the audit log holds too.

    Raises:
        BackupError: the file is there already, the disk is full, or a key cannot be read.
        GalleryUnavailable, MediaError, AuditUnavailable.
    """
    audit = AuditLog(client)
    with recorded(audit, "backup", trail, file=path.name), redis_at_work(), new_file(path) as out:
        writing = _Writing(client, media, ArchiveWriter(out), progress)
        manifest, digest = writing.run()
    audit.append("backup.done", trail, file=path.name, manifest=digest, records=manifest.records)
    return manifest, digest


@dataclass
class _Writing:
    """One backup under way."""

    client: redis.Redis
    media: MediaStore
    archive: ArchiveWriter
    progress: Progress
    chunks: dict[str, str] = field(default_factory=dict)
    lines: list[bytes] = field(default_factory=list)
    waiting_bytes: int = 0
    ids: set[bytes] = field(default_factory=set)  # as ASCII: half the size of text
    pictures: int = 0
    picture_bytes: int = 0
    missing: int = 0
    begun_s: float = 0.0

    def run(self) -> tuple[Manifest, str]:
        self.begun_s = float(self.client.time()[0])
        feed = Feed(self.client)
        position = feed.position()
        total = max(1, self.client.zcard(keys.ALL))
        for batch in feed.ids():
            left = iter(batch)
            while some := list(islice(left, _BATCH)):
                self._sightings([one for one in some if one.encode() not in self.ids])
                position = self._catch_up(feed, position, 1)
                self.progress("sightings", min(1.0, len(self.ids) / total))
        self._catch_up(feed, position, _ROUNDS)
        self.progress("everything else", None)
        audit, entries = self._audit()
        count = self._rest()
        self._flush()
        schema = schema_version(self.client)
        manifest = Manifest(
            created_at=datetime.now(UTC),
            version=package_version(),
            schema=schema,
            records=len(self.ids),
            pictures=self.pictures,
            picture_bytes=self.picture_bytes,
            missing=self.missing,
            keys=count,
            audit_entries=entries,
            audit_head=audit.head,
            audit_intact=audit.intact,
            model_hash=model.hash if (model := GalleryModels(self.client).read()) else "",
            chunks=self.chunks,
        )
        digest = self.archive.add(MANIFEST_NAME, manifest.to_json())
        self.archive.finish()
        return manifest, digest

    # -- sightings -------------------------------------------------------------------------------

    def _catch_up(self, feed: Feed, position: str, rounds: int) -> str:
        """Read again what changed since a position, until nothing has. Returns the position then."""
        for _ in range(rounds):
            try:
                changes: Sequence[Change] = feed.since(position, _CHANGES)
            except FeedLostError as lost:
                raise BackupError(f"the gallery changed faster than it could be read: {lost}") from None
            if not changes:
                break
            self._sightings(list({change.id for change in changes}))
            position = changes[-1].position
        return position

    def _sightings(self, ids: Sequence[str]) -> None:
        with self.client.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hgetall(keys.record(one))
            found = pipe.execute()
        for one, fields in zip(ids, found, strict=True):
            self._sighting(one, fields)

    def _sighting(self, tracklet_id: str, fields: dict[bytes, bytes]) -> None:
        """Pictures first, then the record that names them; or a mark that it is gone."""
        for attempt in range(_ATTEMPTS):
            names = pictures_of(tracklet_id, fields)
            pictures = self._pictures(names)
            if len(pictures) == len(names) and fields:
                break
            # A picture that is not there may have gone with the record, or with its earlier revision.
            again = cast("dict[bytes, bytes]", self.client.hgetall(keys.record(tracklet_id)))
            if again == fields and (attempt > 0 or not fields):
                break
            fields = again
        else:  # it changed each time; if it does once more, it is read again after the others
            names = pictures_of(tracklet_id, fields)
            pictures = self._pictures(names)
        name = tracklet_id.encode()
        if not fields:
            self._gone([name])
            return
        lines = [self._saved(key, data) for key, data in pictures.items()]
        lines += self._absent([key for key in names if key not in pictures])
        self.ids.add(name)
        record = {"record": tracklet_id, "fields": [[encoded(f), encoded(v)] for f, v in fields.items()]}
        self._line(*lines, record)

    def _pictures(self, names: Sequence[str]) -> dict[str, bytes]:
        """Those that are there."""
        return {name: data for name in names if (data := self._picture(name)) is not None}

    def _saved(self, key: str, data: bytes) -> Line:
        """A picture's line; its file goes into the archive now."""
        self.pictures += 1
        self.picture_bytes += len(data)
        return {"media": key, "sha256": self.archive.add(MEDIA + key, data), "size": len(data)}

    def _absent(self, names: Sequence[str]) -> list[Line]:
        self.missing += len(names)
        return [{"missing": key} for key in names]

    def _picture(self, key: str) -> bytes | None:
        try:
            return self.media.stored(key)
        except (KeyError, ValueError):
            return None

    # -- everything else -------------------------------------------------------------------------

    def _audit(self) -> tuple[Verification, int]:
        """The audit log up to its present end, and what a check of it says."""
        audit = AuditLog(self.client)
        head = audit.head()
        if not self.client.exists(AUDIT_STREAM):
            return Verification(0, None), 0
        count = 0
        for line in stream_lines(self.client, AUDIT_STREAM, f"{head.seq}-0" if head else None):
            count += len(line["entries"])
            self._line(line)
        if head is not None:
            fields = [[encoded("seq"), encoded(str(head.seq))], [encoded("hash"), encoded(head.hash)]]
            self._line({"key": AUDIT_HEAD, "type": "hash", "items": fields})
        return verify_chain(islice(audit.lines(), count), head), count

    def _rest(self) -> int:
        """Every other key. What remembers erasures comes last, so that none is forgotten that was made meanwhile."""
        names = [name for name in all_names(self.client) if not (is_passing(name) or comes_otherwise(name))]
        names = [name for name in names if name != PLAN_PICTURES]
        seen = self._plans()
        for line in dumped(self.client, [*names, keys.ERASED]):
            seen.add(line["key"])
            if line["key"] == keys.ERASED:
                erased = {decoded(one): float(at) for one, at in line["items"]}
                self._gone(erased)
                lately = (one.decode() for one, at in erased.items() if at >= self.begun_s - _TOLD_WITHIN_S)
                self._line(*({"gone": one} for one in lately if TRACKLET_ID.fullmatch(one)))
            self._line(line)
        return len(seen)

    def _plans(self) -> set[str]:
        """The pictures of floor plans, then what names them: once more, where one of them went meanwhile."""
        lines: list[Line] = []
        saved: set[str] = set()
        for _ in range(_ATTEMPTS):
            naming = list(dumped(self.client, [PLAN_PICTURES]))
            named = [key for line in naming for key in plan_pictures_of(line)]
            for key in named:
                if key not in saved and (data := self._picture(key)) is not None:
                    lines.append(self._saved(key, data))
                    saved.add(key)
            if saved.issuperset(named):
                break
        self._line(*lines, *self._absent([key for key in named if key not in saved]), *naming)
        return {line["key"] for line in naming}

    def _gone(self, names: Iterable[bytes]) -> None:
        """Sightings that were written and have been erased since."""
        for name in self.ids.intersection(names):
            self.ids.remove(name)
            self._line({"gone": name.decode()})

    # -- chunks ----------------------------------------------------------------------------------

    def _line(self, *lines: Line) -> None:
        """Lines that belong together come into one chunk."""
        for line in lines:
            text = json.dumps(line, separators=(",", ":")).encode() + b"\n"
            self.lines.append(text)
            self.waiting_bytes += len(text)
        if self.waiting_bytes >= _CHUNK_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self.lines:
            name = CHUNK_NAME.format(len(self.chunks) + 1)
            self.chunks[name] = self.archive.add(name, b"".join(self.lines))
            self.lines, self.waiting_bytes = [], 0
