"""The pipeline judged end to end on films whose people are known: found, followed, told apart, found again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.samples import DataError, Sample
from models.evaluation import evaluate
from models.evaluation.calibration import check_calibration
from models.evaluation.sheets import RankedQuery, draw_sheet
from models.evaluation.tracking import BoxRows, TrackingFigures, judge_tracks, match_boxes
from models.synthetic.clip_files import CameraClip, Truth, read_truth
from models.types import Modality
from pipeline.analyse import CameraAnalysis, embed_ready
from pipeline.camera import CameraConfig
from pipeline.handover import HandedOver
from pipeline.offline import analyse_frames
from pipeline.sources import iter_frames
from service.engines import Models

__all__ = ["Followed", "WorldFigures", "follow", "judge_world", "write_failures"]

Progress = Callable[[str, float | None], None]

_LEAST_VISIBLE, _LEAST_PX = 0.3, 60
"""People less or smaller in view are not asked for: who misses them has missed nothing."""
_NEW_VISIT_S = 2.0
_SHOWN = 8
_SEED = 0


@dataclass(frozen=True)
class Followed:
    """What the pipeline made of one camera's film.

    Attributes:
        tracks: every box of every frame, by track id.
        tracklets: the last revision of each, by when it began.
        searchable_s: when each was first handed over, seconds of the film.
        owners: whom each shows, by the truth; None for one that shows nobody, or nobody most of the time.
        purity: the share of its pictures that show that person.
    """

    clip: CameraClip
    truth: Truth = field(repr=False)
    tracks: BoxRows = field(repr=False)
    tracklets: tuple[HandedOver, ...] = field(repr=False)
    searchable_s: tuple[float, ...]
    owners: tuple[int | None, ...]
    purity: tuple[float, ...]


@dataclass(frozen=True)
class WorldFigures:
    """Fractions and seconds; None where there was nothing to measure.

    Attributes:
        tracking: by camera.
        purity: mean over tracklets.
        tracklets, mixed: how many, and how many of them show nobody most of the time.
        retrieval: rank-1, mAP and mINP by pair, such as ``infrared-visible``; within a light, other cameras only.
        calibration: expected calibration error by pair; empty for a checkpoint without probabilities.
        found_at_night: people whose best sighting by day has them first among all sightings at night of other cameras;
            of all who were in view by day and at night, whether the pipeline saw them or not.
        visits, missed_visits: times that somebody came into view, and those without a tracklet of them.
        searchable_p50_s, searchable_p90_s: from first in view to searchable, of the others.
    """

    model: str
    tracking: dict[str, TrackingFigures]
    purity: float | None
    tracklets: int
    mixed: int
    retrieval: dict[str, dict[str, float]]
    calibration: dict[str, float]
    found_at_night: tuple[int, int]
    visits: int
    missed_visits: int
    searchable_p50_s: float | None
    searchable_p90_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def follow(clip: CameraClip, models: Models, progress: Progress | None = None) -> Followed:
    """Run the product's own pipeline over a film, every frame of it, as `tapetum track` does.

    Raises:
        DataError: the truth is damaged, or the film is not as long as it is said to be.
        SourceError: the film cannot be read.
    """
    truth = read_truth(clip)
    camera = CameraAnalysis(
        CameraConfig(id=clip.id, name=clip.name, url=str(clip.video), modality=clip.fixed_modality),
        max_cosine_distance=models.embedder.association_distance,
        gate_motion=False,
    )
    rows: list[tuple[int, int, npt.NDArray[np.float32]]] = []
    last: dict[str, HandedOver] = {}
    first_s: dict[str, float] = {}
    count, begins_s = 0, 0.0
    for result in analyse_frames(
        iter_frames(clip.video), camera, models.detector, models.embedder, workers=models.workers
    ):
        begins_s = result.frame.pts_s if not count else begins_s
        count += 1
        for box, track_id in zip(result.tracks.boxes, result.tracks.track_ids.tolist(), strict=True):
            rows.append((count, track_id, box))
        for package in result.handed_over:
            first_s.setdefault(package.id, result.frame.pts_s - begins_s)
            last[package.id] = package
        if progress is not None and count % 10 == 0:
            progress(f"following {clip.name}", count / clip.frames)
    if count != clip.frames:  # else people of the missing part would count as missed
        raise DataError(f"{clip.video}: expected {clip.frames} frames, as its truth has, got {count}")
    (closed,) = embed_ready([(camera.tracklets, camera.tracklets.close_all())], models.embedder)
    for package in closed:
        first_s.setdefault(package.id, count / clip.fps)
        last[package.id] = package
    tracks = BoxRows(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
    )
    tracklets = tuple(last.values())
    shown = [_owner(package, clip, truth, begins_s) for package in tracklets]
    return Followed(
        clip,
        truth,
        tracks,
        tracklets,
        tuple(first_s[package.id] for package in tracklets),
        tuple(owner for owner, _ in shown),
        tuple(purity for _, purity in shown),
    )


def _owner(package: HandedOver, clip: CameraClip, truth: Truth, begins_s: float) -> tuple[int | None, float]:
    """Whom a tracklet's pictures show, and in what share of them."""
    frames = np.array([1 + round((crop.pts_s - begins_s) * clip.fps) for crop in package.crops], np.int64)
    boxes = BoxRows(frames, np.zeros(len(frames), np.int64), np.array([crop.box for crop in package.crops], np.float64))
    matched = match_boxes(_rows(truth), boxes)
    counts = Counter(int(truth.identity[row]) for row in matched if row >= 0)
    if not counts:
        return None, 0.0
    person, most = counts.most_common(1)[0]
    share = most / len(package.crops)
    return (person, share) if share > 0.5 else (None, share)


