"""Keeps tracklets safe on this machine's disk until Redis has them.

`put` returns when the tracklet survives the death of this process and of the machine. What was delivered is kept
for a while without its pictures, because a Redis that restarts may have forgotten its last second.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
import structlog

from pipeline.footage import content_digest
from pipeline.handover import HandedOver
from pipeline.sealing import MARK, PLAIN, Sealer, SealError
from pipeline.spooled import SpooledTracklet, from_body, to_body

__all__ = ["Spool", "SpoolError", "SpoolFullError", "SpoolStats"]

log = structlog.get_logger("tapetum.spool")

P = ParamSpec("P")
T = TypeVar("T")
_VERSION = 1
_PENDING, _DELIVERED, _QUARANTINED = 0, 1, 2
_ROW_OVERHEAD_BYTES = 512
# secure_delete: a vector that was erased is overwritten, not only unlinked.
# synchronous=FULL: in WAL mode NORMAL would survive the process, but not the loss of power.
_SETUP = """
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA secure_delete=ON;
CREATE TABLE IF NOT EXISTS tracklets (
    id TEXT PRIMARY KEY, revision INTEGER NOT NULL, seq INTEGER NOT NULL, state INTEGER NOT NULL,
    put_s REAL NOT NULL, delivered_s REAL, body TEXT NOT NULL, vector BLOB NOT NULL, bytes INTEGER NOT NULL,
    reason TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_state ON tracklets (state, seq);
CREATE INDEX IF NOT EXISTS by_seq ON tracklets (seq);
CREATE INDEX IF NOT EXISTS by_bytes ON tracklets (state, bytes);
CREATE TABLE IF NOT EXISTS pictures (
    id TEXT NOT NULL, digest TEXT NOT NULL, jpeg BLOB NOT NULL, PRIMARY KEY (id, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class SpoolError(RuntimeError):
    """The spool cannot take or give tracklets now."""


class SpoolFullError(SpoolError):
    """No room until something was delivered; the tracklet was not taken."""


@dataclass(frozen=True, slots=True)
class SpoolStats:
    """How full the spool is. Counters run since this process opened it."""

    pending: int
    delivered_kept: int
    quarantined: int
    bytes: int
    oldest_pending_s: float | None
    refused_full: int
    outdated: int
    replaced_corrupt: int


def _locked(method: Callable[Concatenate[Spool, P], T]) -> Callable[Concatenate[Spool, P], T]:
    """One thread at a time; a database found corrupt is replaced and the call made again, once."""

    def guarded(self: Spool, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._lock:
            try:
                return method(self, *args, **kwargs)
            except sqlite3.OperationalError as error:
                if "full" in str(error):
                    self._refused_full += 1
                    raise SpoolFullError(f"spool {self.path}: the disk is full") from error
                raise SpoolError(f"spool {self.path}: {error}") from error
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise SpoolError(f"spool {self.path}: {error}") from error
                self._replace_corrupt(error)
                return method(self, *args, **kwargs)

    return guarded


class Spool:
    """A `TrackletSink` in one SQLite file, safe for threads.

    Args:
        path: the file; its folder is made.
        max_bytes: of tracklets not yet delivered, with their pictures. Beyond it `put` refuses: nothing
            that was accepted is ever dropped to make room.
        sealer: vectors and pictures are sealed with; what lies here under an older key is sealed anew at once.
        keep_delivered_s: how long delivered tracklets are kept for `replay`.

    Raises:
        SpoolError: the file cannot be used, or something in it is sealed with a key that is not there.
    """

    def __init__(
        self, path: Path, sealer: Sealer = PLAIN, *, max_bytes: int = 2 * 2**30, keep_delivered_s: float = 600.0
    ):
        self.path = path
        self._sealer = sealer
        self._max_bytes = max_bytes
        self._keep_delivered_s = keep_delivered_s
        self._lock = threading.RLock()
        self._arrived = threading.Event()
        self._refused_full = self._outdated = self._replaced_corrupt = 0
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            if not _is_corrupt(error):
                raise SpoolError(f"spool {path}: {error}") from error
            self._replace_corrupt(error)
        try:
            self._reseal()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # -- worker's side ---------------------------------------------------------------------------

    @_locked
    def put(self, tracklet: HandedOver) -> None:
        """Keep a revision; a later one replaces an earlier, an earlier one is ignored.

        Raises:
            SpoolFullError: no room, on the disk or within `max_bytes`; the caller still has the tracklet.
            SpoolError: the disk cannot be written.
        """
        row = self._db.execute("SELECT revision FROM tracklets WHERE id=?", (tracklet.id,)).fetchone()
        if row and row[0] >= tracklet.revision:
            self._outdated += 1
            return
        digests = {content_digest(crop.jpeg): crop.jpeg for crop in tracklet.crops} | dict(tracklet.media)
        pictures = {d: self._sealer.seal(jpeg, _picture_place(tracklet.id, d)) for d, jpeg in digests.items()}
        body, vector = to_body(tracklet), np.asarray(tracklet.vector, "<f4").tobytes()
        vector = self._sealer.seal(vector, _vector_place(tracklet.id, tracklet.revision))
        size = _ROW_OVERHEAD_BYTES + len(body) + len(vector) + sum(map(len, pictures.values()))
        if self._bytes() + size > self._max_bytes:
            self._refused_full += 1
            raise SpoolFullError(f"spool {self.path}: more than {self._max_bytes} bytes wait to be delivered")
        with self._db:
            self._db.execute("DELETE FROM pictures WHERE id=?", (tracklet.id,))
            self._db.executemany(
                "INSERT INTO pictures VALUES (?, ?, ?)",
                [(tracklet.id, digest, jpeg) for digest, jpeg in pictures.items()],
            )
            self._db.execute(
                "INSERT OR REPLACE INTO tracklets VALUES "
                "(?, ?, (SELECT coalesce(max(seq), 0) + 1 FROM tracklets), ?, ?, NULL, ?, ?, ?, NULL)",
                (tracklet.id, tracklet.revision, _PENDING, time.time(), body, vector, size),
            )
        self._arrived.set()

    # -- delivery's side -------------------------------------------------------------------------

    def wait(self, timeout_s: float) -> bool:
        """Wait until something was put since the last call."""
        arrived = self._arrived.wait(timeout_s)
        self._arrived.clear()
        return arrived

    def wake(self) -> None:
        """Let `wait` return."""
        self._arrived.set()

    @_locked
    def pending(self, limit: int, *, skip: Collection[str] = (), with_pictures: bool = False) -> list[SpooledTracklet]:
        """The tracklets that wait longest, except those whose id is in `skip`.

        `with_pictures` leaves out those whose pictures the media store has.
        """
        having = "AND EXISTS (SELECT 1 FROM pictures WHERE pictures.id=tracklets.id)" if with_pictures else ""
        rows = self._db.execute(
            "SELECT id, revision, body, vector, delivered_s FROM tracklets "  # noqa: S608 - no input in it
            f"WHERE state=? {having} ORDER BY seq LIMIT ?",
            (_PENDING, limit + len(skip)),
        ).fetchall()
        found = []
        for one, revision, body, vector, delivered_s in [row for row in rows if row[0] not in skip][:limit]:
            sealed = self._db.execute("SELECT digest, jpeg FROM pictures WHERE id=?", (one,)).fetchall()
            try:
                pictures = {d: self._sealer.open(jpeg, _picture_place(one, d)) for d, jpeg in sealed}
                vector = self._sealer.open(vector, _vector_place(one, revision))
                found.append(from_body(one, revision, body, vector, pictures, replayed=delivered_s is not None))
            except ValueError as error:
                log.error("spooled tracklet set aside", tracklet=one, reason=str(error))
                self.quarantine(one, revision, str(error))
        return found

    @_locked
    def media_stored(self, revisions: Collection[tuple[str, int]]) -> None:
        """The media store has the pictures of these ids and revisions: drop them here."""
        with self._db:
            for one, revision in revisions:
                current = self._db.execute(
                    "UPDATE tracklets SET bytes=?+length(body)+length(vector) WHERE id=? AND revision=?",
                    (_ROW_OVERHEAD_BYTES, one, revision),
                )
                if current.rowcount:
                    self._db.execute("DELETE FROM pictures WHERE id=?", (one,))

    @_locked
    def delivered(self, revisions: Collection[tuple[str, int]]) -> None:
        """Everybody can see these ids and revisions; a later one that came meanwhile stays pending."""
        with self._db:
            for one, revision in revisions:
                current = self._db.execute(
                    "UPDATE tracklets SET state=?, delivered_s=? WHERE id=? AND revision=?",
                    (_DELIVERED, time.time(), one, revision),
                )
                if current.rowcount:
                    self._db.execute("DELETE FROM pictures WHERE id=?", (one,))

    @_locked
    def quarantine(self, tracklet_id: str, revision: int, reason: str) -> None:
        """Set a tracklet aside that cannot be delivered; it stays on disk with the reason."""
        with self._db:
            self._db.execute(
                "UPDATE tracklets SET state=?, reason=? WHERE id=? AND revision=?",
                (_QUARANTINED, reason[:500], tracklet_id, revision),
            )

    @_locked
    def replay(self) -> int:
        """Make everything that is still kept as delivered pending again. Returns how many."""
        with self._db:
            return self._db.execute("UPDATE tracklets SET state=? WHERE state=?", (_PENDING, _DELIVERED)).rowcount

    @_locked
    def forget(self, ids: Collection[str]) -> int:
        """Erase tracklets in whatever state, from the file too. Returns how many there were."""
        with self._db:
            found = 0
            for one in ids:
                found += self._db.execute("DELETE FROM tracklets WHERE id=?", (one,)).rowcount
                self._db.execute("DELETE FROM pictures WHERE id=?", (one,))
        self._shrink()
        return found

    @_locked
    def tidy(self) -> int:
        """Drop delivered tracklets that are old enough and give their room back. Returns how many.

        To be called only when the server is known to be the one they were delivered to.
        """
        with self._db:
            gone = self._db.execute(
                "DELETE FROM tracklets WHERE state=? AND delivered_s<=?",
                (_DELIVERED, time.time() - self._keep_delivered_s),
            ).rowcount
        if gone:
            self._shrink()
        return gone

    @_locked
    def note(self, name: str) -> str | None:
        """A remembered word, such as which server was delivered to."""
        row = self._db.execute("SELECT value FROM notes WHERE name=?", (name,)).fetchone()
        return str(row[0]) if row else None

    @_locked
    def set_note(self, name: str, value: str) -> None:
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    @_locked
    def stats(self) -> SpoolStats:
        counts = dict(self._db.execute("SELECT state, count(*) FROM tracklets GROUP BY state").fetchall())
        (oldest,) = self._db.execute("SELECT min(put_s) FROM tracklets WHERE state=?", (_PENDING,)).fetchone()
        return SpoolStats(
            pending=counts.get(_PENDING, 0),
            delivered_kept=counts.get(_DELIVERED, 0),
            quarantined=counts.get(_QUARANTINED, 0),
            bytes=self._bytes(),
            oldest_pending_s=None if oldest is None else max(0.0, time.time() - oldest),
            refused_full=self._refused_full,
            outdated=self._outdated,
            replaced_corrupt=self._replaced_corrupt,
        )

    # -- the file --------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=10.0, check_same_thread=False)
        try:
            db.executescript(_SETUP)
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if verdict != "ok" or version not in (0, _VERSION):
                raise _CorruptError(f"{verdict}, version {version}")
            db.execute(f"PRAGMA user_version={_VERSION}")
        except BaseException:
            db.close()
            raise
        return db

    @_locked
    def _reseal(self) -> None:
        """Bring what lies here under the first key, a tracklet at a time."""
        head = "substr(%s, 1, ?) <> ?" if self._sealer.prefix else "substr(%s, 1, ?) = ?"
        mark = self._sealer.prefix or MARK  # without keys nothing may be sealed
        rows = self._db.execute(
            f"SELECT id, revision FROM tracklets WHERE {head % 'vector'} UNION "  # noqa: S608 - no input in it
            f"SELECT id, revision FROM tracklets JOIN pictures USING (id) WHERE {head % 'jpeg'}",
            (len(mark), mark) * 2,
        ).fetchall()
        for one, revision in rows:
            vectors = self._db.execute("SELECT vector FROM tracklets WHERE id=?", (one,)).fetchall()
            jpegs = self._db.execute("SELECT digest, jpeg FROM pictures WHERE id=?", (one,)).fetchall()
            try:
                new = [self._sealer.reseal(vector, _vector_place(one, revision)) for (vector,) in vectors]
                pictures = [(self._sealer.reseal(jpeg, _picture_place(one, d)), one, d) for d, jpeg in jpegs]
            except SealError as error:
                raise SpoolError(f"spool {self.path}: tracklet {one} is {error}") from None
            with self._db:
                self._db.executemany(
                    "UPDATE tracklets SET vector=? WHERE id=?", [(vector, one) for vector in new if vector is not None]
                )
                self._db.executemany(
                    "UPDATE pictures SET jpeg=? WHERE id=? AND digest=?", [p for p in pictures if p[0] is not None]
                )
        if rows:
            self._shrink()
            log.info("the spool was sealed with the first key", path=str(self.path), tracklets=len(rows))

    def _replace_corrupt(self, error: Exception) -> None:
        if hasattr(self, "_db"):
            self._db.close()
        aside = self.path.with_name(f"{self.path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        self._replaced_corrupt += 1
        log.error(
            "the spool is corrupt: it was moved aside and a new one begun; what waited in it is not delivered",
            moved_to=str(aside),
            reason=str(error),
        )
        self.path.touch(mode=0o600)
        self._db = self._open()

    def _bytes(self) -> int:
        (total,) = self._db.execute(
            "SELECT coalesce(sum(bytes), 0) FROM tracklets WHERE state<>?", (_DELIVERED,)
        ).fetchone()
        return int(total)

    def _shrink(self) -> None:
        with closing(self._db.execute("PRAGMA incremental_vacuum")) as cursor:
            cursor.fetchall()
        with closing(self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")) as cursor:
            cursor.fetchall()


def _vector_place(tracklet_id: str, revision: int) -> str:
    return f"spool/{tracklet_id}/{revision}/vector"


def _picture_place(tracklet_id: str, digest: str) -> str:
    return f"spool/{tracklet_id}/{digest}"


class _CorruptError(sqlite3.DatabaseError):
    pass


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    if isinstance(error, _CorruptError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
