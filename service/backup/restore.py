"""From an archive back to an installation: checked before, while it is written, and once more when it stands."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

import redis

from service.audit import AuditLog, Trail
from service.backup.archive import MANIFEST_NAME, MEDIA, BackupError, read_members
from service.backup.checking import Checked, check_backup, fields_of, lines_of, open_backup
from service.backup.keyspace import Line, all_names, is_passing, load
from service.backup.manifest import Manifest
from service.backup.plans import plan_pictures_of
from service.backup.sightings import pictures_of, readable
from service.backup.writer import write_backup
from service.gallery import MediaStore, keys
from service.gallery.erasable import Erasable
from service.gallery.store import redis_at_work
from service.redis_server import other_processes
from service.schema_version import RESTORING, SCHEMA_KEY
from service.worker_reports import REPORT_S, WORKER_REPORT

__all__ = ["Restored", "restore"]

Progress = Callable[[str, float | None], None]
_BATCH = 200
_FOREVER = datetime.max.replace(tzinfo=UTC)
_ERASED_BEFORE = "tapetum:restore:erased"  # set: what the replaced installation had erased, until the restore has ended


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        digest: SHA-256 of the manifest.
        left_out: sightings of the archive that were erased after it was written, as far as the installation knew.
        earlier: backup of what was there before, None where nothing was.
    """

    manifest: Manifest
    digest: str
    left_out: int
    earlier: Path | None


def restore(
    client: redis.Redis,
    media: MediaStore,
    path: Path,
    *,
    elsewhere: Sequence[Erasable],
    trail: Trail,
    replace: bool = False,
    earlier: Path | None = None,
    progress: Progress = lambda *_: None,
) -> Restored:
    """Bring a backup into an installation in which nothing is, or with `replace` into any.

    What the replaced installation erased stays erased. Sessions are in no backup, so everybody must log in again. A
    restore that is cut off leaves a mark, with which nothing starts until one has come to its end.

    Args:
        media: without keys: what is encrypted in the archive is written as it is.
        elsewhere: what else remembers sightings.
        earlier: where `replace` first writes a backup of what is there.

    Raises:
        BackupError: the archive is not right (then nothing was touched), the installation is not empty, or what stands
            at the end is not what the archive holds.
        GalleryUnavailable, MediaError, AuditUnavailable.
    """
    with redis_at_work():
        progress("checking the archive", None)
        checked = check_backup(path)
        _refuse_running(client)
        there = _what_is_there(client, media)
        saved = None
        if there and not replace:
            raise BackupError(f"this installation is not empty: it has {there}. --replace backs it up and replaces it.")
        if there and client.get(SCHEMA_KEY) != RESTORING:
            if earlier is None:
                raise ValueError("earlier: expected a file for what is replaced")
            write_backup(client, media, earlier, trail=trail, progress=progress)
            saved = earlier
            _keep_erased(client)
        _refuse_full(media, checked.manifest)
        client.set(SCHEMA_KEY, RESTORING)
        if there:
            progress("removing what was there", None)
            _remove(client, media)
        erased = frozenset(cast("set[bytes]", client.smembers(_ERASED_BEFORE)))
        loading = _Loading(client, media, erased & checked.ids)
        loading.run(path, checked.manifest, progress)
        found = list(islice(_findings(client, media, path, checked, loading.left_out, progress), 5))
        if found:
            raise BackupError(f"what was restored is not what the backup holds: {'; '.join(found)}")
        loading.forget(elsewhere, erased)
        told = {"file": path.name, "manifest": checked.digest, "records": checked.manifest.records}
        replaced = saved.name if saved else None
        AuditLog(client).append("restore", trail, **told, left_out=len(loading.left_out), replaced=replaced)
        with client.pipeline(transaction=True) as pipe:
            pipe.set(SCHEMA_KEY, checked.manifest.schema)
            pipe.delete(_ERASED_BEFORE)
            pipe.execute()
    return Restored(checked.manifest, checked.digest, len(loading.left_out), saved)


# -- before ----------------------------------------------------------------------------------------


def _refuse_running(client: redis.Redis) -> None:
    others = other_processes(client)
    if others:
        raise BackupError(f"tapetum runs over this Redis ({', '.join(others)}): stop workers and API first")
    for name in client.scan_iter(f"{WORKER_REPORT}*", count=2000):
        worker = name.decode().removeprefix(WORKER_REPORT)
        raise BackupError(
            f"the worker {worker} runs: stop workers and API first (one that was killed is forgotten in {REPORT_S} s)"
        )


