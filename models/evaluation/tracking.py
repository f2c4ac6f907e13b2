"""How well people were found and followed, against boxes of known people: TrackEval's HOTA and identity figures.

Luiten et al., "HOTA: A higher order metric for evaluating multi-object tracking", IJCV 2021; Ristani et al.,
"Performance measures and a data set for multi-target, multi-camera tracking", ECCVW 2016 (IDF1).

As MOTChallenge does it, people who are hardly to be seen count neither way: who finds them is not wrong, who does not
find them has missed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from models.boxes import intersection_over_union
from models.evaluation.metrics import BoolArray, IntArray

__all__ = ["BoxRows", "TrackingFigures", "judge_tracks", "match_boxes"]

FloatArray = npt.NDArray[np.float64]
_SAME = 0.5


@dataclass(frozen=True)
class BoxRows:
    """N boxes of one video.

    Attributes:
        frame: ``int64[N]``, from 1.
        identity: ``int64[N]``, of people, or of tracks.
        boxes: ``float64[N, 4]``: x1, y1, x2, y2.
    """

    frame: IntArray
    identity: IntArray
    boxes: FloatArray = field(repr=False)

    def __post_init__(self) -> None:
        count = len(self.frame)
        if self.identity.shape != (count,) or self.boxes.shape != (count, 4):
            raise ValueError(
                f"BoxRows: expected frame [N], identity [N] and boxes [N, 4], got {list(self.frame.shape)}, "
                f"{list(self.identity.shape)}, {list(self.boxes.shape)}"
            )

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: IntArray | BoolArray) -> BoxRows:
        return BoxRows(self.frame[rows], self.identity[rows], self.boxes[rows])


@dataclass(frozen=True)
class TrackingFigures:
    """Of one video. Fractions; None where there is nothing to measure.

    Attributes:
        recall: of the counted boxes of people, those with a track's box on them (intersection over union 0.5).
        precision: of the tracks' boxes, those with a person in them.
        hota, idf1: as published.
        people, tracks: how many.
        switches: times that a person goes on under another track id.
    """

    recall: float | None
    precision: float | None
    hota: float | None
    idf1: float | None
    people: int
    tracks: int
    switches: int


def match_boxes(truth: BoxRows, tracks: BoxRows, least: float = _SAME) -> IntArray:
    """Which row of the truth each track's box shows, ``int64[len(tracks)]``; -1 for none.

    One to one within each frame, such that the overlaps are largest in sum and each at least `least`.
    """
    found = np.full(len(tracks), -1, np.int64)
    for frame in np.intersect1d(truth.frame, tracks.frame):
        people, boxes = np.flatnonzero(truth.frame == frame), np.flatnonzero(tracks.frame == frame)
        shared = intersection_over_union(truth.boxes[people], tracks.boxes[boxes])
        shared[shared < least] = 0
        for person, box in zip(*linear_sum_assignment(-shared), strict=True):
            if shared[person, box]:
                found[boxes[box]] = people[person]
    return found


def judge_tracks(truth: BoxRows, counted: BoolArray, tracks: BoxRows) -> TrackingFigures:
    """Judge the tracks of one video.

    Args:
        counted: ``bool[len(truth)]``, False for people who are hardly to be seen.

    Raises:
        ImportError: TrackEval is not installed; the message names the extra.
    """
    matched = match_boxes(truth, tracks)
    aside = np.isin(matched, np.flatnonzero(~counted))
    people, boxes, matched = truth[counted], tracks[~aside], matched[~aside]
    hit = int((matched >= 0).sum())
    hota, idf1 = _published(people, boxes)
    return TrackingFigures(
        recall=hit / len(people) if len(people) else None,
        precision=hit / len(boxes) if len(boxes) else None,
        hota=hota,
        idf1=idf1,
        people=len(np.unique(people.identity)),
        tracks=len(np.unique(boxes.identity)),
        switches=_switches(truth, boxes, matched),
    )


def _switches(truth: BoxRows, boxes: BoxRows, matched: IntArray) -> int:
    rows = np.flatnonzero(matched >= 0)
    rows = rows[np.argsort(boxes.frame[rows], kind="stable")]
    last: dict[int, int] = {}
    count = 0
    for row in rows:
        person, track = int(truth.identity[matched[row]]), int(boxes.identity[row])
        count += last.get(person, track) != track
        last[person] = track
    return count


def _published(people: BoxRows, tracks: BoxRows) -> tuple[float | None, float | None]:
    """HOTA (mean over its thresholds) and IDF1; None without people, 0 without tracks."""
    if not len(people):
        return None, None
    try:
        from trackeval.metrics import HOTA, Identity
    except ImportError as error:
        raise ImportError("TrackEval is not installed; its extra is bench: pip install 'tapetum[bench]'") from error
    person_ids, person_of = np.unique(people.identity, return_inverse=True)
    track_ids, track_of = np.unique(tracks.identity, return_inverse=True)
    data: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for frame in np.union1d(people.frame, tracks.frame):
        here, there = people.frame == frame, tracks.frame == frame
        data["gt_ids"].append(person_of[here])
        data["tracker_ids"].append(track_of[there])
        data["similarity_scores"].append(intersection_over_union(people.boxes[here], tracks.boxes[there]))
    data |= {
        "num_timesteps": len(data["gt_ids"]),
        "num_gt_ids": len(person_ids),
        "num_tracker_ids": len(track_ids),
        "num_gt_dets": len(people),
        "num_tracker_dets": len(tracks),
    }
    hota = HOTA().eval_sequence(data)["HOTA"]
    idf1 = Identity({"PRINT_CONFIG": False}).eval_sequence(data)["IDF1"]
    return float(np.mean(hota)), float(idf1)
