"""Files: every frame is analysed, detection runs ahead of tracking, the order is kept."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from pipeline.analyse import AnalysedFrame, AppearanceModel, CameraAnalysis, follow_all, look_at
from pipeline.detect import Detector
from pipeline.types import Detections, Frame

__all__ = ["StageTimes", "analyse_frames"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class StageTimes:
    """Busy seconds per stage; stages overlap, so that they add up to more than the wall time."""

    frames: int = 0
    decode_s: float = 0.0
    detect_s: float = 0.0
    follow_s: float = 0.0  # embed, associate, tracklets


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Results in the order of the items, computed by `workers` threads at most one item each ahead."""
    with ThreadPoolExecutor(workers, thread_name_prefix="detect") as pool:
        under_way: deque[Future[Result]] = deque()
        try:
            for item in items:
                under_way.append(pool.submit(function, item))
                if len(under_way) > workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def analyse_frames(
    frames: Iterable[Frame],
    camera: CameraAnalysis,
    detector: Detector,
    model: AppearanceModel,
    *,
    workers: int = 1,
    times: StageTimes | None = None,
) -> Iterator[AnalysedFrame]:
    """Analyse every frame of a file, in order, and keep nothing that a consumer does not keep."""
    times = times if times is not None else StageTimes()

    def timed_frames() -> Iterator[Frame]:
        source = iter(frames)
        while True:
            begun = time.perf_counter()
            frame = next(source, None)
            times.decode_s += time.perf_counter() - begun
            if frame is None:
                return
            admitted = camera.admit(frame)
            if admitted is not None:
                yield admitted

    def find(frame: Frame) -> tuple[Frame, Detections, float]:
        begun = time.perf_counter()
        (found,) = detector.detect([frame.image])
        return frame, found, time.perf_counter() - begun

    for frame, detections, detect_s in map_ahead(find, timed_frames(), workers):
        begun = time.perf_counter()
        (analysed,) = follow_all(look_at([(camera, frame, detections)], model), model)
        times.follow_s += time.perf_counter() - begun
        times.detect_s += detect_s
        times.frames += 1
        yield analysed
