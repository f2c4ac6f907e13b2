"""One frame's way from picture to tracks and tracklets, the same for files and live cameras."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
import structlog

from models.types import Modality
from pipeline.appearance import AppearanceMemory
from pipeline.camera import CameraConfig
from pipeline.handover import HandedOver, hand_over
from pipeline.modality import ModalityJudge
from pipeline.motion import MotionGate
from pipeline.stills import StillRules, Stills
from pipeline.track import StrongSortTracker
from pipeline.tracklets import TrackletBuilder, TrackletRules
from pipeline.types import Detections, Embedding, FloatArray, Frame, Image, Tracklet, Tracks

__all__ = [
    "AnalysedFrame",
    "AppearanceModel",
    "CameraAnalysis",
    "Look",
    "crop_out",
    "embed_ready",
    "follow_all",
    "look_at",
]

log = structlog.get_logger("tapetum.analyse")


class AppearanceModel(Protocol):
    """What analysis needs of an embedder; see `pipeline.embed.Embedder`."""

    @property
    def model_hash(self) -> str: ...

    @property
    def takes_clips(self) -> bool:
        """Whether a clip tells the network more than its pictures one by one."""
        ...

    def embed_images(self, crops: Sequence[Image], modalities: Sequence[Modality]) -> FloatArray: ...

    def embed_clips(self, clips: Sequence[Sequence[Image]], modalities: Sequence[Modality]) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class AnalysedFrame:
    """What came of one frame: the tracks in it and the tracklets that are ready to be stored."""

    frame: Frame
    tracks: Tracks
    handed_over: tuple[HandedOver, ...]


def crop_out(image: Image, box: FloatArray) -> Image:
    """The pixels of a box, ``uint8[h, w, 3]``, clipped to the picture and at least one pixel."""
    height, width = image.shape[:2]
    x1 = min(max(int(box[0]), 0), width - 1)
    y1 = min(max(int(box[1]), 0), height - 1)
    x2 = min(max(round(float(box[2])), x1 + 1), width)
    y2 = min(max(round(float(box[3])), y1 + 1), height)
    return image[y1:y2, x1:x2]


class CameraAnalysis:
    """The state of one camera: modality, motion, tracker, open tracklets.

    Args:
        config: of the camera.
        max_cosine_distance: of the appearance model, for association.
        gate_motion: skip frames in which nothing moves (live cameras), or analyse every frame.
        camera_moves: estimate camera motion (ECC).
        stills: which whole pictures sightings keep; None for none.
    """

    RESET_AFTER_S = 30.0

    def __init__(
        self,
        config: CameraConfig,
        *,
        max_cosine_distance: float,
        gate_motion: bool,
        camera_moves: bool = False,
        rules: TrackletRules | None = None,
        stills: StillRules | None = None,
    ):
        self.config = config
        self.skipped: Counter[str] = Counter()
        keeper = Stills(stills, config.exclude) if stills is not None else None
        self.tracklets = TrackletBuilder(config.id, rules, keeper)
        self.last_tracks = Tracks.empty()
        self.memory = AppearanceMemory()
        self.modality: Modality | None = config.modality
        self._max_cosine_distance = max_cosine_distance
        self._camera_moves = camera_moves
        self._judge = ModalityJudge()
        self._gate = MotionGate() if gate_motion else None
        self._tracker = self._new_tracker()
        self._track_id_highest = 0
        self._track_id_offset = 1  # the tracker counts from 0, MOTChallenge and people from 1
        self._last_pts_s: float | None = None

    def admit(self, frame: Frame) -> Frame | None:
        """Judge the frame's modality; None when nothing moved and nobody is being followed."""
        self.modality = self.config.modality or self._judge.judge(frame.image, frame.pts_s)
        if self._gate is not None and not self._gate.admit(frame) and not len(self.last_tracks):
            self.skipped["no_motion"] += 1
            return None
        return replace(frame, modality=self.modality)

    def relevant(self, detections: Detections, frame: Frame) -> Detections:
        """Drop persons that are too small or stand outside the camera's regions."""
        if not len(detections):
            return detections
        boxes = detections.boxes
        keep = boxes[:, 3] - boxes[:, 1] >= self.config.min_height_px
        feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2 / frame.width_px, boxes[:, 3] / frame.height_px], axis=1)
        if self.config.include:
            keep &= _inside_any(feet, self.config.include)
        if self.config.exclude:
            keep &= ~_inside_any(feet, self.config.exclude)
        return Detections(boxes[keep], detections.scores[keep])

    def follow(self, look: Look) -> list[Tracklet]:
        """Associate one frame's persons; returns the tracklets to embed now."""
        frame = look.frame
        ready: list[Tracklet] = []
        if self._last_pts_s is not None and not 0 < frame.pts_s - self._last_pts_s < self.RESET_AFTER_S:
            # The stream began anew or was away for long: nobody is followed across such a gap.
            ready = self.tracklets.close_all()
            self._tracker = self._new_tracker()
            self.memory = AppearanceMemory()
            self._track_id_offset = self._track_id_highest + 1
        self._last_pts_s = frame.pts_s
        tracks = self._tracker.update(frame, look.detections, look.vectors)
        if len(tracks):
            tracks = replace(tracks, track_ids=tracks.track_ids + self._track_id_offset)
            self._track_id_highest = max(self._track_id_highest, int(tracks.track_ids.max()))
        self.memory.remember(tracks, look.vectors, look.fresh, frame.pts_s)
        self.last_tracks = tracks
        return ready + self.tracklets.update(frame, tracks, look.fresh)

    def _new_tracker(self) -> StrongSortTracker:
        return StrongSortTracker(max_cosine_distance=self._max_cosine_distance, camera_moves=self._camera_moves)


