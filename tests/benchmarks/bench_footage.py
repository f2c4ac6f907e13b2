"""What scenes and clips cost: CPU a frame of the pipeline with and without them, and bytes a sighting.

    python -m tests.benchmarks.bench_footage VIDEO [--frames 300] [--every 3] [--json]

Every `--every`-th frame of a video is analysed, as a live camera on a CPU is. Each is detected and embedded once, and
then followed twice: by a camera that keeps whole pictures and by one that does not, in turn who goes first. What is
counted is CPU time of the process, which other processes do not add to.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.analyse import AnalysedFrame, CameraAnalysis, embed_ready, follow_all, look_at
from pipeline.camera import CameraConfig
from pipeline.clips import with_clip
from pipeline.handover import HandedOver
from pipeline.sources import iter_frames
from pipeline.stills import StillRules
from service.engines import load_models
from service.settings import load_settings

Result = TypeVar("Result")
SIDES: dict[str, StillRules | None] = {"without": None, "with": StillRules()}


def cpu_ms(work: Callable[[], Result]) -> tuple[float, Result]:
    begun = time.process_time()
    result = work()
    return 1000 * (time.process_time() - begun), result


def measure(video: Path, frames: int, every: int) -> dict[str, Any]:
    models = load_models(load_settings(), live=True)
    cameras = {
        side: CameraAnalysis(
            CameraConfig("a", "a", str(video)),
            max_cosine_distance=models.embedder.association_distance,
            gate_motion=False,
            stills=rules,
        )
        for side, rules in SIDES.items()
    }
    shared: list[float] = []
    follow: dict[str, list[float]] = {side: [] for side in SIDES}
    closed: list[HandedOver] = []
    for number, frame in zip(count(), islice(iter_frames(str(video)), 0, frames * every, every), strict=False):
        find_ms, (found,) = cpu_ms(lambda frame=frame: models.detector.detect([frame.image]))
        for side in list(SIDES) if number % 2 else reversed(SIDES):
            camera = cameras[side]
            admitted = camera.admit(frame)
            assert admitted is not None
            look_ms, looks = cpu_ms(lambda c=camera, f=admitted, d=found: look_at([(c, f, d)], models.embedder))

            def work(looks: Any = looks) -> list[AnalysedFrame]:
                return follow_all(looks, models.embedder)

            ms, (analysed,) = cpu_ms(work)
            follow[side].append(ms)
            if side == "with":
                shared.append(find_ms + look_ms)
                closed += [one for one in analysed.handed_over if one.closed]
    tracklets = cameras["with"].tracklets
    closed += [one for package in embed_ready([(tracklets, tracklets.close_all())], models.embedder) for one in package]
    clip_ms, made = zip(*(cpu_ms(lambda one=one: with_clip(one)) for one in closed), strict=True)
    crops = [sum(len(crop.jpeg) for crop in one.crops) for one in made]
    scenes = [len(one.media[one.footage.scene.digest]) for one in made if one.footage.scene]
    clips = [len(one.media[one.footage.clip.digest]) for one in made if one.footage.clip]
    lengths = [one.footage.clip.duration_s for one in made if one.footage.clip]
    return {
        "frames": len(shared),
        "sightings": len(made),
        "cpu_ms_a_frame": {
            "detect and embed": float(np.mean(shared)),
            **{f"follow, {side}": float(np.mean(values)) for side, values in follow.items()},
        },
        "cpu_ms_a_clip": float(np.mean(clip_ms)),
        "clip_s": {"mean": float(np.mean(lengths)), "longest": max(lengths)},
        "bytes_a_sighting": {
            "crops": float(np.mean(crops)),
            "scene": float(np.mean(scenes)),
            "clip": float(np.mean(clips)),
            "record": float(np.mean([len(json.dumps(one.footage.to_json())) for one in made])),
        },
        "with_clip": len(clips),
        "detector": str(models.detector.describe()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.video, options.frames, options.every)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{result['frames']} frames, {result['sightings']} sightings, {result['with_clip']} with a clip")
    for what, ms in result["cpu_ms_a_frame"].items():
        print(f"{what:<20}{ms:>9.1f} ms of CPU a frame")
    print(f"{'clip':<20}{result['cpu_ms_a_clip']:>9.1f} ms of CPU a sighting, {result['clip_s']}")
    for what, size in result["bytes_a_sighting"].items():
        print(f"{what:<20}{size / 1000:>9.1f} kB a sighting")


if __name__ == "__main__":
    main()
