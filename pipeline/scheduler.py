"""Many live cameras on one machine: which frame is analysed next, what is skipped, and how it is counted.

Each camera keeps only its newest frame. A camera is due when its `max_fps` allows; of those due, the ones
that have waited longest go first, so that every camera gets its share and the rate adapts to the machine.
Detection and embedding run in `workers` threads, association in the caller's; a camera has one frame under way at a
time, so that its order is kept and no two threads have to do with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from pipeline.analyse import AnalysedFrame, AppearanceModel, CameraAnalysis, Look, follow_all, look_at
from pipeline.detect import Detector
from pipeline.types import Frame

log = structlog.get_logger("tapetum.scheduler")

__all__ = ["LiveCamera", "LiveScheduler", "NewestFrame"]


class NewestFrame(Protocol):
    """Where a live camera's newest frame is taken from; see `pipeline.sources.CameraSource`."""

    def take(self, timeout: float | None = None) -> Frame | None: ...


@dataclass(eq=False, slots=True)
class LiveCamera:
    """A camera in the schedule."""

    source: NewestFrame
    analysis: CameraAnalysis
    last_taken_s: float = 0.0  # time.monotonic
    under_way: bool = False
    analysed: int = 0
    recent_done_s: list[float] = field(default_factory=list)
    recent_latency_s: list[float] = field(default_factory=list)

    RECENT = 100

    def due(self, now_s: float) -> bool:
        limit = self.analysis.config.max_fps
        return not self.under_way and (limit is None or now_s - self.last_taken_s >= 0.999 / limit)

    def note_done(self, frame: Frame, now_s: float, wall_s: float) -> None:
        self.under_way = False
        self.analysed += 1
        self.recent_done_s.append(now_s)
        self.recent_latency_s.append(max(0.0, wall_s - frame.captured_at.timestamp()))
        del self.recent_done_s[: -self.RECENT], self.recent_latency_s[: -self.RECENT]

    def analysed_fps(self, now_s: float, window_s: float = 10.0) -> float:
        return sum(1 for done in self.recent_done_s if now_s - done <= window_s) / window_s

    def latency_p95_s(self) -> float | None:
        """From capture to tracked box, over the last frames."""
        if not self.recent_latency_s:
            return None
        ordered = sorted(self.recent_latency_s)
        return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


Batch = list[tuple[LiveCamera, Frame]]


class LiveScheduler:
    """Runs detection for many cameras and follows persons in each.

    Args:
        workers: frames (or batches of them) under way at once.
        batch: frames a run; 1 on CPUs, where batching gains nothing and costs latency.
        on_skipped: called with a frame in which nothing moved (it still makes a live picture).
    """

    FAILURES_THAT_END = 20

    def __init__(
        self,
        detector: Detector,
        model: AppearanceModel,
        *,
        workers: int = 1,
        batch: int = 1,
        on_skipped: Callable[[LiveCamera, Frame], None] | None = None,
    ):
        self._detector = detector
        self._model = model
        self._workers = workers
        self._batch = batch
        self._on_skipped = on_skipped
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="detect")
        self._under_way: dict[Future[list[Look | None]], Batch] = {}
        self._failures_in_a_row = 0

    def step(self, cameras: Sequence[LiveCamera], idle_s: float = 0.02) -> Iterator[tuple[LiveCamera, AnalysedFrame]]:
        """Hand out what is due, then return what is finished, waiting at most `idle_s`."""
        while len(self._under_way) < self._workers:
            batch = self._collect(cameras)
            if not batch:
                break
            self._under_way[self._pool.submit(self._look, batch)] = batch
        if not self._under_way:
            time.sleep(idle_s)
            return
        done, _ = wait(self._under_way, timeout=idle_s, return_when=FIRST_COMPLETED)
        for future in done:
            yield from self._finish(self._under_way.pop(future), future)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._under_way.clear()

    def _collect(self, cameras: Sequence[LiveCamera]) -> Batch:
        now = time.monotonic()
        batch: Batch = []
        for camera in sorted(cameras, key=lambda c: c.last_taken_s):
            if len(batch) == self._batch:
                break
            if not camera.due(now):
                continue
            try:
                admitted = self._take(camera, now)
            except Exception:
                log.exception("picture cannot be used", camera=camera.analysis.config.id)
                camera.analysis.skipped["unusable_picture"] += 1
                continue
            if admitted is not None:
                camera.under_way = True
                batch.append((camera, admitted))
        return batch

    def _take(self, camera: LiveCamera, now_s: float) -> Frame | None:
        """A camera's newest frame, if there is one and something in it moved."""
        frame = camera.source.take(0.0)
        if frame is None:
            return None
        camera.last_taken_s = now_s
        admitted = camera.analysis.admit(frame)
        if admitted is None and self._on_skipped is not None:
            self._on_skipped(camera, frame)
        return admitted

    def _look(self, batch: Batch) -> list[Look | None]:
        """Find the persons and embed them; runs in the pool. None where a frame spoiled it; its neighbours stay."""
        if len(batch) == 1:
            return [*self._look_together(batch)]
        try:
            return [*self._look_together(batch)]
        except Exception as error:
            log.warning("frames could not be analysed together; now one by one", error=repr(error))
            return [self._look_alone(part) for part in batch]

    def _look_alone(self, part: tuple[LiveCamera, Frame]) -> Look | None:
        try:
            return self._look_together([part])[0]
        except Exception:
            log.exception("analysis failed", camera=part[0].analysis.config.id)
            return None

    def _look_together(self, batch: Batch) -> list[Look]:
        found = self._detector.detect([frame.image for _, frame in batch])
        parts = zip(batch, found, strict=True)
        return look_at([(camera.analysis, frame, detections) for (camera, frame), detections in parts], self._model)

    def _finish(self, batch: Batch, future: Future[list[Look | None]]) -> Iterator[tuple[LiveCamera, AnalysedFrame]]:
        for camera, _ in batch:
            camera.under_way = False
        try:
            looks = future.result()
            analysed = follow_all([look for look in looks if look is not None], self._model)
        except Exception:
            log.exception("analysis failed", cameras=[camera.analysis.config.id for camera, _ in batch])
            self._note_failure(batch, all_failed=True)
            return
        good = [part for part, look in zip(batch, looks, strict=True) if look is not None]
        bad = [part for part, look in zip(batch, looks, strict=True) if look is None]
        if bad:
            self._note_failure(bad, all_failed=not good)
        if good:
            self._failures_in_a_row = 0
        now, wall = time.monotonic(), time.time()
        for (camera, frame), result in zip(good, analysed, strict=True):
            camera.note_done(frame, now, wall)
            yield camera, result

    def _note_failure(self, batch: Batch, *, all_failed: bool) -> None:
        """One bad frame costs that frame; an engine that fails every time ends the worker, to start afresh."""
        self._failures_in_a_row += all_failed
        for camera, _ in batch:
            camera.analysis.skipped["analysis_failed"] += 1
        if self._failures_in_a_row >= self.FAILURES_THAT_END:
            raise RuntimeError(f"analysis failed {self._failures_in_a_row} times in a row; the last error is above")