def _inside_any(points: np.ndarray, polygons: Sequence[Sequence[tuple[float, float]]]) -> np.ndarray:
    """Which points (fractions, ``float[N, 2]``) lie in any polygon, ``bool[N]``."""
    shapes = [np.asarray(polygon, np.float32) for polygon in polygons]
    return np.array(
        [any(cv2.pointPolygonTest(s, (float(x), float(y)), False) >= 0 for s in shapes) for x, y in points],
        bool,
    )


@dataclass(slots=True)
class Look:
    """One frame's persons and what they look like, before association.

    Attributes:
        vectors: ``float32[N, D]``, a row per detection.
        fresh: those rows that were computed from this very frame; None where one was used again.
    """

    camera: CameraAnalysis
    frame: Frame
    detections: Detections
    vectors: FloatArray
    fresh: list[FloatArray | None]


def look_at(batch: Sequence[tuple[CameraAnalysis, Frame, Detections]], model: AppearanceModel) -> list[Look]:
    """Embed the persons of several cameras' frames in one run.

    May run in any thread, as long as no other thread has to do with the same cameras meanwhile.
    """
    kept = [camera.relevant(detections, frame) for camera, frame, detections in batch]
    known: list[list[FloatArray | None]] = []
    crops: list[Image] = []
    modalities: list[Modality] = []
    for (camera, frame, _), detections in zip(batch, kept, strict=True):
        if frame.modality is None:
            raise ValueError("frame.modality: expected visible or infrared, got None")
        recalled = camera.memory.recall(detections.boxes, frame.pts_s)
        new = [box for box, vector in zip(detections.boxes, recalled, strict=True) if vector is None]
        crops += [crop_out(frame.image, box) for box in new]
        modalities += [frame.modality] * len(new)
        known.append(recalled)
    computed = iter(model.embed_images(crops, modalities))
    looks = []
    for (camera, frame, _), detections, recalled in zip(batch, kept, known, strict=True):
        fresh = [next(computed) if vector is None else None for vector in recalled]
        together = [new if new is not None else old for new, old in zip(fresh, recalled, strict=True)]
        looks.append(Look(camera, frame, detections, np.array(together, np.float32), fresh))
    return looks


def follow_all(looks: Sequence[Look], model: AppearanceModel) -> list[AnalysedFrame]:
    """Associate the persons of several cameras' frames, and embed in one run the tracklets that are ready."""
    ready = [(look.camera.tracklets, look.camera.follow(look)) for look in looks]
    packages = embed_ready(ready, model)
    return [
        AnalysedFrame(look.frame, look.camera.last_tracks, handed_over)
        for look, handed_over in zip(looks, packages, strict=True)
    ]


def embed_ready(
    ready: Sequence[tuple[TrackletBuilder, Sequence[Tracklet]]], model: AppearanceModel
) -> list[tuple[HandedOver, ...]]:
    """Embed the tracklets of several cameras in one run; where that fails, one by one, counting those that fail."""
    try:
        packages = iter(_embed_tracklets([t for _, tracklets in ready for t in tracklets], model))
        return [tuple(next(packages) for _ in tracklets) for _, tracklets in ready]
    except Exception:
        log.exception("tracklets could not be embedded together; now one by one")
    return [tuple(p for t in tracklets for p in _embed_one(builder, t, model)) for builder, tracklets in ready]


def _embed_one(builder: TrackletBuilder, tracklet: Tracklet, model: AppearanceModel) -> list[HandedOver]:
    try:
        return _embed_tracklets([tracklet], model)
    except Exception:
        log.exception("tracklet could not be embedded", camera=tracklet.camera_id, tracklet=tracklet.id)
        builder.refused["embedding_failed"] += 1
        return []


def _embed_tracklets(tracklets: Sequence[Tracklet], model: AppearanceModel) -> list[HandedOver]:
    """Vectors for new, improved or closed tracklets, in one run.

    A network of single pictures need not look again at crops that association has embedded.
    """
    if not tracklets:
        return []
    kinds = [t.modality for t in tracklets]
    if model.takes_clips:
        vectors = model.embed_clips([[crop.image for crop in t.crops] for t in tracklets], kinds)
        return [hand_over(t, Embedding(v, model.model_hash)) for t, v in zip(tracklets, vectors, strict=True)]
    missing = [(crop.image, t.modality) for t in tracklets for crop in t.crops if crop.vector is None]
    new = iter(model.embed_images([image for image, _ in missing], [kind for _, kind in missing]))
    packages = []
    for t in tracklets:
        mean = np.mean([crop.vector if crop.vector is not None else next(new) for crop in t.crops], axis=0)
        packages.append(hand_over(t, Embedding((mean / np.linalg.norm(mean)).astype(np.float32), model.model_hash)))
    return packages
