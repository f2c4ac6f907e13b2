"""Tracks into tracklets: which crops to keep, when a person becomes searchable, when a sighting ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from ulid import ULID

from models.types import Modality
from pipeline.camera import box_fractions
from pipeline.quality import covered_by_others, judge_crop
from pipeline.stills import Reel, Stills
from pipeline.types import Crop, CropQuality, FloatArray, Frame, Moment, Still, Tracklet, Tracks

__all__ = ["TrackletBuilder", "TrackletRules", "thin"]


@dataclass(frozen=True, slots=True)
class TrackletRules:
    """When tracklets are handed on, closed and refused. Times are stream times in seconds.

    Attributes:
        crops: at most so many pictures a tracklet.
        first_after_s: a confirmed person is handed on this soon at the latest (searchable while in view).
        again_after_s: the next hand-over of an open tracklet; the interval doubles each time.
        gap_s: unseen for so long closes the tracklet.
        longest_s: a longer track goes on in a new tracklet with the same `track_id`.
        min_frames: fewer analysed frames are no sighting.
        min_quality: of the best crop.
    """

    crops: int = 6
    first_after_s: float = 1.0
    again_after_s: float = 3.0
    gap_s: float = 4.0
    longest_s: float = 60.0
    min_frames: int = 3
    min_quality: float = 0.06


def thin(crops: Sequence[Crop], count: int) -> list[Crop]:
    """At most `count` crops, good ones spread over time: of the two nearest in time the worse one goes."""
    kept = sorted(crops, key=lambda crop: crop.pts_s)
    while len(kept) > count:
        gaps = [later.pts_s - sooner.pts_s for sooner, later in pairwise(kept)]
        nearest = gaps.index(min(gaps))
        kept.pop(nearest if kept[nearest].quality < kept[nearest + 1].quality else nearest + 1)
    return kept


@dataclass(slots=True)
class _Open:
    """A sighting under way."""

    id: str
    modality: Modality
    first_pts_s: float
    last_pts_s: float
    started_at: datetime
    ended_at: datetime
    next_hand_on_pts_s: float
    interval_s: float
    crops: list[Crop] = field(default_factory=list)
    frame_count: int = 0
    revision: int = 0
    best: CropQuality | None = None
    reel: Reel | None = None


class TrackletBuilder:
    """Turns one camera's tracks into tracklets.

    `refused` counts why sightings were not handed on: ``too_short`` or the weakest mark of the best
    crop (``size``, ``sharpness``, ``confidence``, ``visibility``, ``completeness``).

    Args:
        stills: takes the whole pictures that sightings keep; None where they keep none.
    """

    def __init__(self, camera_id: str, rules: TrackletRules | None = None, stills: Stills | None = None):
        self.camera_id = camera_id
        self._stills = stills
        self.rules = rules or TrackletRules()
        self.refused: Counter[str] = Counter()
        self._open: dict[int, _Open] = {}

    def update(
        self, frame: Frame, tracks: Tracks, vectors: Sequence[FloatArray | None] | None = None
    ) -> list[Tracklet]:
        """Take one analysed frame. Returns the tracklets to embed now, new, improved or closed.

        Args:
            vectors: of each detection's own picture, ``float32[D]``, where one was computed.
        """
        if frame.modality is None:
            raise ValueError("frame.modality: expected visible or infrared, got None")
        ready: list[Tracklet] = []
        covered = covered_by_others(tracks.boxes)
        still = self._stills.take(frame, tracks.boxes) if self._stills is not None and len(tracks) else None
        for row, track_id in enumerate(tracks.track_ids.tolist()):
            current = self._open.get(track_id)
            if current is not None and (
                current.modality is not frame.modality
                or frame.pts_s - current.first_pts_s >= self.rules.longest_s
                or frame.pts_s - current.last_pts_s >= self.rules.gap_s
            ):
                ready += self._close(track_id)
                current = None
            if current is None:
                current = self._open[track_id] = self._begin(frame, frame.modality)
            detection = int(tracks.detection_indices[row])
            vector = vectors[detection] if vectors is not None and detection >= 0 else None
            self._add(current, frame, tracks, row, float(covered[row]), vector, still)
            if frame.pts_s >= current.next_hand_on_pts_s and self._reason_to_refuse(current) is None:
                ready.append(self._hand_on(track_id, current, closed=False))
        for track_id, current in list(self._open.items()):
            if frame.pts_s - current.last_pts_s >= self.rules.gap_s:
                ready += self._close(track_id)
        return ready

    def close_all(self) -> list[Tracklet]:
        """End every sighting: the stream ended, or the worker stops."""
        return [tracklet for track_id in list(self._open) for tracklet in self._close(track_id)]

    def tracklet_id(self, track_id: int) -> str | None:
        """Id of the tracklet that a visible track belongs to, once it has been handed on."""
        current = self._open.get(track_id)
        return current.id if current is not None and current.revision > 0 else None

    def _begin(self, frame: Frame, modality: Modality) -> _Open:
        return _Open(
            id=str(ULID.from_datetime(frame.captured_at)),
            modality=modality,
            first_pts_s=frame.pts_s,
            last_pts_s=frame.pts_s,
            started_at=frame.captured_at,
            ended_at=frame.captured_at,
            next_hand_on_pts_s=frame.pts_s + self.rules.first_after_s,
            interval_s=self.rules.again_after_s,
            reel=Reel(self._stills.rules.clip_s) if self._stills is not None else None,
        )

    def _add(
        self,
        current: _Open,
        frame: Frame,
        tracks: Tracks,
        row: int,
        covered: float,
        vector: FloatArray | None,
        still: Still | None,
    ) -> None:
        current.last_pts_s = frame.pts_s
        current.ended_at = max(current.ended_at, frame.captured_at)
        current.frame_count += 1
        box = tracks.boxes[row]
        x1, y1 = max(0, int(box[0])), max(0, int(box[1]))
        x2, y2 = min(frame.width_px, round(float(box[2]))), min(frame.height_px, round(float(box[3])))
        if x2 - x1 < 2 or y2 - y1 < 2:
            return
        view = frame.image[y1:y2, x1:x2]
        quality = judge_crop(view, box, float(tracks.scores[row]), covered, frame.width_px, frame.height_px)
        if current.best is None or quality.score > current.best.score:
            current.best = quality
        if still is not None and current.reel is not None:
            current.reel.add(Moment(still, box_fractions(box, frame.width_px, frame.height_px), quality.score))
        current.crops.append(Crop(view.copy(), box.copy(), quality.score, frame.pts_s, frame.captured_at, vector))
        if len(current.crops) > 2 * self.rules.crops:
            current.crops = thin(current.crops, 2 * self.rules.crops)

    def _reason_to_refuse(self, current: _Open) -> str | None:
        if current.frame_count < self.rules.min_frames or current.best is None:
            return "too_short"
        return current.best.weakest if current.best.score < self.rules.min_quality else None

    def _close(self, track_id: int) -> list[Tracklet]:
        current = self._open.pop(track_id)
        reason = self._reason_to_refuse(current)
        if reason is not None:
            self.refused[reason] += 1
            return []
        return [self._hand_on(track_id, current, closed=True)]

    def _hand_on(self, track_id: int, current: _Open, *, closed: bool) -> Tracklet:
        current.revision += 1
        current.next_hand_on_pts_s = current.last_pts_s + current.interval_s
        current.interval_s *= 2
        crops = thin(current.crops, self.rules.crops)
        return Tracklet(
            id=current.id,
            revision=current.revision,
            camera_id=self.camera_id,
            track_id=track_id,
            modality=current.modality,
            started_at=current.started_at,
            ended_at=current.ended_at,
            closed=closed,
            frame_count=current.frame_count,
            quality=max(crop.quality for crop in crops),
            marks=current.best,
            crops=tuple(crops),
            best_moment=current.reel.best if current.reel is not None else None,
            reel=current.reel.moments() if closed and current.reel is not None else (),
        )
