"""Many cameras share one detector: fairness, order, limits, and one camera's failure stays its own."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from models.types import Modality
from pipeline.analyse import CameraAnalysis
from pipeline.camera import CameraConfig, CameraHealth, CameraPosition, CameraState, LiveBox
from pipeline.handover import HandedOver
from pipeline.scheduler import LiveCamera, LiveScheduler
from pipeline.sources import SourceReport
from pipeline.stills import StillRules
from pipeline.types import Detections, Frame, Moment, Still
from pipeline.worker import Worker
from tests.support.tracklets import handed_over

NOISE = np.random.default_rng(5).integers(0, 255, (120, 160, 3), dtype=np.uint8)
PERSON = np.array([[40, 20, 80, 110]], np.float32)


class OnePersonDetector:
    """Finds one person in every picture, after a while."""

    def __init__(self, takes_s: float = 0.0):
        self.takes_s = takes_s
        self.runs: list[int] = []

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        self.runs.append(len(images))
        time.sleep(self.takes_s)
        return [Detections(PERSON.copy(), np.array([0.9], np.float32)) for _ in images]


class ConstantModel:
    model_hash = "test"
    takes_clips = False

    def embed_images(self, crops: Sequence[np.ndarray], modalities: Sequence[Modality]) -> np.ndarray:
        assert len(crops) == len(modalities)
        return np.tile(np.eye(1, 8, dtype=np.float32), (len(crops), 1))

    def embed_clips(self, clips: Sequence[Sequence[np.ndarray]], modalities: Sequence[Modality]) -> np.ndarray:
        return self.embed_images([c[0] for c in clips], modalities)


class EndlessSource:
    """A new frame whenever it is asked; its clock is real time."""

    def __init__(self, camera_id: str, *, dead: bool = False):
        self.camera_id, self.dead = camera_id, dead
        self.taken = 0
        self.closed = self.started = False
        self.begun_s = time.monotonic()

    def start(self) -> None:
        self.started = True

    def close(self) -> None:
        self.closed = True

    def take(self, timeout: float | None = None) -> Frame | None:
        if self.dead or self.closed:
            return None
        self.taken += 1
        return Frame(self.camera_id, self.taken, NOISE, time.monotonic() - self.begun_s, datetime.now(UTC))

    def report(self) -> SourceReport:
        state = CameraState.RECONNECTING if self.dead else CameraState.LIVE
        return SourceReport(state, frames_decoded=self.taken, frames_dropped={"superseded": 2})


def live(camera_id: str, **config: Any) -> LiveCamera:
    dead = config.pop("dead", False)
    configuration = CameraConfig(camera_id, camera_id, "rtsp://test/", modality=Modality.VISIBLE, **config)
    analysis = CameraAnalysis(configuration, max_cosine_distance=0.3, gate_motion=False)
    return LiveCamera(EndlessSource(camera_id, dead=dead), analysis)


def run_for(scheduler: LiveScheduler, cameras: list[LiveCamera], seconds: float) -> dict[str, list[int]]:
    order: dict[str, list[int]] = {c.analysis.config.id: [] for c in cameras}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for camera, analysed in scheduler.step(cameras):
            order[camera.analysis.config.id].append(analysed.frame.sequence)
    scheduler.close()
    return order


@pytest.mark.parametrize("workers", [1, 3])
def test_cameras_get_equal_shares_in_order(workers: int) -> None:
    cameras = [live("a"), live("b"), live("c"), live("silent", dead=True)]
    order = run_for(LiveScheduler(OnePersonDetector(0.01), ConstantModel(), workers=workers), cameras, 1.0)
    counts = [len(order[c]) for c in "abc"]
    assert min(counts) > 5
    assert min(counts) >= 0.8 * max(counts)
    assert order["silent"] == []
    for sequence in order.values():
        assert sequence == sorted(set(sequence))


class DislikesBrightFrames(OnePersonDetector):
    """Fails for every batch that holds a white picture."""

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        if any(image.min() == 255 for image in images):
            raise RuntimeError("too bright")
        return super().detect(images)


class WhiteSource(EndlessSource):
    def take(self, timeout: float | None = None) -> Frame | None:
        frame = super().take(timeout)
        return None if frame is None else replace(frame, image=np.full_like(NOISE, 255))


def test_a_frame_that_spoils_its_batch_costs_only_its_own_camera() -> None:
    cameras = [live("a"), live("white"), live("b")]
    cameras[1].source = WhiteSource("white")
    scheduler = LiveScheduler(DislikesBrightFrames(), ConstantModel(), batch=3)
    seen = [camera.analysis.config.id for _ in range(8) for camera, _ in scheduler.step(cameras, idle_s=10.0)]
    scheduler.close()
    assert seen == ["a", "b"] * 8
    assert [camera.analysis.skipped["analysis_failed"] for camera in cameras] == [0, 8, 0]


def test_camera_limit_is_kept_and_the_rest_use_what_is_free() -> None:
    cameras = [live("slow", max_fps=5.0), live("free")]
    order = run_for(LiveScheduler(OnePersonDetector(0.005), ConstantModel()), cameras, 1.2)
    assert 4 <= len(order["slow"]) <= 7
    assert len(order["free"]) > 3 * len(order["slow"])


def test_batches_hold_frames_of_different_cameras() -> None:
    detector = OnePersonDetector(0.02)
    cameras = [live("a"), live("b"), live("c")]
    run_for(LiveScheduler(detector, ConstantModel(), batch=8), cameras, 0.5)
    assert max(detector.runs) == 3


def test_persons_outside_the_region_or_too_small_are_ignored() -> None:
    frame = Frame("x", 0, NOISE, 0.0, datetime.now(UTC), Modality.VISIBLE)
    found = Detections(
        np.array([[0, 0, 20, 60], [100, 0, 140, 110], [50, 50, 54, 58]], np.float32), np.ones(3, np.float32)
    )
    left = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    assert len(live("all").analysis.relevant(found, frame)) == 2
    assert live("in", include=(left,)).analysis.relevant(found, frame).boxes.tolist() == [[0, 0, 20, 60]]
    assert live("out", exclude=(left,)).analysis.relevant(found, frame).boxes.tolist() == [[100, 0, 140, 110]]


class Board:
    def __init__(self, *cameras: str):
        self.configs = [CameraConfig(c, c, "rtsp://test/", modality=Modality.VISIBLE) for c in cameras]
        self.reports: list[CameraHealth] = []
        self.released = False
        self.fail = False

    def lease(self) -> list[CameraConfig]:
        if self.fail:
            raise ConnectionError("redis is away")
        return self.configs

    def report(self, health: Sequence[CameraHealth]) -> None:
        self.reports += health

    def release(self) -> None:
        self.released = True


class Sink:
    def __init__(self) -> None:
        self.taken: list[HandedOver] = []

    def put(self, tracklet: HandedOver) -> None:
        self.taken.append(tracklet)


class Screen:
    def __init__(self) -> None:
        self.boxes: list[LiveBox] = []

    def wanted(self) -> frozenset[str]:
        return frozenset({"a"})

    def publish(self, camera_id: str, image: Any, boxes: Sequence[LiveBox], captured_at: Any, modality: Any) -> None:
        assert camera_id == "a"
        self.boxes += boxes


def wait_until(condition: Any, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def test_a_clip_that_cannot_be_made_or_must_wait_too_long_costs_no_sighting(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(tracklet: HandedOver) -> HandedOver:
        raise ValueError("no encoder")

    monkeypatch.setattr("pipeline.worker.with_clip", refuse)
    board, sink = Board("a"), Sink()
    worker = Worker(
        "w1",
        board,
        sink,
        Screen(),
        OnePersonDetector(),
        ConstantModel(),
        lambda c: EndlessSource(c.id),
        max_cosine_distance=0.3,
    )
    worker.CLIPS_WAITING = 2
    still = Still(b"", 0.0, datetime.now(UTC))
    ended = [replace(handed_over(i, closed=True), reel=(Moment(still, (0, 0, 1, 1), 0.5),)) for i in range(4)]
    worker._store("a", ended)
    assert [t.id for t in sink.taken] == [t.id for t in ended], "a sighting is safe before its clip is made"
    worker._store_with_clips(wait=True)
    assert len(sink.taken) == len(ended)
    assert all(t.closed and t.footage.clip is None for t in sink.taken)


def test_worker_follows_stores_shows_and_gives_back() -> None:
    board, sink, screen = Board("a", "b"), Sink(), Screen()
    sources: dict[str, EndlessSource] = {}

    def make_source(config: CameraConfig) -> EndlessSource:
        if config.id == "broken":
            raise RuntimeError("this camera cannot even be made")
        sources[config.id] = EndlessSource(config.id)
        return sources[config.id]

    worker = Worker(
        "w1",
        board,
        sink,
        screen,
        OnePersonDetector(0.01),
        ConstantModel(),
        make_source,
        max_cosine_distance=0.3,
        stills=StillRules(every_s=0.05),
    )
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: {t.camera_id for t in sink.taken} == {"a", "b"})
        wait_until(lambda: any(b.tracklet_id for b in screen.boxes))
        board.configs = [*board.configs, CameraConfig("broken", "x", "rtsp://test/")]
        board.fail = False
        wait_until(lambda: any(h.camera_id == "broken" and h.state is CameraState.FAILED for h in board.reports))
        before = sources["a"].taken
        board.fail = True  # Redis away: the cameras are kept
        wait_until(lambda: sources["a"].taken > before + 20)
        board.fail = False
        kept, place = sources["a"], CameraPosition(x_m=1, y_m=2, plan="Yard")
        board.configs = [replace(c, name="Moved", position=place) for c in board.configs if c.id == "a"]
        wait_until(lambda: sources["b"].closed)
        assert sources["a"] is kept, "a camera that is moved on its plan keeps its stream"
        assert not kept.closed
        board.configs = [replace(c, min_height_px=10) for c in board.configs]
        wait_until(lambda: kept.closed and sources["a"] is not kept)
        wait_until(lambda: sources["a"].taken > 20)
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    assert board.released
    assert all(s.closed for s in sources.values())
    closed = {t.camera_id for t in sink.taken if t.closed}
    assert closed == {"a", "b"}, "a stopped worker leaves no open sighting"
    for one in {t.id for t in sink.taken}:
        *before_last, last = [t for t in sink.taken if t.id == one]
        assert [t.revision for t in (*before_last, last)] == list(range(1, last.revision + 1))
        assert all(t.footage.scene is not None and t.footage.clip is None for t in before_last)
        assert last.footage.clip is not None, "a worker stops when the clips are made"
        assert last.closed
        assert before_last[-1].closed, "the clip follows what has ended"
    health = next(h for h in reversed(board.reports) if h.camera_id == "a")
    assert health.state is CameraState.LIVE
    assert health.frames_analysed > 0
    assert health.frames_skipped["superseded"] == 2
    assert health.latency_p95_s is not None
