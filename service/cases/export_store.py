"""Exports: jobs in Redis, files in a folder that all API processes share.

A job that is queued or runs is kept alive by the process that has it; when that dies, the job has failed and its
half file is removed. An erasure that finds a sighting in an export withdraws it, also while it is being made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import cast

import redis
import structlog

from pipeline.sealing import Sealer, SealError
from service.cases.export_job import UNDER_WAY, Export, ExportState
from service.cases.sealed_file import ExportFile, is_under_first_key, pieces
from service.gallery.records import TRACKLET_ID
from service.gallery.store import redis_at_work

__all__ = ["INTERRUPTED", "ExportStore"]

log = structlog.get_logger("tapetum.exports")

INTERRUPTED = "The service was stopped while it was made. Export again."
_EXPORTS = "tapetum:exports"  # hash: id -> JSON
_ALIVE_S = 120
_REMEMBERED = timedelta(days=30)  # what became of it, after its file is gone
_ATTEMPTS = 20
_HALF = ".part"

# KEYS: exports. ARGV: id, what is there ('' none), what comes. Returns 1 when exchanged.
_EXCHANGE = """#!lua
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class ExportStore:
    """The exports, and an `Erasable`. Methods raise GalleryUnavailable when Redis cannot serve.

    Args:
        folder: for the files; made when it is needed.
        sealer: of the files.
    """

    name = "exports"

    def __init__(self, client: redis.Redis, folder: Path, sealer: Sealer) -> None:
        self._redis, self._folder, self._sealer = client, folder, sealer
        self._exchange = client.register_script(_EXCHANGE)

    # -- files -----------------------------------------------------------------------------------

    def file(self, export_id: str) -> Path:
        """Where a finished export lies."""
        if not TRACKLET_ID.fullmatch(export_id):
            raise ValueError(f"expected a ULID, got {export_id[:40]!r}")
        return self._folder / f"{export_id}.zip"

    def half_file(self, export_id: str) -> ExportFile:
        """A new file to write it to; one that was begun before goes. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.drop_half(export_id)
        return ExportFile(self._half(export_id), self._sealer, _place(export_id))

    def drop_half(self, export_id: str) -> None:
        """Remove what was written of it, if it is not finished. Raises OSError."""
        self._half(export_id).unlink(missing_ok=True)

    def read(self, export_id: str) -> Iterator[bytes]:
        """The ZIP in pieces, the first of them read already. Raises OSError, SealError."""
        found = self._pieces(export_id)
        return chain([next(found, b"")], found)

    def _pieces(self, export_id: str) -> Iterator[bytes]:
        with self.file(export_id).open("rb") as file:
            yield from pieces(file, self._sealer, _place(export_id))

    def reseal(self) -> tuple[int, list[str]]:
        """Seal every finished export with the first key. Raises OSError.

        One that is withdrawn meanwhile stays withdrawn.

        Returns:
            How many were not, and a sentence for each that cannot be opened and stays as it is.
        """
        done, unreadable = 0, []
        for export in self.all():
            if export.state is not ExportState.DONE:
                continue
            try:
                if self._is_under_first_key(export.id):
                    continue
                with closing(self.half_file(export.id)) as fresh:
                    for piece in self._pieces(export.id):
                        fresh.write(piece)
                        fresh.settle()
                    fresh.sync()
                self._half(export.id).replace(self.file(export.id))
                done += 1
            except FileNotFoundError:  # withdrawn, or its time is over
                log.info("export went while it was sealed anew", export=export.id)
            except SealError as error:
                self.drop_half(export.id)
                unreadable.append(f"export {export.id}: {error}")
            now = self.get(export.id)
            if now is None or now.state is not ExportState.DONE:
                self.discard(export.id)
        return done, unreadable

    def _is_under_first_key(self, export_id: str) -> bool:
        with self.file(export_id).open("rb") as file:
            return is_under_first_key(file, self._sealer)

    def _half(self, export_id: str) -> Path:
        return self.file(export_id).with_suffix(_HALF)

    def discard(self, export_id: str) -> None:
        """Remove its files, and what it holds; not the job."""
        self.file(export_id).unlink(missing_ok=True)
        self.drop_half(export_id)
        with redis_at_work():
            self._redis.delete(_sightings(export_id))

    # -- jobs ------------------------------------------------------------------------------------

    def add(self, export: Export) -> tuple[Export, bool]:
        """Keep a new job; one that is there under its id is given back. Returns whether it is new."""
        self.keep_alive(export.id)
        with redis_at_work():
            new = bool(self._exchange([_EXPORTS], [export.id, "", export.to_text()]))
        return (export, True) if new else (self.get(export.id) or export, False)

    def get(self, export_id: str) -> Export | None:
        """None where there is none. One that nobody works at any more has failed."""
        with redis_at_work():
            text = cast("bytes | None", self._redis.hget(_EXPORTS, export_id))
        found = self._shown({export_id.encode(): text} if text is not None else {})
        return found[0] if found else None

    def all(self) -> list[Export]:
        """Newest first."""
        with redis_at_work():
            return self._shown(cast("dict[bytes, bytes]", self._redis.hgetall(_EXPORTS)))

    def of_case(self, case_id: str) -> list[Export]:
        """Newest first."""
        return [one for one in self.all() if one.case_id == case_id]

    def keep_alive(self, export_id: str) -> None:
        with redis_at_work():
            self._redis.set(_alive(export_id), 1, ex=_ALIVE_S)

    def begin(self, export_id: str, tracklet_ids: Iterable[str], cameras: Iterable[str]) -> Export | None:
        """Say what it will hold, before any picture is read. None when it is not wanted any more."""
        ids = list(tracklet_ids)
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for start in range(0, len(ids), 1000):
                pipe.sadd(_sightings(export_id), *ids[start : start + 1000])
            pipe.execute()
        named = tuple(sorted(cameras))
        return self._change(export_id, {ExportState.QUEUED}, state=ExportState.RUNNING, cameras=named, total=len(ids))

    def advance(self, export_id: str, done: int) -> bool:
        """Note how far it is. Returns whether it is still wanted."""
        self.keep_alive(export_id)
        return self._change(export_id, {ExportState.RUNNING}, done=done) is not None

    def finish(self, export_id: str, *, size_bytes: int, sha256: str, manifest_sha256: str, key: str) -> bool:
        """The half file becomes the file. False, and no file, when it was withdrawn meanwhile."""
        self._half(export_id).replace(self.file(export_id))
        finished = self._change(
            export_id,
            {ExportState.RUNNING},
            state=ExportState.DONE,
            finished_at=datetime.now(UTC),
            size_bytes=size_bytes,
            sha256=sha256,
            manifest_sha256=manifest_sha256,
            key=key,
        )
        if finished is None:
            self.discard(export_id)
        return finished is not None

    def fail(self, export_id: str, sentence: str) -> None:
        """It cannot be made; nothing is left of it. One that is done meanwhile stays."""
        over = datetime.now(UTC)
        if self._change(export_id, UNDER_WAY, state=ExportState.FAILED, finished_at=over, error=sentence) is not None:
            self.discard(export_id)

    def remove(self, export_id: str) -> None:
        """Forget an export and its file."""
        with redis_at_work():
            self._redis.hdel(_EXPORTS, export_id)
            self._redis.delete(_alive(export_id))
        self.discard(export_id)

    def sweep(self, now: datetime) -> None:
        """Remove files whose time is over, what became of old jobs, and files that belong to nobody."""
        for export in self.all():
            if export.error == INTERRUPTED:
                self.fail(export.id, INTERRUPTED)
            if export.state is ExportState.DONE and export.expires_at < now:
                self._change(export.id, {ExportState.DONE}, state=ExportState.EXPIRED)
                self.discard(export.id)
            elif export.state not in UNDER_WAY and export.created_at < now - _REMEMBERED and export.expires_at < now:
                self.remove(export.id)
        kept = UNDER_WAY | {ExportState.DONE}
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            owner = self.get(path.stem) if path.suffix in (".zip", _HALF) else None
            if owner is None or owner.state not in kept:
                path.unlink(missing_ok=True)

    # -- erasure ---------------------------------------------------------------------------------

    def erase(self, ids: Sequence[str]) -> int:
        """Withdraw every export that holds any of the sightings, finished or not."""
        touched = self._with(ids)
        for export_id in touched:
            self._change(
                export_id,
                UNDER_WAY | {ExportState.DONE},
                state=ExportState.WITHDRAWN,
                error="A sighting in it is not kept any more. Export the case again.",
            )
            self.discard(export_id)
            log.info("export withdrawn", export=export_id)
        return len(touched)

    def holds(self, ids: Sequence[str]) -> int:
        return len(self._with(ids))

    def _with(self, ids: Sequence[str]) -> list[str]:
        if not ids:
            return []
        with redis_at_work():
            known = [one.decode() for one in cast("list[bytes]", self._redis.hkeys(_EXPORTS))]
            with self._redis.pipeline(transaction=False) as pipe:
                for export_id in known:
                    pipe.smismember(_sightings(export_id), list(ids))
                return [one for one, there in zip(known, pipe.execute(), strict=True) if any(there)]

    # -- parts -----------------------------------------------------------------------------------

    def _shown(self, texts: Mapping[bytes, bytes]) -> list[Export]:
        """Newest first. One that cannot be read is left out and logged."""
        found = [one for text in texts.values() if (one := _read(text)) is not None]
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for export in found:
                pipe.exists(_alive(export.id))
            alive = pipe.execute()
        shown = [
            export if there or export.state not in UNDER_WAY else _interrupted(export)
            for export, there in zip(found, alive, strict=True)
        ]
        return sorted(shown, key=lambda export: export.id, reverse=True)

    def _change(self, export_id: str, states: Iterable[ExportState], **changes: object) -> Export | None:
        """Change a job that is in one of some states; None when it is not."""
        wanted = frozenset(states)
        for _ in range(_ATTEMPTS):
            with redis_at_work():
                text = cast("bytes | None", self._redis.hget(_EXPORTS, export_id))
            before = _read(text) if text is not None else None
            if before is None or before.state not in wanted:
                return None
            after = replace(before, **changes)  # type: ignore[arg-type]
            with redis_at_work():
                if self._exchange([_EXPORTS], [export_id, cast("bytes", text), after.to_text()]):
                    return after
        raise redis.ConnectionError(f"export {export_id} is being changed again and again")


def _read(text: bytes) -> Export | None:
    try:
        return Export.from_text(text)
    except ValueError as error:
        log.error("export cannot be read and is left out", reason=str(error)[:200])
        return None


def _interrupted(export: Export) -> Export:
    return replace(export, state=ExportState.FAILED, error=INTERRUPTED)


def _place(export_id: str) -> str:
    return f"tapetum:export:{export_id}"


def _alive(export_id: str) -> str:
    return f"tapetum:export:{export_id}:alive"


def _sightings(export_id: str) -> str:
    return f"tapetum:export:{export_id}:tracklets"
