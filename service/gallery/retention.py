"""Retention: sightings go when their time is over, in small steps, by one process at a time.

How long, the settings say for all cameras and a camera for itself. Legal holds stop it. Once a day pictures without
a record are looked for, which a death between two steps may leave behind, and the server's files are written anew,
so that they forget what went since.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis
import structlog

from service.gallery import keys
from service.gallery.erasable import Erasable
from service.gallery.erasure import Eraser, compact
from service.gallery.holds import Holds
from service.gallery.media import MediaError, MediaStore
from service.gallery.store import Gallery, GalleryUnavailable
from service.lease import Lease

__all__ = ["Retention", "Swept"]

log = structlog.get_logger("tapetum.retention")

EVERY_S = 60.0
_LEASE_S = 300
_BATCH = 100
_PAUSE_S = 0.05
"""Between batches: searches and deliveries go first."""
_TIDYING_EVERY_S = 24 * 3600.0
_ORPHAN_AGE = timedelta(hours=2)
"""Pictures are written before their record; younger ones may be waiting for it."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep removed, and the sightings whose time is over but which are held."""

    records: int = 0
    pictures: int = 0
    orphans: int = 0
    held: int = 0


class Retention:
    """The job of one API process; of several, whoever has the lease does the work.

    Args:
        keep_days: by camera id, asked before each sweep; None keeps for ever. A camera that is not in it is one that
            was removed, or never added: `default_days` holds for it.
        on_swept: told what a sweep did, when it did anything.
        elsewhere: what else remembers sightings and forgets them with their records.
        on_sweep: removes what has a time of its own at the time of each sweep, and says whether it did.
    """

    def __init__(
        self,
        client: redis.Redis,
        gallery: Gallery,
        media: MediaStore,
        holds: Holds,
        *,
        default_days: float | None,
        keep_days: Callable[[], Mapping[str, float | None]],
        on_swept: Callable[[Swept], object] = lambda _: None,
        elsewhere: Sequence[Erasable] = (),
        on_sweep: Callable[[datetime], bool] = lambda _: False,
    ) -> None:
        self._redis, self._gallery, self._media, self._holds = client, gallery, media, holds
        self._eraser = Eraser(client, gallery, media, holds, elsewhere)
        self._default_days, self._keep_days, self._on_swept = default_days, keep_days, on_swept
        self._lease = Lease(client, keys.RETENTION, _LEASE_S)
        self._on_sweep = on_sweep
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._tidying_due_s = 0.0
        self._files_remember = False  # something went since the server's files were written anew

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the batch that is under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10.0)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                swept = self.sweep(datetime.now(UTC))
                if swept.records or swept.pictures or swept.orphans:
                    self._on_swept(swept)
            except (GalleryUnavailable, MediaError, redis.RedisError) as error:  # the next sweep finds the same
                log.warning("retention stopped half way and will go on", reason=str(error)[:200])
            except Exception:
                log.exception("retention failed and will be tried again")

    def sweep(self, now: datetime) -> Swept:
        """Remove what is older than it may be at `now`; nothing while another process does so."""
        if not self._lease.take():
            return Swept()
        self._files_remember |= self._on_sweep(now)
        records = pictures = held = orphans = 0
        by_camera = self._keep_days()
        for camera in self._gallery.cameras():
            days = by_camera.get(camera, self._default_days)
            if days is None:
                continue
            for batch in self._gallery.ended_before(camera, now - timedelta(days=days), _BATCH):
                free = self._holds.free(batch)
                held += len(batch) - len(free)
                if free:
                    gone, files = self._eraser.remove(free)
                    self._eraser.forget(free)
                    self._files_remember = True
                    records, pictures = records + gone, pictures + files
                if self._stop.wait(_PAUSE_S) or not self._lease.take():
                    return Swept(records, pictures, 0, held)
        if time.monotonic() >= self._tidying_due_s:
            self._tidying_due_s = time.monotonic() + _TIDYING_EVERY_S
            orphans = self._remove_orphans(now)
            if self._files_remember:
                compact(self._redis)
                self._files_remember = False
        return Swept(records, pictures, orphans, held)

    def _remove_orphans(self, now: datetime) -> int:
        """Delete folders of pictures that belong to no record. Returns how many pictures."""
        removed = 0
        for batch in self._media.tracklet_folders(_BATCH, older_than=now - _ORPHAN_AGE):
            there = self._gallery.present(list(batch))
            removed += sum(self._media.delete_tracklet(key) for one, key in batch.items() if one not in there)
            if self._stop.wait(_PAUSE_S) or not self._lease.take():
                break
        return removed
