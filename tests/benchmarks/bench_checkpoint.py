"""A checkpoint against released networks, on people that neither saw: a rendered world's test part, and real video.

    python -m tests.benchmarks.bench_checkpoint WORLD --checkpoint FILE [--ir XML ...] [--osnet PTH]
        [--video AVI --detections MOT] [--json FILE]

Every network runs as it is used: checkpoints by the product's own embedder, an OpenVINO IR (``--ir``, pictures 0 to
255 in BGR, one vector a frame) by OpenVINO, OSNet x0.25 (``--osnet``, weights as torchreid releases them) by boxmot's
architecture. A tracklet's vector is the mean of its frames' where a network knows pictures only. Released networks
are also shown with the mean of each light taken off, which is free and helps them across the lights.

Real people are those of OpenCV's `vtest.avi`, see `tests.support.street`: the tracks of ``--detections``
(MOTChallenge text, as ``tapetum track`` writes it) are cut into halves. First halves ask for second halves, and every
half for the same person's other tracks. ``grey`` asks with the picture's luminance as an infrared one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.checkpoint import load_checkpoint
from models.data import open_dataset
from models.data.pictures import read_picture
from models.evaluation import evaluate
from models.evaluation.calibration import check_calibration
from models.preprocessing import Image
from models.types import Modality
from pipeline.embed import load_embedder, sample_evenly
from service.settings import Settings
from tests.support.street import Halves, in_grey, street_halves

Vectors = npt.NDArray[np.float32]
Embed = Callable[[Sequence[Sequence[Image]], Modality], Vectors]
FRAMES = 6
STEP = 48  # tracklets at a time


@dataclass(frozen=True)
class Contender:
    """A network under its name; `centred` takes the mean of each light off its vectors."""

    name: str
    embed: Embed
    centred: bool = False


@dataclass(frozen=True)
class Tracklets:
    """Clips of known people: equally long columns."""

    clips: list[list[Image]]
    identities: npt.NDArray[np.int64]
    cameras: npt.NDArray[np.int64]
    lights: list[Modality]

    def rows(self, light: Modality) -> npt.NDArray[np.int64]:
        return np.array([row for row, own in enumerate(self.lights) if own is light], np.int64)


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def of_checkpoint(path: Path, cache_dir: Path) -> Embed:
    embedder = load_embedder(path, cache_dir=cache_dir)
    return lambda clips, light: embedder.embed_clips(clips, [light] * len(clips))


def frame_by_frame(embed: Callable[[list[Image]], Vectors]) -> Embed:
    """Clips for a network of single pictures."""

    def run(clips: Sequence[Sequence[Image]], _light: Modality) -> Vectors:
        chosen = [[clip[i] for i in sample_evenly(len(clip), min(FRAMES, len(clip)))] for clip in clips]
        vectors = unit(embed([crop for clip in chosen for crop in clip]))
        ends = np.cumsum([len(clip) for clip in chosen])[:-1]
        return unit(np.stack([part.mean(axis=0) for part in np.split(vectors, ends)]))

    return run


def of_ir(xml: Path) -> Embed:
    import openvino

    model = openvino.Core().compile_model(str(xml), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    height, width = (int(side) for side in model.input(0).shape[2:])

    def embed(crops: list[Image]) -> Vectors:
        rows = [cv2.resize(crop, (width, height)).transpose(2, 0, 1)[None].astype(np.float32) for crop in crops]
        return np.concatenate([model(row)[0].reshape(1, -1) for row in rows])

    return frame_by_frame(embed)


def of_osnet(weights: Path) -> Embed:
    import torch
    from boxmot.reid.backbones.families.osnet import osnet_x0_25

    from models.preprocessing import Preprocessing
    from models.training.pretrained import read_state

    network = osnet_x0_25(num_classes=1, pretrained=False)
    own = network.state_dict()
    kept = {name: value for name, value in read_state(weights).items() if not name.startswith("classifier.")}
    network.load_state_dict({**{k: v for k, v in own.items() if k.startswith("classifier.")}, **kept})
    network.eval()
    preprocessing = Preprocessing()

    def embed(crops: list[Image]) -> Vectors:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(preprocessing.batch(crops))).numpy())

    return frame_by_frame(embed)


def vectors_of(contender: Contender, tracklets: Tracklets) -> Vectors:
    """One vector a tracklet, in their order."""
    found: Vectors | None = None
    for light in dict.fromkeys(tracklets.lights):
        rows = tracklets.rows(light)
        parts = [
            contender.embed([tracklets.clips[row] for row in rows[i : i + STEP]], light)
            for i in range(0, len(rows), STEP)
        ]
        vectors = np.concatenate(parts)
        if contender.centred:
            vectors = unit(vectors - vectors.mean(axis=0))
        if found is None:
            found = np.empty((len(tracklets.clips), vectors.shape[1]), np.float32)
        found[rows] = vectors
    assert found is not None
    return found


def judge(vectors: Vectors, tracklets: Tracklets) -> dict[str, dict[str, float]]:
    """Rank-1, mAP and mINP of each pair of lights; within a light only other cameras count."""
    found = {}
    for asks, answers in product(Modality, repeat=2):
        query, gallery = tracklets.rows(asks), tracklets.rows(answers)
        if not (len(query) and len(gallery)):
            continue
        result = evaluate(
            "hitsz-vcm",
            vectors[query],
            vectors[gallery],
            tracklets.identities[query],
            tracklets.identities[gallery],
            tracklets.cameras[query],
            tracklets.cameras[gallery],
        )
        found[f"{asks}-{answers}"] = {"rank1": result.rank[1], "map": result.map, "minp": result.minp}
    return found


def rendered(world: Path, most_people: int | None, frames: int) -> Tracklets:
    """The test part of a rendered world."""
    test = open_dataset("synthetic", world).test
    people = sorted({sample.identity for sample in test})[:most_people]
    samples = [sample for sample in test if sample.identity in set(people)]
    return Tracklets(
        [[read_picture(s.pictures[i]) for i in sample_evenly(len(s.pictures), frames)] for s in samples],
        np.array([sample.identity for sample in samples], np.int64),
        np.array([sample.camera for sample in samples], np.int64),
        [sample.modality for sample in samples],
    )


def street(halves: Halves) -> Tracklets:
    """Each half in colour and once more in grey, as an infrared camera's."""
    clips = halves.clips + in_grey(halves.clips)
    lights = [light for light in Modality for _ in halves.clips]
    return Tracklets(clips, np.tile(halves.people, 2), np.tile(halves.tracks, 2), lights)