def _what_is_there(client: redis.Redis, media: MediaStore) -> str:
    """In words; empty for an empty installation."""
    names = [name for name in all_names(client) if not is_passing(name)]
    if names not in ([], [SCHEMA_KEY]) or client.get(SCHEMA_KEY) == RESTORING:
        return f"{len(names)} keys in Redis"
    pictures = next(media.tracklet_folders(1, older_than=_FOREVER), None)
    return "pictures in the media store" if pictures else ""


def _refuse_full(media: MediaStore, manifest: Manifest) -> None:
    room = media.room_bytes()
    if room is not None and room < manifest.picture_bytes:
        needed, free = (f"{value / 2**20:,.0f} MiB" for value in (manifest.picture_bytes, room))
        raise BackupError(f"the disk of the media store has {free} left, and the pictures need {needed}")


def _erased(client: redis.Redis) -> Iterator[bytes]:
    """Sightings that were ever erased on somebody's request: what Redis remembers for a while, and the audit log."""
    yield from cast("list[bytes]", client.zrange(keys.ERASED, 0, -1))
    asked: dict[int, list[str]] = {}
    for text in AuditLog(client).lines():
        try:
            entry = json.loads(text)
            event, details = entry["event"], entry["details"]
            if event == "erase":
                asked[entry["seq"]] = details["tracklets"]
            elif event == "erase.undone":
                asked.pop(details["entry"], None)
        except (ValueError, KeyError, TypeError, RecursionError):  # a log that was tampered with
            continue
    for ids in asked.values():
        yield from (str(one).encode() for one in ids)


def _keep_erased(client: redis.Redis) -> None:
    """Write it where a restore that is cut off leaves it: when it is begun again, nothing else knows any more."""
    client.delete(_ERASED_BEFORE)
    left = _erased(client)
    while some := list(islice(left, 1000)):
        client.sadd(_ERASED_BEFORE, *some)


def _remove(client: redis.Redis, media: MediaStore) -> None:
    names = [name for name in all_names(client) if name not in (SCHEMA_KEY, _ERASED_BEFORE)]
    for start in range(0, len(names), _BATCH):
        client.unlink(*names[start : start + _BATCH])
    for batch in media.tracklet_folders(_BATCH, older_than=_FOREVER):
        for key in batch.values():
            media.delete_tracklet(key)
    for key in media.plan_folders():
        media.keep_only(key, ())


# -- writing ---------------------------------------------------------------------------------------


