"""Erasing sightings for good: record, vector, pictures, and what the server's files still remember of them.

What is erased does not come back: its id is remembered, so that a late delivery from a worker is refused. A report
says what was done; `verify_erasure` checks later, on its own, that nothing answers any more.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis
from ulid import ULID

from service.gallery.erasable import Erasable
from service.gallery.holds import Hold, Holds
from service.gallery.media import MediaStore, delete_footage
from service.gallery.records import TRACKLET_ID, GalleryFilter, TrackletRecord
from service.gallery.store import ERASURE_REMEMBERED_S, Gallery, redis_at_work

__all__ = ["Eraser", "ErasureReport", "HeldError", "compact", "verify_erasure"]

_BATCH = 200
_COMPACTION_TIMEOUT_S = 600.0
_NEAR = timedelta(seconds=5)
"""A person may be in the picture for so long before and after being followed."""


class HeldError(ValueError):
    """Some of the sightings are under legal hold; they were not erased."""

    def __init__(self, holds: Mapping[str, Hold]) -> None:
        super().__init__(f"{len(holds)} of the sightings are under legal hold: {', '.join(sorted(holds)[:5])}")
        self.holds = holds


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What was erased.

    Attributes:
        id: of the erasure.
        records, pictures: how many there were.
        missing: ids without a record; they cannot come any more either.
        compacted: what was rewritten, such as ``append-only file``; empty where the server keeps no files.
        elsewhere: in how many other places they were, by kind: subjects, cases, exports; and how many other sightings
            lost their scene and clip (footage), because they may have been in them.
    """

    id: str
    at: datetime
    account: str
    reason: str
    tracklet_ids: tuple[str, ...]
    records: int
    pictures: int
    missing: int
    compacted: tuple[str, ...]
    elsewhere: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = asdict(self)
        return {
            **values,
            "at": self.at.isoformat(),
            "tracklet_ids": list(self.tracklet_ids),
            "compacted": list(self.compacted),
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the report's canonical JSON; the audit log holds it, so that a changed report shows."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ErasureReport:
        """Raises ValueError for what `to_dict` would not have given."""
        try:
            report = cls(
                id=str(values["id"]),
                at=datetime.fromisoformat(values["at"]),
                account=str(values["account"]),
                reason=str(values["reason"]),
                tracklet_ids=tuple(str(one) for one in values["tracklet_ids"]),
                records=int(values["records"]),
                pictures=int(values["pictures"]),
                missing=int(values["missing"]),
                compacted=tuple(str(one) for one in values["compacted"]),
                elsewhere={str(name): int(count) for name, count in values["elsewhere"].items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"expected an erasure report: {error!r}") from None
        if not all(TRACKLET_ID.fullmatch(one) for one in report.tracklet_ids):
            raise ValueError("expected an erasure report: tracklet_ids are not all ids")
        return report


class Eraser:
    """Erases from gallery, media and all that remembers besides.

    Raises GalleryUnavailable or MediaError; what was begun can be begun again.
    """

    def __init__(
        self,
        client: redis.Redis,
        gallery: Gallery,
        media: MediaStore,
        holds: Holds,
        elsewhere: Sequence[Erasable] = (),
    ) -> None:
        self._redis, self._gallery, self._media, self._holds = client, gallery, media, holds
        self._elsewhere = elsewhere

    def erase(self, ids: Sequence[str], *, account: str, reason: str) -> ErasureReport:
        """Erase sightings, whether they are there or only on their way, and compact the server's files.

        Raises:
            HeldError: one of them is under legal hold.
            ValueError: an id that is none.
        """
        wanted = list(dict.fromkeys(ids))
        if not all(TRACKLET_ID.fullmatch(one) for one in wanted):
            raise ValueError("tracklet_ids: expected ids of sightings")
        held = self._holds.of(wanted)
        if held:
            raise HeldError(held)
        records = pictures = 0
        others: Counter[str] = Counter()
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            # First: where this stops half way, the records still tell whose pictures they may be in.
            others["footage"] += self._drop_footage_of_others(batch, frozenset(wanted))
            gone, files = self.remove(batch)
            records, pictures = records + gone, pictures + files
            held = self._holds.of(batch)
            if held:  # placed while this ran
                raise HeldError(held)
            others.update(self.forget(batch))
        return ErasureReport(
            id=str(ULID()),
            at=datetime.now(UTC),
            account=account,
            reason=reason,
            tracklet_ids=tuple(wanted),
            records=records,
            pictures=pictures,
            missing=len(wanted) - records,
            compacted=compact(self._redis),
            elsewhere={
                **{store.name: others[store.name] for store in self._elsewhere},
                **({"footage": dropped} if (dropped := others["footage"]) else {}),
            },
        )

    def forget(self, ids: Sequence[str]) -> dict[str, int]:
        """Have everything else forget sightings whose records are gone. Returns in how many places they were."""
        return {store.name: store.erase(ids) for store in self._elsewhere}

    def _drop_footage_of_others(self, ids: Sequence[str], erased: frozenset[str]) -> int:
        """Remove scenes and clips of other sightings that these people may be in. Returns how many sightings had any.

        Those under legal hold keep theirs. What workers still hand over of that time is stripped as it comes.
        """
        gone = list(self._gallery.get_many(ids).values())
        self._gallery.remember_unfilmed([(r.camera_id, r.started_at - _NEAR, r.ended_at + _NEAR) for r in gone])
        near: dict[str, TrackletRecord] = {}
        for record in gone:
            around = GalleryFilter(
                cameras=frozenset({record.camera_id}),
                since=record.started_at - _NEAR,
                until=record.ended_at + _NEAR,
                exclude_ids=erased,
            )
            cursor: str | None = None
            while True:
                page = self._gallery.list(around, limit=_BATCH, cursor=cursor)
                near |= {one.id: one for one in page.records}
                if (cursor := page.cursor) is None:
                    break
        dropped, held = self._gallery.drop_footage(list(near))
        for record in near.values():
            if record.id not in held:
                delete_footage(self._media, record)
        return len(dropped)

    def remove(self, ids: Sequence[str]) -> tuple[int, int]:
        """Records first, so that nothing points at pictures that are gone. Returns records and pictures removed.

        What somebody put under hold a moment ago stays as it is.
        """
        known = self._gallery.get_many(ids)
        gone = self._gallery.delete(ids)
        cameras, held = self._gallery.cameras(), self._holds.of(ids)
        pictures = sum(
            self._media.delete_tracklet(key)
            for one in ids
            if one not in held
            for key in (_folder_of(known[one]) if one in known else MediaStore.possible_folders(one, cameras))
        )
        return gone, pictures


def _folder_of(record: TrackletRecord) -> list[str]:
    return [MediaStore.folder_key(record.camera_id, record.started_at, record.id)]


def compact(client: redis.Redis, timeout_s: float = _COMPACTION_TIMEOUT_S) -> tuple[str, ...]:
    """Have the server write its files anew, so that they forget what was deleted, and wait until it has.

    Returns:
        What was written.

    Raises:
        GalleryUnavailable: it did not succeed within the time.
    """
    done = []
    with redis_at_work():
        persistence = client.info("persistence")
        if persistence.get("aof_enabled"):
            _run(client, "bgrewriteaof", "aof_last_bgrewrite_status", timeout_s)
            done.append("append-only file")
        if persistence.get("rdb_last_save_time") and _saves(client):
            _run(client, "bgsave", "rdb_last_bgsave_status", timeout_s)
            done.append("snapshot")
    return tuple(done)


def _saves(client: redis.Redis) -> bool:
    """Whether the server writes snapshots; one that does not tell is taken for one that does."""
    try:
        return bool(cast("dict[str, str]", client.config_get("save")).get("save", "yes"))
    except redis.ResponseError:
        return True


def _run(client: redis.Redis, command: str, status: str, timeout_s: float) -> None:
    """Start a background write, after the one under way, and wait for its end."""
    deadline_s = time.monotonic() + timeout_s
    started = False
    while time.monotonic() < deadline_s:
        state = client.info("persistence")
        idle = not state.get("aof_rewrite_in_progress") and not state.get("rdb_bgsave_in_progress")
        if idle and not state.get("aof_rewrite_scheduled"):
            if started:
                if state.get(status) == "ok":
                    return
                raise redis.ConnectionError(f"{command}: the server says {state.get(status)!r}")
            try:
                client.execute_command(command)  # type: ignore[no-untyped-call]
                started = True
            except redis.ResponseError as error:
                if "in progress" not in str(error):  # another erasure was quicker: wait for its end, then begin
                    raise
        time.sleep(0.05)
    raise redis.TimeoutError(f"{command}: not done within {timeout_s:.0f} s")


def verify_erasure(
    report: ErasureReport,
    gallery: Gallery,
    media: MediaStore,
    elsewhere: Sequence[Erasable] = (),
    now: datetime | None = None,
) -> list[str]:
    """What of an erasure is still there, a sentence for each; empty when nothing answers.

    That late deliveries would be refused is asked only while ids are remembered.
    """
    found = []
    cameras = gallery.cameras()
    remembered = (now or datetime.now(UTC)) - report.at < timedelta(seconds=ERASURE_REMEMBERED_S)
    erased = gallery.erased(report.tracklet_ids) if remembered else frozenset(report.tracklet_ids)
    for start in range(0, len(report.tracklet_ids), _BATCH):
        ids = report.tracklet_ids[start : start + _BATCH]
        there = gallery.present(ids)
        found += [f"{one}: there is a record" for one in ids if one in there]
        found += [f"{one}: a late delivery would not be refused" for one in ids if one not in erased]
        found += [
            f"{one}: there are pictures of camera {key.partition('/')[0]}"
            for one in ids
            for key in MediaStore.possible_folders(one, cameras)
            if media.holds_tracklet(key)
        ]
        found += [f"{store.name}: {count} still hold them" for store in elsewhere if (count := store.holds(ids))]
    return found
