"""One worker process: holds cameras, runs the way from stream to tracklet, hands tracklets over."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import structlog

from models.types import Modality
from pipeline.analyse import AnalysedFrame, AppearanceModel, CameraAnalysis, embed_ready
from pipeline.camera import (
    CameraBoard,
    CameraConfig,
    CameraHealth,
    CameraState,
    LiveBox,
    LiveView,
    box_fractions,
)
from pipeline.clips import with_clip
from pipeline.detect import Detector
from pipeline.handover import HandedOver, TrackletSink
from pipeline.scheduler import LiveCamera, LiveScheduler, NewestFrame
from pipeline.sources import SourceReport
from pipeline.stills import StillRules
from pipeline.types import Frame

__all__ = ["LiveSource", "Worker"]

log = structlog.get_logger("tapetum.worker")


class LiveSource(NewestFrame, Protocol):
    """A camera's stream, decoding in its own thread; see `pipeline.sources.CameraSource`."""

    def start(self) -> None: ...

    def close(self) -> None: ...

    def report(self) -> SourceReport: ...


@dataclass(frozen=True, slots=True)
class _Picture:
    frame: Frame
    boxes: tuple[LiveBox, ...]


class Worker:
    """Follows the persons of the cameras it holds until told to stop.

    Analysis never waits for the network: leases, reports and live pictures are the business of a second
    thread, and `sink` writes to this machine's disk.

    Args:
        make_source: opens a camera's stream; injected, so that the policy for camera addresses and tests decide.
        max_cosine_distance: of the appearance model, for association.
        workers, batch: see `LiveScheduler`.
        stills: which whole pictures sightings keep; None for none.
    """

    HEARTBEAT_S = 1.0
    CLOSING_S = 6.0
    CLIPS_WAITING = 32
    """Sightings that have ended and whose clip is not made yet; what ends beyond goes without one."""

    def __init__(
        self,
        worker_id: str,
        board: CameraBoard,
        sink: TrackletSink,
        live: LiveView,
        detector: Detector,
        model: AppearanceModel,
        make_source: Callable[[CameraConfig], LiveSource],
        *,
        max_cosine_distance: float,
        workers: int = 1,
        batch: int = 1,
        stills: StillRules | None = None,
    ):
        self.worker_id = worker_id
        self._board = board
        self._sink = sink
        self._live = live
        self._model = model
        self._make_source = make_source
        self._max_cosine_distance = max_cosine_distance
        self._stills = stills
        self._clip_maker = ThreadPoolExecutor(1, thread_name_prefix="clips")
        self._clips: deque[tuple[str, HandedOver, Future[HandedOver]]] = deque()
        self._scheduler = LiveScheduler(detector, model, workers=workers, batch=batch, on_skipped=self._put_picture)
        self._cameras: dict[str, LiveCamera] = {}
        self._sources: dict[str, LiveSource] = {}
        self._closing: list[threading.Thread] = []
        self._refused: dict[str, tuple[CameraConfig, str]] = {}
        self._leased: tuple[CameraConfig, ...] = ()
        self._watched: frozenset[str] = frozenset()
        self._pictures: dict[str, _Picture] = {}
        self._pictures_changed = threading.Event()
        self._handed_over: Counter[str] = Counter()
        self._not_stored: Counter[str] = Counter()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; then close every tracklet, hand it over and give the cameras back."""
        threads = [
            threading.Thread(target=self._heartbeat, args=(stop,), name="heartbeat", daemon=True),
            threading.Thread(target=self._show, args=(stop,), name="live-view", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            while not stop.is_set():
                self._reconcile()
                self._close_silent()
                for camera, analysed in self._scheduler.step(list(self._cameras.values())):
                    self._take_over(camera, analysed)
                self._store_with_clips(wait=False)
        finally:
            stop.set()
            self._scheduler.close()
            for camera_id in list(self._cameras):
                self._drop(camera_id)
            self._store_with_clips(wait=True)
            self._clip_maker.shutdown()
            deadline_s = time.monotonic() + self.CLOSING_S
            for thread in (*threads, *self._closing):
                thread.join(max(0.1, deadline_s - time.monotonic()))
            try:
                self._board.release()
            except Exception:
                log.exception("cameras could not be given back; their leases will run out")

    # -- cameras ---------------------------------------------------------------------------------

    def _reconcile(self) -> None:
        """Open what is newly leased, reopen what was edited, close what is gone."""
        wanted = {config.id: config.as_analysed() for config in self._leased if config.enabled}
        self._refused = {i: refused for i, refused in self._refused.items() if refused[0] == wanted.get(i)}
        for camera_id, camera in list(self._cameras.items()):
            if wanted.get(camera_id) != camera.analysis.config:
                self._drop(camera_id)
        for camera_id, config in wanted.items():
            if camera_id in self._cameras or self._refused.get(camera_id, (None, ""))[0] == config:
                continue
            try:
                source = self._make_source(config)
                source.start()
            except Exception as error:
                log.exception("camera cannot be opened", camera=camera_id)
                self._refused[camera_id] = config, str(error)
                continue
            analysis = CameraAnalysis(
                config, max_cosine_distance=self._max_cosine_distance, gate_motion=True, stills=self._stills
            )
            self._sources[camera_id] = source
            self._cameras[camera_id] = LiveCamera(source, analysis)
            log.info("camera taken", camera=camera_id, worker=self.worker_id)

    def _drop(self, camera_id: str) -> None:
        camera = self._cameras.pop(camera_id)
        self._end_sightings(camera_id, camera)
        # A dead camera may take seconds to close; the others are not to wait for it.
        closing = threading.Thread(target=self._sources.pop(camera_id).close, name=f"close-{camera_id}", daemon=True)
        closing.start()
        self._closing = [thread for thread in self._closing if thread.is_alive()] + [closing]
        log.info("camera closed", camera=camera_id, worker=self.worker_id)

    def _close_silent(self) -> None:
        """A camera that shows nothing any more ends its sightings; nobody is left half seen."""
        now = time.monotonic()
        for camera_id, camera in self._cameras.items():
            silent_s = now - camera.last_taken_s
            if camera.last_taken_s and silent_s > camera.analysis.tracklets.rules.gap_s and not camera.under_way:
                self._end_sightings(camera_id, camera)

    def _end_sightings(self, camera_id: str, camera: LiveCamera) -> None:
        """Close every open tracklet of a camera and store it."""
        tracklets = camera.analysis.tracklets
        (packages,) = embed_ready([(tracklets, tracklets.close_all())], self._model)
        self._store(camera_id, packages)

    # -- results ---------------------------------------------------------------------------------

    def _take_over(self, camera: LiveCamera, analysed: AnalysedFrame) -> None:
        self._store(camera.analysis.config.id, analysed.handed_over)
        self._put_picture(camera, analysed.frame)

    def _store(self, camera_id: str, tracklets: Sequence[HandedOver]) -> None:
        for tracklet in tracklets:
            self._put(camera_id, replace(tracklet, reel=()))  # safe first; its clip follows
            if not tracklet.reel:
                continue
            if len(self._clips) < self.CLIPS_WAITING:
                # Half a second's work or less, but association and the other cameras are not to wait for it.
                self._clips.append((camera_id, tracklet, self._clip_maker.submit(with_clip, tracklet)))
            else:
                log.warning("too many sightings ended at once, one goes without a clip", tracklet=tracklet.id)

    def _store_with_clips(self, *, wait: bool) -> None:
        """Store the sightings whose clips are made once more; with `wait` all of them."""
        while self._clips and (wait or self._clips[0][2].done()):
            camera_id, tracklet, future = self._clips.popleft()
            try:
                filmed = future.result()
            except Exception:
                log.exception("clip not made", camera=camera_id, tracklet=tracklet.id)
                continue
            if filmed.footage.clip is not None:
                self._put(camera_id, replace(filmed, revision=filmed.revision + 1))

    def _put(self, camera_id: str, tracklet: HandedOver) -> None:
        try:
            self._sink.put(tracklet)
        except Exception:
            log.exception("tracklet not stored", camera=camera_id, tracklet=tracklet.id)
            self._not_stored[camera_id] += 1
            return
        if tracklet.revision == 1:
            self._handed_over[camera_id] += 1

    # -- live pictures ---------------------------------------------------------------------------

    def _put_picture(self, camera: LiveCamera, frame: Frame) -> None:
        camera_id = camera.analysis.config.id
        if camera_id not in self._watched:
            return
        tracks, tracklets = camera.analysis.last_tracks, camera.analysis.tracklets
        boxes = tuple(
            LiveBox(
                box_fractions(box, frame.width_px, frame.height_px),
                track_id,
                float(score),
                tracklets.tracklet_id(track_id),
            )
            for box, track_id, score in zip(tracks.boxes, tracks.track_ids.tolist(), tracks.scores, strict=True)
        )
        self._pictures[camera_id] = _Picture(frame, boxes)
        self._pictures_changed.set()

    def _show(self, stop: threading.Event) -> None:
        """Publish the newest picture of each watched camera."""
        while not stop.is_set():
            if not self._pictures_changed.wait(timeout=0.2):
                continue
            self._pictures_changed.clear()
            for camera_id in list(self._pictures):
                picture = self._pictures.pop(camera_id)
                frame = picture.frame
                try:
                    self._live.publish(
                        camera_id,
                        frame.image,
                        picture.boxes,
                        frame.captured_at,
                        frame.modality or Modality.VISIBLE,
                    )
                except Exception:
                    log.warning("live picture not published", camera=camera_id, exc_info=True)

    # -- heartbeat -------------------------------------------------------------------------------

    def _heartbeat(self, stop: threading.Event) -> None:
        """Renew leases, learn who is watched, report health; nothing here may stop the analysis."""
        while True:
            try:
                self._leased = tuple(self._board.lease())
                self._watched = self._live.wanted()
                self._board.report([*self._health_of_running(), *self._health_of_refused()])
            except Exception:
                log.warning("heartbeat failed, cameras are kept", exc_info=True)
            if stop.wait(self.HEARTBEAT_S):
                return

    def _health_of_refused(self) -> list[CameraHealth]:
        now = datetime.now(UTC)
        return [
            CameraHealth(camera_id, CameraState.FAILED, self.worker_id, now, error=error)
            for camera_id, (_, error) in self._refused.items()
        ]

    def _health_of_running(self) -> list[CameraHealth]:
        return [
            self._health(camera_id, camera, source.report())
            for camera_id, camera in list(self._cameras.items())
            if (source := self._sources.get(camera_id)) is not None
        ]

    def _health(self, camera_id: str, camera: LiveCamera, source: SourceReport) -> CameraHealth:
        skipped = {**source.frames_dropped, **camera.analysis.skipped}
        return CameraHealth(
            camera_id=camera_id,
            state=source.state,
            worker_id=self.worker_id,
            updated_at=datetime.now(UTC),
            error=source.error,
            last_frame_at=source.last_frame_at,
            decoded_fps=source.decoded_fps,
            analysed_fps=camera.analysed_fps(time.monotonic()),
            latency_p95_s=camera.latency_p95_s(),
            width_px=source.width_px,
            height_px=source.height_px,
            codec=source.codec,
            modality=camera.analysis.modality,
            clock_offset_s=source.clock_offset_s,
            frames_decoded=source.frames_decoded,
            frames_analysed=camera.analysed,
            frames_skipped=skipped,
            reconnects=source.reconnects,
            tracklets=self._handed_over[camera_id],
            tracklets_refused={
                **camera.analysis.tracklets.refused,
                **({"not_stored": lost} if (lost := self._not_stored[camera_id]) else {}),
            },
        )
