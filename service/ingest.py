"""From the spool to where everybody can see it: pictures into the media store, then the record into Redis."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from pipeline.footage import Footage
from pipeline.spool import Spool, SpoolError
from pipeline.spooled import SpooledTracklet
from service.gallery.media import MediaError, MediaStore, delete_footage, make_thumbnail
from service.gallery.records import CropRef, TrackletRecord
from service.gallery.store import Gallery, GalleryUnavailable, PutResult
from service.sealing import KeyMismatchError

__all__ = ["Ingest", "IngestStats"]

log = structlog.get_logger("tapetum.ingest")

_CHECK_S = 1.0
_TIDY_S = 30.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class IngestStats:
    """How delivery goes. Counters run since the start.

    Attributes:
        queued: tracklets that wait; `oldest_s` is the age of the oldest.
        replayed: delivered a second time because Redis was restarted or replaced.
        quarantined: on disk, set aside because they cannot be delivered.
        away_s: for how long Redis or the media store have not answered; None when they do.
    """

    queued: int
    oldest_s: float | None
    delivered: int
    replayed: int
    stale: int
    quarantined: int
    failures: int
    away_s: float | None
    error: str | None


class Ingest:
    """A thread that empties the spool. At least once, and idempotent, so nothing is lost and nothing doubled.

    Args:
        check_keys: raises KeyMismatchError when what is delivered could not be read by others; it then waits.
    """

    def __init__(
        self,
        spool: Spool,
        gallery: Gallery,
        media: MediaStore,
        *,
        batch: int = 64,
        check_keys: Callable[[], None] = lambda: None,
    ):
        self._spool = spool
        self._gallery = gallery
        self._media = media
        self._batch = batch
        self._check_keys = check_keys
        self._stop_at_s: float | None = None
        self._thread: threading.Thread | None = None
        self._attempts: dict[tuple[str, int], int] = {}
        self._not_before_s: dict[str, float] = {}
        self._delivered = self._replayed = self._stale = self._failures = 0
        self._away_since_s: float | None = None
        self._error: str | None = None
        self._checked_s = self._tidied_s = float("-inf")
        self._erased_until_s = 0.0

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Deliver what can be delivered within the time, then end. Returns whether the spool is empty."""
        self._stop_at_s = time.monotonic() + timeout_s
        self._spool.wake()
        if self._thread:
            self._thread.join(timeout_s + 10.0)
        return self._spool.stats().pending == 0

    def stats(self) -> IngestStats:
        spool, away = self._spool.stats(), self._away_since_s
        return IngestStats(
            queued=spool.pending,
            oldest_s=spool.oldest_pending_s,
            delivered=self._delivered,
            replayed=self._replayed,
            stale=self._stale,
            quarantined=spool.quarantined,
            failures=self._failures,
            away_s=None if away is None else time.monotonic() - away,
            error=self._error,
        )

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                self._check_server()
                worked = self._deliver_batch()
                self._back()
                pause_s = _FIRST_PAUSE_S
            except GalleryUnavailable as error:
                self._away(error)
                worked = False
                self._empty_pictures()
            except (KeyMismatchError, MediaError, SpoolError) as error:
                self._away(error)
                worked = False
            except Exception as error:
                log.exception("delivery failed, it will be tried again")
                self._away(error)
                worked = False
            if self._stop_at_s is not None and (not worked or time.monotonic() > self._stop_at_s):
                return
            if self._away_since_s is not None:
                self._sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            elif not worked:
                self._spool.wait(0.5)

    def _check_server(self) -> None:
        """Replay what was lately delivered when the server is another one; forget what was erased."""
        now_s = time.monotonic()
        if self._away_since_s is None and now_s - self._checked_s < _CHECK_S:
            return
        self._check_keys()
        run_id, known = self._gallery.run_id(), self._spool.note("run_id")
        if known is not None and known != run_id:
            count = self._spool.replay()
            log.warning("Redis was restarted or replaced, recent tracklets are delivered again", count=count)
        if known != run_id:
            self._spool.set_note("run_id", run_id)
        erased, self._erased_until_s = self._gallery.erased_since(self._erased_until_s)
        self._forget(erased)
        if known == run_id and now_s - self._tidied_s > _TIDY_S:
            self._spool.tidy()
            self._tidied_s = now_s
        self._checked_s = now_s

    def _forget(self, erased: Sequence[str]) -> None:
        """Drop what was erased, and the pictures that were written of it while Redis was away."""
        for one in erased:
            if self._spool.forget([one]):
                for key in MediaStore.possible_folders(one, self._gallery.cameras()):
                    self._media.delete_tracklet(key)

    def _deliver_batch(self) -> bool:
        """Deliver some tracklets. Returns whether there were any."""
        now_s = time.monotonic()
        self._not_before_s = {one: at for one, at in self._not_before_s.items() if at > now_s}
        items = self._spool.pending(self._batch, skip=self._not_before_s.keys())
        ready: list[tuple[SpooledTracklet, TrackletRecord]] = []
        media_error: MediaError | None = None
        failed: list[tuple[SpooledTracklet, Exception]] = []
        for item in items:
            try:
                ready.append((item, self._store_media(item)))
            except MediaError as error:
                media_error = error
                failed.append((item, error))
            except ValueError as error:
                self._quarantine(item, str(error))
        results = self._gallery.put_many([record for _, record in ready])
        done: list[tuple[str, int]] = []
        for (item, record), result in zip(ready, results, strict=True):
            try:
                if self._settle(item, record, result):
                    done.append((item.id, item.revision))
            except MediaError as error:
                media_error = error
                failed.append((item, error))
        self._spool.delivered(done)
        if media_error is not None and len(failed) == len(items):
            raise media_error  # the store is away; no item is to blame
        for item, reason in failed:
            self._retry_later(item, str(reason))
        return bool(items)

    def _empty_pictures(self) -> None:
        """While Redis is away: the spool need not keep pictures that the media store can have."""
        stored = []
        try:
            for item in self._spool.pending(self._batch, with_pictures=True):
                with contextlib.suppress(ValueError):  # it will be set aside when Redis is back
                    self._store_media(item)
                    stored.append((item.id, item.revision))
            self._spool.media_stored(stored)
        except (MediaError, SpoolError) as error:
            log.debug("pictures stay in the spool", reason=str(error))

    def _store_media(self, item: SpooledTracklet) -> TrackletRecord:
        """Write the pictures that are still in the spool; returns the record that names them."""
        best = max(item.crops, key=lambda crop: crop.quality, default=None)
        thumbnail = None if best is None else self._key(item, best.digest, thumbnail=True)
        record = _record(item, tuple(self._key(item, crop.digest) for crop in item.crops), thumbnail)
        pictures = {ref.key: crop.jpeg for ref, crop in zip(record.crops, item.crops, strict=True) if crop.jpeg}
        if best is not None and best.jpeg and thumbnail:
            pictures[thumbnail] = make_thumbnail(best.jpeg)
        footage = MediaStore.footage_keys(item)
        pictures |= {footage[digest]: data for digest, data in item.media.items()}
        self._media.write_many(pictures)
        return record

    def _settle(self, item: SpooledTracklet, record: TrackletRecord, result: PutResult) -> bool:
        """Clean up after a write. Returns whether the spool is done with the tracklet."""
        if result is PutResult.REJECTED:
            self._retry_later(item, "Redis holds something else under this id")
            return False
        key = record.thumbnail
        if result is PutResult.ERASED:
            if key:
                self._media.delete_tracklet(key)
            self._spool.forget([item.id])
            return False
        if item.footage.parts() and self._gallery.unfilmed(item):
            _, held = self._gallery.drop_footage([item.id])  # somebody in it was erased
            if not held:
                delete_footage(self._media, record)
                record = replace(record, footage=Footage())
        if item.closed and key:
            # No later revision comes: pictures that only earlier ones showed are orphans.
            self._media.keep_only(key, MediaStore.all_keys(record))
        self._attempts.pop((item.id, item.revision), None)
        self._delivered += result is PutResult.STORED
        self._stale += result is PutResult.STALE
        self._replayed += item.replayed
        return True

    def _retry_later(self, item: SpooledTracklet, reason: str) -> None:
        attempt = self._attempts.get((item.id, item.revision), 0) + 1
        if attempt >= _ATTEMPTS:
            self._quarantine(item, reason)
            return
        self._failures += 1
        self._attempts[item.id, item.revision] = attempt
        self._not_before_s[item.id] = time.monotonic() + 0.25 * 2**attempt

    def _quarantine(self, item: SpooledTracklet, reason: str) -> None:
        log.error("tracklet set aside in the spool", tracklet=item.id, revision=item.revision, reason=reason[:200])
        self._failures += 1
        self._attempts.pop((item.id, item.revision), None)
        self._spool.quarantine(item.id, item.revision, reason)

    @staticmethod
    def _key(item: SpooledTracklet, digest: str, *, thumbnail: bool = False) -> str:
        return MediaStore.key(item.camera_id, item.started_at, item.id, digest, thumbnail=thumbnail)

    def _away(self, error: Exception) -> None:
        self._error = str(error)[:300]
        if self._away_since_s is None:
            self._away_since_s = time.monotonic()
            log.warning("delivery waits, the spool keeps what comes", reason=self._error)

    def _back(self) -> None:
        if self._away_since_s is not None:
            log.info("delivery goes on", away_s=round(time.monotonic() - self._away_since_s, 1))
            self._away_since_s = self._error = None

    def _sleep(self, seconds: float) -> None:
        """Wait, but not longer than the thread may live."""
        deadline_s = time.monotonic() + seconds
        while self._stop_at_s is None and time.monotonic() < deadline_s:
            time.sleep(0.02)


def _record(item: SpooledTracklet, keys: tuple[str, ...], thumbnail: str | None) -> TrackletRecord:
    crops = tuple(
        CropRef(key, crop.box, crop.quality, crop.pts_s, crop.captured_at)
        for key, crop in zip(keys, item.crops, strict=True)
    )
    return TrackletRecord(
        **item.common(),
        model_hash=item.model_hash,
        vector=item.vector,
        crops=crops,
        thumbnail=thumbnail,
    )