def judge_street(vectors: Vectors, halves: Halves) -> dict[str, dict[str, float]]:
    """First halves among second halves, and every half among those of other tracks, in colour and where grey asks."""
    colour, grey = np.split(vectors, 2)
    first, second, people = halves.first(), halves.second(), halves.people
    found = {}
    for asks, asking in (("", colour), (", grey asks", grey)):
        cameras = np.zeros_like(first), np.ones_like(second)
        once = evaluate("hitsz-vcm", asking[first], colour[second], people[first], people[second], *cameras)
        again = evaluate("hitsz-vcm", asking, colour, people, people, halves.tracks, halves.tracks)
        for name, result in (("halves", once), ("other tracks", again)):
            found[f"{name}{asks}"] = {"rank1": result.rank[1], "map": result.map}
    return found


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown; rank-1/mAP in per cent."""
    columns = list(dict.fromkeys(name for found in results.values() for name in found))
    lines = [f"| network | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, found in results.items():
        cells = [f"{100 * found[c]['rank1']:.1f}/{100 * found[c]['map']:.1f}" if c in found else "" for c in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", type=Path)
    parser.add_argument("--checkpoint", type=Path, action="append", default=[])
    parser.add_argument("--ir", type=Path, action="append", default=[], help="released networks as OpenVINO IR")
    parser.add_argument("--osnet", type=Path, help="torchreid's osnet_x0_25 weights")
    parser.add_argument("--people", type=int, help="of the test part, the first so many")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of a tracklet; 1 asks with single pictures")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--detections", type=Path)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    cache_dir = Settings().cache_dir
    paths = chosen.checkpoint
    contenders = [Contender(str(path), of_checkpoint(path, cache_dir)) for path in paths]
    released = [(xml.stem, of_ir(xml)) for xml in chosen.ir]
    if chosen.osnet is not None:
        released.append(("OSNet x0.25", of_osnet(chosen.osnet)))
    contenders += [
        Contender(f"{name}{', centred' if centred else ''}", embed, centred)
        for name, embed in released
        for centred in (False, True)
    ]
    world, real = rendered(chosen.world, chosen.people, chosen.frames), None
    if chosen.video is not None and chosen.detections is not None:
        halves = street_halves(chosen.video, chosen.detections, frames=chosen.frames)
        real = halves, street(halves)
    results: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    errors: dict[str, dict[str, float]] = {}
    for contender in contenders:
        vectors = vectors_of(contender, world)
        results[contender.name].update(judge(vectors, world))
        if real is not None:
            halves, tracklets = real
            results[contender.name].update(judge_street(vectors_of(contender, tracklets), halves))
        path = Path(contender.name)
        if path in paths:
            checks = check_calibration(
                load_checkpoint(path).calibration,
                vectors,
                world.identities,
                world.cameras,
                world.lights,
                generator=np.random.default_rng(0),
            )
            errors[contender.name] = {pair: check.error for pair, check in checks.items()}
        print(f"{contender.name}: {dict(results[contender.name])}", file=sys.stderr, flush=True)
    print(table(results))
    for name, found in errors.items():
        print(f"\nexpected calibration error, {name}: " + ", ".join(f"{p} {e:.3f}" for p, e in found.items()))
    if chosen.json is not None:
        counts: dict[str, Any] = {"rendered": len(set(world.identities.tolist()))}
        if real is not None:
            halves, _ = real
            counts |= {"real": len(set(halves.people.tolist())), "real tracks": len(set(halves.tracks.tolist()))}
        chosen.json.write_text(json.dumps({"results": results, "calibration": errors, "people": counts}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
