"""Does the work of a re-embedding, in any process that has the model: one at a time, in small steps.

A step reads the pictures of some sightings, embeds them and writes each vector beside the old one, only where the
record is still what was read. So whatever dies, what is written stays, nothing is written twice, and an erased sighting
does not come back. When a walk through the gallery finds next to nothing left, the gallery goes over to the model in
one step; entries of the watchlist get new vectors before. What came meanwhile follows, and the old vectors go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol

import cv2
import numpy as np
import redis
import structlog

from models.runtime.engine import EngineError
from models.types import Modality
from pipeline.sealing import Sealer
from pipeline.types import FloatArray, Image
from service.alerts.entries import WatchEntry
from service.alerts.entry_store import WatchlistStore
from service.gallery import Gallery, MediaStore, TrackletRecord
from service.gallery.media import PictureSealError
from service.gallery.model_in_use import GalleryModel, GalleryModels
from service.gallery.second_vectors import SecondVectors
from service.lease import Lease
from service.reembedding.job import LEASE, LEASE_S, Failure, Job, Jobs, JobState

__all__ = ["ClipEmbedder", "Runner"]

log = structlog.get_logger("tapetum.reembedding")

Progress = Callable[[str, float | None], None]
_LOOKED_AT = 500
_BATCH = 16
_NEXT_TO_NOTHING = 64
_MOST_LOST = 0.1
_PAUSE_S = 5.0
SETTLE_S = 30.0
"""Processes look once a second whose vectors are searched, and read them; until then they need the old ones."""


class ClipEmbedder(Protocol):
    """Turns the pictures of sightings, in the order of time, into vectors ``float32[N, D]``."""

    model_hash: str

    def embed_clips(self, clips: Sequence[Sequence[Image]], modalities: Sequence[Modality]) -> FloatArray: ...


class Runner:
    """The work in this process. `run` and `late` raise GalleryUnavailable or MediaError; then call them again.

    Args:
        on_event: told of ``reembed.switch`` and ``reembed.done`` with what there is to say.
        settle_s: to wait between going over and letting the old vectors go.
    """

    def __init__(
        self,
        client: redis.Redis,
        media: MediaStore,
        sealer: Sealer,
        *,
        on_event: Callable[..., object] = lambda *_, **__: None,
        progress: Progress = lambda *_: None,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._redis, self._media, self._sealer = client, media, sealer
        self._on_event, self._progress, self._settle_s = on_event, progress, settle_s
        self._lease = Lease(client, LEASE, LEASE_S)
        self._jobs, self._models = Jobs(client), GalleryModels(client)

    def run(self, embedder: ClipEmbedder, stop: threading.Event) -> bool:
        """Work on the job as long as it runs and is of this model. Returns whether it did; not while others do."""
        job = self._jobs.read()
        if job is None or job.state is not JobState.RUNNING or job.target.hash != embedder.model_hash:
            return False
        if not self._lease.take():
            return False
        try:
            self._work(job, embedder, stop)
        finally:
            self._lease.give_back()
        return True

    def late(self, embedder: ClipEmbedder, stop: threading.Event, ids: Sequence[str] | None = None) -> int | None:
        """Embed what workers with another model have delivered since the gallery went over.

        Args:
            ids: to look at; None for the whole gallery.

        Returns:
            How many; None when it was to stop, and while others work.
        """
        if not self._lease.take():
            return None
        try:
            walk = _Walk(self, embedder, stop, self._lease.take)
            done = walk.embed(ids)
            return done if walk.settle(ids) else None
        finally:
            self._lease.give_back()

    def _work(self, job: Job, embedder: ClipEmbedder, stop: threading.Event) -> None:
        self._jobs.note(error="")
        walk = _Walk(self, embedder, stop, self._still_running)
        while True:
            done = walk.embed()
            if done is None:
                return
            if done <= _NEXT_TO_NOTHING:
                break
        if not self._go_over(job):
            return
        if stop.wait(self._settle_s) or walk.embed() is None or not walk.settle():
            return
        self._watchlist(job.target)  # also entries that a process made while it had not gone over yet
        if self._jobs.turn(JobState.DONE, JobState.RUNNING):
            failed, job_now = self._jobs.failed_count(), self._jobs.read()
            embedded, left = (job_now.embedded, job_now.watch_entries) if job_now else (0, 0)
            log.info("re-embedded", model=job.target.hash, embedded=embedded, failed=failed, watch_entries=left)
            told = {"embedded": embedded, "failed": failed, "watch_entries": left}
            self._on_event("reembed.done", model=job.target.hash, **told)

    def _still_running(self) -> bool:
        job = self._jobs.read()
        return job is not None and job.state is JobState.RUNNING and self._lease.take()

    def _go_over(self, job: Job) -> bool:
        """Have the gallery searched by the new model from now on, unless too much would be lost by it."""
        now = self._models.read()
        if now is not None and now.hash == job.target.hash:
            self._watchlist(job.target)
            return True
        job = self._jobs.read() or job
        failed = self._jobs.failed_count()
        if failed > _MOST_LOST * job.total and not job.accept_losses:
            reason = (
                f"{failed} of {job.total} sightings could not be embedded and would not be found any more. "
                "Is the media store right? Resume with accept_losses to go over to the model nevertheless."
            )
            self._jobs.turn(JobState.PAUSED, JobState.RUNNING, error=reason)
            return False
        self._on_event("reembed.switch", model=job.target.hash, before=now.hash if now else None, failed=failed)
        # Before: who matches by the new model goes through the changes from the first one on, and misses nothing.
        self._watchlist(job.target)
        self._models.switch(job.target)
        return True

    def _watchlist(self, target: GalleryModel) -> None:
        """New vectors for entries of sightings; counts those of other models that are left."""
        store, gallery = WatchlistStore(self._redis, self._sealer), Gallery(self._redis, self._sealer, target.hash)
        left = 0
        for entry in store.walk():
            if entry.model_hash == target.hash:
                continue
            records = gallery.get_many([e.tracklet_id for e in entry.examples if e.tracklet_id is not None])
            made = {one: record.vector for one, record in records.items() if record.model_hash == target.hash}
            changed = store.change(entry.id, lambda old, made=made: _anew(old, made, target.hash))  # type: ignore[misc]
            left += changed is not None and changed.model_hash != target.hash
        self._jobs.note(watch_entries=left)


def _anew(entry: WatchEntry, made: Mapping[str, FloatArray], model_hash: str) -> WatchEntry:
    """The entry with vectors of another model; as it is when one of them is not there."""
    vectors = [made[e.tracklet_id] for e in entry.examples if e.tracklet_id is not None and e.tracklet_id in made]
    if len(vectors) < len(entry.examples):
        return entry
    return replace(entry, model_hash=model_hash, vectors=np.stack(vectors).astype(np.float16))


class _Walk:
    """Walks through the gallery with one model."""

    def __init__(self, runner: Runner, embedder: ClipEmbedder, stop: threading.Event, goes_on: Callable[[], bool]):
        self._embedder, self._stop, self._goes_on = embedder, stop, goes_on
        self._vectors = SecondVectors(runner._redis, runner._sealer, embedder.model_hash)
        self._gallery = Gallery(runner._redis, runner._sealer)
        self._media, self._jobs, self._progress, self._runner = runner._media, runner._jobs, runner._progress, runner

    def embed(self, only: Sequence[str] | None = None) -> int | None:
        """Embed what has no vector of the model. Returns how many it were; None when it was to stop."""
        total, seen, done = self._gallery.count(), 0, 0
        if only is None:
            self._jobs.note(total=total, seen=0)
        for ids in self._vectors.ids() if only is None else [only]:
            left = iter(ids)
            while some := list(islice(left, _LOOKED_AT)):
                missing = self._vectors.missing(some)
                failed = self._jobs.failed(list(missing))
                wanted = [one for one, at in missing.items() if one not in failed or failed[one].revision != at]
                for start in range(0, len(wanted), _BATCH):
                    if self._stop.is_set() or not self._goes_on():
                        return None
                    done += self._some(wanted[start : start + _BATCH], missing)
                    self._progress("embedding", min(1.0, (seen + start) / max(1, total)))
                seen += len(some)
                if only is None:
                    self._jobs.note(seen=min(seen, total))
                if self._stop.is_set() or not self._goes_on():
                    return None
        return done

    def settle(self, only: Sequence[str] | None = None) -> bool:
        """Let the other model's vectors go. Returns False when it was to stop."""
        for ids in self._vectors.ids() if only is None else [only]:
            left = iter(ids)
            while some := list(islice(left, _LOOKED_AT)):
                if self._stop.is_set() or not self._goes_on():
                    return False
                self._vectors.settle(some)
        return True

    def _some(self, ids: Sequence[str], revisions: Mapping[str, int]) -> int:
        """Embed and write a few. Returns how many were written."""
        records = self._gallery.get_many(ids)
        clips: dict[str, list[Image]] = {}
        for one in ids:
            record = records.get(one)
            if record is None:
                self._jobs.fail(one, Failure(revisions[one], "its record cannot be understood"))
                continue
            pictures, reason = self._pictures(record)
            if pictures:
                clips[one] = pictures
            else:
                self._jobs.fail(one, Failure(record.revision, reason))
        vectors = self._embedded(records, clips)
        written = [one for one, vector in vectors.items() if self._vectors.write(one, records[one].revision, vector)]
        self._jobs.succeed(written)
        self._jobs.count(len(written))
        return len(written)

    def _embedded(
        self, records: Mapping[str, TrackletRecord], clips: Mapping[str, Sequence[Image]]
    ) -> dict[str, FloatArray]:
        """All at once; one by one when that fails, so that one that cannot be embedded does not hold up the others."""
        if not clips:
            return {}
        lights = [records[one].modality for one in clips]
        try:
            return dict(zip(clips, self._embedder.embed_clips(list(clips.values()), lights), strict=True))
        except (EngineError, ValueError) as error:
            if len(clips) == 1:
                (one,) = clips
                self._jobs.fail(one, Failure(records[one].revision, f"it cannot be embedded: {error}"[:300]))
                return {}
            found: dict[str, FloatArray] = {}
            for one, clip in clips.items():
                found |= self._embedded(records, {one: clip})
            return found

    def _pictures(self, record: TrackletRecord) -> tuple[list[Image], str]:
        """What can be read of a sighting's pictures; the reason where it is nothing. Raises MediaError."""
        found: list[Image] = []
        reason = "its pictures are gone"
        for crop in record.crops:
            try:
                data = np.frombuffer(self._media.read(crop.key), np.uint8)
                image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
            except (KeyError, ValueError):
                continue
            except PictureSealError as error:
                reason = str(error)[:300]
                continue
            if image is None:
                reason = "its pictures cannot be decoded"
            else:
                found.append(np.asarray(image, np.uint8))
        return found, reason
