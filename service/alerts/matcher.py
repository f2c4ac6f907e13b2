"""Holds every tracklet that arrives against the watchlist, in a thread of each API process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import numpy as np
import redis
import structlog

from service.alerts.alert import Draft
from service.alerts.alert_store import AlertStore, Outcome
from service.alerts.change_group import ChangeGroup, PendingChange
from service.alerts.entries import ModelInUse, WatchEntry
from service.alerts.entry_store import WatchlistStore, server_time
from service.alerts.matching import Hit, WatchMatrix
from service.alerts.rules import fired
from service.gallery import Gallery, GalleryFilter, GalleryUnavailable, TrackletRecord
from service.security.accounts import Account, AccountStore

__all__ = ["Matcher"]

log = structlog.get_logger("tapetum.alerts")

BATCH = 256
_WAIT_MS = 500
_LONGEST_PAUSE_S = 5.0
_ATTEMPTS = 3  # for a change that cannot be matched while others can
_AGAIN = 5  # for an entry that is changed while it matches
_CAUGHT_UP_WITH = timedelta(hours=1)  # a tracklet may be written so long after it was seen, and more


class Matcher:
    """The matching of one process; several share the work.

    Args:
        model: only tracklets and entries of this model are compared.
        webhooks: ids of the webhooks that want alerts of a camera.
        on_raised: told of each alert that this process raised, and the seconds since it was indexed.
        on_set_aside: told of each change that could not be matched.
    """

    def __init__(
        self,
        client: redis.Redis,
        gallery: Gallery,
        accounts: AccountStore,
        entries: WatchlistStore,
        alerts: AlertStore,
        model: ModelInUse,
        *,
        webhooks: Callable[[str], Sequence[str]] = lambda _: (),
        on_raised: Callable[[Draft, float], object] = lambda *_: None,
        on_set_aside: Callable[[], object] = lambda: None,
    ) -> None:
        self.model = model
        self._redis, self._gallery, self._accounts = client, gallery, accounts
        self._store, self._alerts, self._webhooks = entries, alerts, webhooks
        self._on_raised, self._on_set_aside = on_raised, on_set_aside
        self._group = ChangeGroup(client, model.hash)
        self._version = -1
        self._entries: dict[str, WatchEntry] = {}
        self._matrix: WatchMatrix | None = None
        self._failures: dict[str, int] = {}
        self._joined = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def backlog(self) -> int:
        """Changes that wait to be matched. Raises GalleryUnavailable."""
        return self._group.backlog()

    def _run(self) -> None:
        pause_s = 0.1
        while not self._stop.is_set():
            try:
                self.step(_WAIT_MS)
                pause_s = 0.1
                continue
            except GalleryUnavailable as away:
                if self._joined:
                    log.warning("no alerts while Redis is away; the changes wait", reason=str(away))
            except Exception:  # a defect here must not end the matching for good
                log.exception("changes could not be matched and are tried again")
            self._joined = False
            self._stop.wait(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
        try:
            self._group.leave()
        except (GalleryUnavailable, redis.RedisError):
            log.debug("others take over what is left after a while")

    def step(self, wait_ms: int | None) -> int:
        """Match what is there, or comes within a time. Returns how many changes it was.

        Args:
            wait_ms: None does not wait.

        Raises:
            GalleryUnavailable: what was read comes again.
        """
        if not self._joined:
            missed_since = self._group.join()
            if missed_since is not None:
                self._catch_up(missed_since)
            self._group.forget_the_dead()
            self._joined = True
        changes = self._group.read(wait_ms=wait_ms, limit=BATCH)
        if changes:
            self._handle(changes)
        else:
            self._refresh()  # what was removed is not kept in memory either
        return len(changes)

    def _handle(self, changes: Sequence[PendingChange]) -> None:
        forgotten = [change for change in changes if not change.id]
        if forgotten:
            self._catch_up(min(change.indexed_at for change in forgotten))
            self._group.done(forgotten)
        known = [change for change in changes if change.id]
        try:
            self._match(known)
        except GalleryUnavailable:
            raise
        except Exception as error:
            log.warning("a batch of changes is matched one by one", error=repr(error)[:200])
            self._one_by_one(known)
        else:
            self._group.done(known)

    def _one_by_one(self, changes: Sequence[PendingChange]) -> None:
        """So that one that cannot be matched does not hold up the others."""
        for change in changes:
            try:
                self._match([change])
            except GalleryUnavailable:
                raise
            except Exception as error:
                self._failures[change.position] = self._failures.get(change.position, 0) + 1
                if self._failures[change.position] < _ATTEMPTS:
                    self._group.leave_unfinished()
                    continue
                del self._failures[change.position]
                self._group.set_aside(change, repr(error))
                self._on_set_aside()
            else:
                self._failures.pop(change.position, None)
                self._group.done([change])

    def _match(self, changes: Sequence[PendingChange]) -> None:
        indexed: dict[str, list[datetime]] = {}
        for change in changes:
            if change.op == "put":
                indexed.setdefault(change.id, []).append(change.indexed_at)
        self._match_tracklets(indexed)

    def _match_tracklets(self, indexed: Mapping[str, Sequence[datetime]]) -> None:
        """Hold tracklets, by id with the times when they were written, against all entries."""
        left = indexed
        for _ in range(_AGAIN):
            self._refresh()
            if not left or not self._matrix:
                return
            found = self._gallery.get_many(list(left))
            records = [record for record in found.values() if record.model_hash == self.model.hash]
            if not records:
                return
            vectors = np.stack([record.vector for record in records])
            hits = self._matrix.hits(vectors, [record.modality for record in records])
            owners: dict[str, Account | None] = {}
            outdated = [
                record.id
                for record, reached in zip(records, hits, strict=True)
                if not self._alert(record, reached, left[record.id], owners)
            ]
            left = {one: indexed[one] for one in outdated}
        if left:
            raise RuntimeError(f"{len(left)} tracklets: their entries are being changed again and again")

    def _alert(
        self,
        record: TrackletRecord,
        hits: Iterable[Hit],
        indexed: Sequence[datetime],
        owners: dict[str, Account | None],
    ) -> bool:
        """Raise what a tracklet gives cause for. Returns False when an entry was changed meanwhile."""
        current = True
        by_entry = sorted(hits, key=lambda hit: hit.entry_id)  # keeps the order of probability within an entry
        for entry_id, of_entry in groupby(by_entry, lambda hit: hit.entry_id):
            entry = self._entries[entry_id]
            if entry.owner not in owners:
                owners[entry.owner] = self._accounts.get(entry.owner)
            draft = fired(entry, owners[entry.owner], self.model, record, list(of_entry), indexed)
            if draft is None:
                continue
            outcome, latency_s = self._alerts.raise_alert(draft, self._webhooks(record.camera_id))
            current = current and outcome is not Outcome.OUTDATED
            if latency_s is not None:
                log.info("alert", alert=draft.id, entry=entry_id, camera=record.camera_id)
                self._on_raised(draft, latency_s)
        return current

    def _refresh(self) -> None:
        """Bring the entries up to date where somebody changed one. Asked after the changes were read: an entry that
        was made before a tracklet was written is always among them."""
        version = self._store.version()
        if version == self._version:
            return
        started_s = time.monotonic()
        revisions = self._store.revisions()
        differing = [
            one for one, revision in revisions.items()
            if one not in self._entries or self._entries[one].revision != revision
        ]  # fmt: skip
        fresh = self._store.get_many(differing)
        self._entries = {one: entry for one, entry in self._entries.items() if one in revisions} | fresh
        usable = [
            entry
            for entry in self._entries.values()
            if entry.model_hash == self.model.hash and entry.vectors.shape[1] == self.model.dimension
        ]
        calibration = self.model.calibration if self.model.calibrated else None
        self._matrix = None if calibration is None else WatchMatrix(usable, calibration)
        self._version = version
        log.debug("watchlist read", entries=len(usable), seconds=round(time.monotonic() - started_s, 3))

    def _catch_up(self, since: datetime) -> None:
        """Match what is stored, because changes since a moment were trimmed away before anybody had read them."""
        self._refresh()
        if not self._matrix:
            return
        log.warning("changes were trimmed before they were matched; the gallery is gone through", since=str(since))
        now, cursor = server_time(self._redis), None
        earliest = max(since, datetime.fromtimestamp(0, since.tzinfo) + _CAUGHT_UP_WITH)
        while not self._stop.is_set():
            page = self._gallery.list(GalleryFilter(since=earliest - _CAUGHT_UP_WITH), limit=BATCH, cursor=cursor)
            # When they were written nobody knows any more; an entry that was made since then does not look at them.
            self._match_tracklets({record.id: [min(now, record.ended_at)] for record in page.records})
            cursor = page.cursor
            if cursor is None:
                return