@dataclass
class _Loading:
    """One restore under way, of an archive that was checked."""

    client: redis.Redis
    media: MediaStore
    left_out: frozenset[bytes]
    loaded: set[bytes] = field(default_factory=set)
    gone: set[bytes] = field(default_factory=set)  # erased while the archive was written

    def run(self, path: Path, manifest: Manifest, progress: Progress) -> None:
        pictures: dict[str, bytes] = {}
        size = done = 0
        with open_backup(path) as file:
            for name, data in read_members(file):
                if name.startswith(MEDIA):
                    key = name.removeprefix(MEDIA)
                    if key.split("/")[2].encode() not in self.left_out:
                        pictures[key] = data
                        size += len(data)
                    if size < 2**22:
                        continue
                elif name == MANIFEST_NAME:
                    break
                self.media.write_many(pictures)  # before the records that name them
                done, size = done + len(pictures), 0
                pictures = {}
                if not name.startswith(MEDIA):
                    self._chunk(data)
                progress("restoring", done / manifest.pictures if manifest.pictures else None)

    def _chunk(self, data: bytes) -> None:
        keep: dict[str, list[str]] = {}
        with self.client.pipeline(transaction=False) as pipe:
            for line in lines_of(data):
                if "record" in line or "gone" in line:
                    keep.update(self._sighting(pipe, line))
                elif "key" in line:
                    load(pipe, line)
            pipe.execute()
        for folder, kept in keep.items():
            self.media.keep_only(folder, kept)

    def _sighting(self, pipe: Any, line: Line) -> dict[str, list[str]]:
        """Write one; of one that comes again, what pictures stay in which folder."""
        one = str(line.get("record") or line["gone"])
        name = one.encode()
        if name in self.left_out:
            return {}
        again = name in self.loaded
        if "gone" in line:
            self.gone.add(name)
            pipe.execute()  # what this chunk brought of it
            stored = cast("dict[bytes, bytes]", self.client.hgetall(keys.record(one)))
            old = readable(one, stored) if again else None
            pipe.delete(keys.record(one))
            pipe.zrem(keys.ALL, one)
            if old is None:
                return {}
            pipe.zrem(keys.facet(old.camera_id, old.modality), one)
            self.loaded.discard(name)
            return {MediaStore.folder_key(old.camera_id, old.started_at, one): []}
        self.loaded.add(name)
        self.gone.discard(name)
        fields = fields_of(line)
        record = readable(one, fields)
        if again:
            pipe.delete(keys.record(one))
        pipe.hset(keys.record(one), mapping=fields)
        begun = fields.get(b"started", b"")
        started = int(begun) if begun.isdigit() else 0
        pipe.zadd(keys.ALL, {one: started})
        if record is None:
            return {}
        pipe.zadd(keys.facet(record.camera_id, record.modality), {one: started})
        folder = MediaStore.folder_key(record.camera_id, record.started_at, one)
        return {folder: pictures_of(one, fields)} if again else {}

    def forget(self, elsewhere: Iterable[Erasable], erased: frozenset[bytes]) -> None:
        """What was erased during the backup or since is erased in what else remembers it, and cannot come late either.

        Args:
            erased: what the replaced installation had erased, also what the archive does not know.
        """
        late = sorted(erased)
        for start in range(0, len(late), _BATCH):
            self.client.zadd(keys.ERASED, dict.fromkeys(late[start : start + _BATCH], int(time.time())))
        ids = sorted(one.decode() for one in self.left_out | self.gone)
        for start in range(0, len(ids), _BATCH):
            for store in elsewhere:
                store.erase(ids[start : start + _BATCH])


# -- after -----------------------------------------------------------------------------------------


def _findings(
    client: redis.Redis,
    media: MediaStore,
    path: Path,
    checked: Checked,
    left_out: frozenset[bytes],
    progress: Progress,
) -> Iterator[str]:
    """What is not as the archive has it: counts, every record, every picture's hash, the audit log's chain."""
    manifest = checked.manifest
    expected, found = manifest.records - len(left_out), client.zcard(keys.ALL)
    if found != expected:
        yield f"{found} sightings instead of {expected}"
    audit = AuditLog(client).verify(manifest.audit_head)
    if manifest.audit_intact and not audit.intact:
        yield f"the audit log: {audit.reason}"
    differing: set[str] = set()
    names: set[str] = set()
    done = 0
    with open_backup(path) as file:
        for name, data in read_members(file):
            if name.startswith(MEDIA) or name == MANIFEST_NAME:
                continue
            digests: dict[str, set[str]] = {}
            records: dict[str, dict[bytes, bytes]] = {}
            for line in lines_of(data):
                if "media" in line:
                    digests.setdefault(line["media"], set()).add(line["sha256"])
                elif "record" in line and line["record"].encode() in checked.ids - left_out:
                    records[line["record"]] = fields_of(line)
                elif "key" in line and "expires_ms" not in line:
                    names.add(line["key"])
                    yield from _wrong_pictures(media, plan_pictures_of(line), digests)
            with client.pipeline(transaction=False) as pipe:
                for one in records:
                    pipe.hgetall(keys.record(one))
                stored = dict(zip(records, pipe.execute(), strict=True))
            for one, fields in records.items():
                if stored[one] != fields:  # or an earlier revision, and the later one follows
                    differing.add(one)
                    continue
                differing.discard(one)
                yield from _wrong_pictures(media, pictures_of(one, fields), digests)
                done += 1
            progress("checking what was restored", min(1.0, done / max(1, expected)))
    yield from (f"the record {one}" for one in sorted(differing))
    for key in sorted(names):
        if not client.exists(key):
            yield f"the key {key}"


def _wrong_pictures(media: MediaStore, names: Iterable[str], digests: Mapping[str, set[str]]) -> Iterator[str]:
    for key in names:
        if key in digests and _digest(media, key) not in digests[key]:
            yield f"the picture {key}"


def _digest(media: MediaStore, key: str) -> str:
    try:
        return hashlib.sha256(media.stored(key)).hexdigest()
    except KeyError:
        return ""
