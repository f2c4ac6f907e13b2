"""StrongSORT per camera, fed with the appearance vectors of our own network; MOTChallenge text."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.types import Detections, FloatArray, Frame, Tracks

__all__ = ["StrongSortTracker", "interpolate_gaussian", "mot_row"]


def _strongsort() -> type:
    from boxmot import StrongSort

    # boxmot logs every tracker it makes at INFO through handlers that it sets up when it is imported.
    logging.getLogger("boxmot").setLevel(logging.WARNING)
    return StrongSort  # type: ignore[no-any-return]


class StrongSortTracker:
    """Association over the frames of one camera.

    Time is measured, not counted: the Kalman filter predicts over the real interval between frames, and
    a lost track is kept for `max_lost_s`, whatever the frame rate.

    Args:
        max_cosine_distance: of appearance vectors; belongs to the checkpoint.
        max_iou_distance: 1 - IoU in the geometric fallback.
        confirm_hits: consecutive frames before a track counts.
        max_lost_s: how long a hidden person keeps the id.
        camera_moves: estimate camera motion (ECC) on every frame; off for fixed cameras.
    """

    def __init__(
        self,
        *,
        max_cosine_distance: float = 0.3,
        max_iou_distance: float = 0.95,
        confirm_hits: int = 3,
        max_lost_s: float = 2.0,
        motion_weight: float = 0.02,
        camera_moves: bool = False,
    ):
        self._max_lost_s = max_lost_s
        self._tracker = _strongsort()(
            min_conf=0.0,
            max_cos_dist=max_cosine_distance,
            max_iou_dist=max_iou_distance,
            n_init=confirm_hits,
            mc_lambda=1.0 - motion_weight,
            variable_dt=True,
            kf_time_unit="seconds",
        )
        if not camera_moves:
            self._tracker.cmc = None
        self._interval_s = 0.1
        self._last_s: float | None = None

    def update(self, frame: Frame, detections: Detections, vectors: FloatArray) -> Tracks:
        """Advance by one frame. `vectors` is ``float32[N, D]``, a row per detection.

        Raises ValueError when the rows do not match or the frame is not later than the one before.
        """
        if len(vectors) != len(detections):
            raise ValueError(f"vectors: expected {len(detections)} rows, got {len(vectors)}")
        if self._last_s is not None:
            interval = frame.pts_s - self._last_s
            if interval <= 0:
                raise ValueError(f"frame.pts_s: expected more than {self._last_s}, got {frame.pts_s}")
            self._interval_s += 0.2 * (min(interval, 2.0) - self._interval_s)
        self._last_s = frame.pts_s
        self._tracker.max_age = max(2, round(self._max_lost_s / self._interval_s))

        import torch
        from boxmot.structures import Boxes
        from boxmot.structures import Detections as BoxmotDetections

        out = self._tracker.update(
            BoxmotDetections(
                geometry=Boxes(torch.from_numpy(detections.boxes)),
                scores=torch.from_numpy(detections.scores),
                class_ids=torch.zeros(len(detections), dtype=torch.int64),
                sample_id=f"{frame.camera_id}/{frame.sequence}",
                embeddings=torch.from_numpy(np.ascontiguousarray(vectors, np.float32)) if len(vectors) else None,
            ),
            frame.image,
            timestamp_s=frame.pts_s,
        )
        return Tracks(
            boxes=np.asarray(out.geometry.values, np.float32).reshape(-1, 4),
            track_ids=np.asarray(out.track_ids, np.int64),
            scores=np.asarray(out.scores, np.float32),
            detection_indices=np.asarray(out.detection_indices, np.int64),
        )


def mot_row(frame_number: int, track_id: int, box: FloatArray, score: float) -> str:
    """One line of MOTChallenge text: frame from 1, id, left, top, width, height, confidence, -1, -1, -1."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return f"{frame_number},{track_id},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.4f},-1,-1,-1"


def interpolate_gaussian(rows: Iterable[str], *, max_gap_frames: int = 20, tau: float = 10.0) -> list[str]:
    """StrongSORT++'s GSI over finished MOTChallenge rows: gaps are filled, then each track is smoothed."""
    from boxmot.postprocessing.gsi import gaussian_smooth, linear_interpolation

    table = np.array([[float(v) for v in row.split(",")[:8]] for row in rows])
    if not len(table):
        return []
    filled = linear_interpolation(table, max_gap_frames)
    smooth = gaussian_smooth(filled, tau)
    smooth = smooth[np.lexsort((smooth[:, 1], smooth[:, 0]))]
    return [
        mot_row(int(r[0]), int(r[1]), np.array([r[2], r[3], r[2] + r[4], r[3] + r[5]]), float(r[6])) for r in smooth
    ]


def write_mot(path: Path, rows: Iterable[str]) -> None:
    """Write MOTChallenge text, replacing the file in one step."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(f"{row}\n" for row in rows))
    partial.replace(path)