def _rows(truth: Truth) -> BoxRows:
    return BoxRows(truth.frame, truth.identity, truth.boxes)


def judge_world(followed: Sequence[Followed], models: Models) -> WorldFigures:
    """All figures.

    Raises:
        DataError: no cameras, or two of one id.
        ImportError: TrackEval is missing.
    """
    ids = [one.clip.id for one in followed]
    if not ids or len(set(ids)) < len(ids):
        raise DataError(f"expected cameras with an id each of its own, got {ids}")
    tracking = {one.clip.id: judge_tracks(_rows(one.truth), _counted(one.truth), one.tracks) for one in followed}
    sightings = _Sightings.of(followed)
    visits = [wait for one in followed for wait in _waits_s(one)]
    waits = [wait for wait in visits if wait is not None]
    purities = [purity for one in followed for purity in one.purity]
    return WorldFigures(
        model=models.embedder.label,
        tracking=tracking,
        purity=float(np.mean(purities)) if purities else None,
        tracklets=len(purities),
        mixed=int((sightings.identities < 0).sum()),
        retrieval=sightings.retrieval(),
        calibration=sightings.calibration_errors(models),
        found_at_night=(sightings.found_at_night(), len(_in_both_lights(followed))),
        visits=len(visits),
        missed_visits=len(visits) - len(waits),
        searchable_p50_s=float(np.percentile(waits, 50)) if waits else None,
        searchable_p90_s=float(np.percentile(waits, 90)) if waits else None,
    )


def _counted(truth: Truth) -> npt.NDArray[np.bool_]:
    counted: npt.NDArray[np.bool_] = (truth.visibility >= _LEAST_VISIBLE) & (
        truth.boxes[:, 3] - truth.boxes[:, 1] >= _LEAST_PX
    )
    return counted


def _in_both_lights(followed: Sequence[Followed]) -> set[int]:
    """Who was well in view by day and at night, by the truth."""
    seen: dict[Modality, set[int]] = {light: set() for light in Modality}
    for one in followed:
        counted = _counted(one.truth)
        frames, people = one.truth.frame[counted].tolist(), one.truth.identity[counted].tolist()
        for frame, person in zip(frames, people, strict=True):
            seen[one.clip.modality_at(frame - 1)].add(person)
    return seen[Modality.VISIBLE] & seen[Modality.INFRARED]


def _waits_s(one: Followed) -> list[float | None]:
    """For each visit, seconds from when somebody comes into view until a tracklet of them can be searched; or None."""
    counted = _counted(one.truth)
    waits: list[float | None] = []
    for person in np.unique(one.truth.identity[counted]).tolist():
        times = (np.sort(one.truth.frame[counted & (one.truth.identity == person)]) - 1) / one.clip.fps
        begins = times[np.concatenate([[True], np.diff(times) > _NEW_VISIT_S])]
        ends = np.append(begins[1:], np.inf)
        own = sorted(s for s, owner in zip(one.searchable_s, one.owners, strict=True) if owner == person)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            first = next((s for s in own if begin <= s < end), None)
            waits.append(None if first is None else first - begin)
    return waits


