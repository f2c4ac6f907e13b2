"""Whether a tracklet that looks like an example is one to alert about: whose entry it is, where and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from service.alerts.alert import Draft
from service.alerts.entries import ModelInUse, WatchEntry, WatchState
from service.alerts.matching import Hit
from service.gallery.records import TrackletRecord
from service.security.accounts import Account

__all__ = ["fired"]

# Between a camera's clock and Redis'. What waits in a spool is late, but nothing comes from the future.
AHEAD = timedelta(minutes=5)
BEHIND = timedelta(days=1)


def fired(
    entry: WatchEntry,
    owner: Account | None,
    model: ModelInUse,
    record: TrackletRecord,
    hits: Sequence[Hit],
    indexed: Sequence[datetime],
) -> Draft | None:
    """The alert that an entry gives about a tracklet, or None.

    Args:
        owner: the account of the owner's name now.
        hits: examples of this entry that the tracklet reaches, the most probable first.
        indexed: when revisions of the tracklet were written, in order; those before the entry was made do not count.
    """
    made_at = entry.created_at.replace(microsecond=entry.created_at.microsecond // 1000 * 1000)  # as exact as `indexed`
    indexed_at = next((moment for moment in indexed if moment >= made_at), None)
    if indexed_at is None or entry.state(indexed_at, owner, model) is not WatchState.WATCHING:
        return None
    assert owner is not None  # noqa: S101  an entry without one is not watching
    watched, usable = entry.watched(owner), entry.usable(owner)
    if watched is not None and record.camera_id not in watched:
        return None
    if any(example.tracklet_id == record.id for example in entry.examples):
        return None
    hit = next((hit for hit in hits if hit.example in usable), None)
    if hit is None:
        return None
    doubted = not indexed_at - BEHIND <= record.ended_at <= indexed_at + AHEAD
    since, until = (indexed_at, indexed_at) if doubted else (record.started_at, record.ended_at)
    if entry.hours is not None and not entry.hours.touch(since, until):
        return None
    return Draft.of(entry, hit, record, indexed_at, clock_doubted=doubted)