@dataclass(frozen=True)
class _Sightings:
    """All tracklets as columns; who cannot be told by the truth has a number of their own below zero."""

    packages: list[HandedOver]
    vectors: npt.NDArray[np.float32]
    identities: npt.NDArray[np.int64]
    cameras: npt.NDArray[np.int64]
    lights: list[Modality]

    @classmethod
    def of(cls, followed: Sequence[Followed]) -> _Sightings:
        packages = [package for one in followed for package in one.tracklets]
        owners = [owner for one in followed for owner in one.owners]
        return cls(
            packages,
            np.array([package.vector for package in packages], np.float32),
            np.array([-1 - i if owner is None else owner for i, owner in enumerate(owners)], np.int64),
            np.array([i for i, one in enumerate(followed) for _ in one.tracklets], np.int64),
            [package.modality for package in packages],
        )

    def rows(self, light: Modality) -> npt.NDArray[np.int64]:
        return np.array([row for row, own in enumerate(self.lights) if own is light], np.int64)

    def retrieval(self) -> dict[str, dict[str, float]]:
        found = {}
        for asks, answers in product(Modality, repeat=2):
            query, gallery = self.rows(asks), self.rows(answers)
            query = query[self.identities[query] >= 0]
            try:
                result = evaluate(
                    "hitsz-vcm",
                    self.vectors[query],
                    self.vectors[gallery],
                    self.identities[query],
                    self.identities[gallery],
                    self.cameras[query],
                    self.cameras[gallery],
                )
            except (ValueError, IndexError):  # nobody who was seen twice
                continue
            found[f"{asks}-{answers}"] = {"rank1": result.rank[1], "map": result.map, "minp": result.minp}
        return found

    def calibration_errors(self, models: Models) -> dict[str, float]:
        if not self.packages:
            return {}
        checks = check_calibration(
            models.embedder.calibration,
            self.vectors,
            self.identities,
            self.cameras,
            self.lights,
            generator=np.random.default_rng(_SEED),
        )
        return {pair: check.error for pair, check in checks.items()}

    def asked_by_day(self) -> list[tuple[int, npt.NDArray[np.int64]]]:
        """Each person's best sighting by day, and those at night of other cameras, nearest first."""
        day, night = self.rows(Modality.VISIBLE), self.rows(Modality.INFRARED)
        asked = []
        for person in np.intersect1d(self.identities[day], self.identities[night]).tolist():
            own = [row for row in day if self.identities[row] == person]
            best = int(max(own, key=lambda row: self.packages[row].quality))
            elsewhere = night[self.cameras[night] != self.cameras[best]]
            if len(elsewhere):
                cosines = self.vectors[elsewhere] @ self.vectors[best]
                asked.append((best, elsewhere[np.argsort(-cosines, kind="stable")]))
        return asked

    def found_at_night(self) -> int:
        asked = self.asked_by_day()
        return int(sum(self.identities[query] == self.identities[nearest[0]] for query, nearest in asked))


def write_failures(folder: Path, followed: Sequence[Followed]) -> Path | None:
    """A sheet of people whom day to night does not find at once, beside their crops; None where there are none."""
    sightings = _Sightings.of(followed)
    wrong = [
        (query, nearest)
        for query, nearest in sightings.asked_by_day()
        if sightings.identities[query] != sightings.identities[nearest[0]]
    ]
    if not wrong:
        return None
    crops = folder / "crops"
    crops.mkdir(parents=True, exist_ok=True)
    samples = []
    for row, package in enumerate(sightings.packages):
        best = max(package.crops, key=lambda crop: crop.quality)
        path = crops / f"{row:05d}.jpg"
        path.write_bytes(best.jpeg)
        samples.append(Sample((path,), int(sightings.identities[row]), int(sightings.cameras[row]), package.modality))
    rankings = []
    for query, nearest in wrong[:_SHOWN]:
        top = nearest[:6]
        cosines = sightings.vectors[top] @ sightings.vectors[query]
        hits = np.flatnonzero(sightings.identities[nearest] == sightings.identities[query])
        precision = float(np.mean(np.arange(1, len(hits) + 1) / (hits + 1))) if len(hits) else 0.0
        rankings.append(RankedQuery(query, tuple(int(row) for row in top), tuple(float(c) for c in cosines), precision))
    sheet = folder / "not-found-at-night.png"
    draw_sheet(sheet, "By day, and who came first at night", samples, rankings)
    return sheet
