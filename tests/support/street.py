"""Real people who come back: OpenCV's `vtest.avi`, one camera over a plaza for eighty seconds.

Who is who is told by ``street_people.txt``, MOTChallenge's truth for every fifth frame: boxes of our own detector and
tracker, whose eleven people were named by looking at each track in every twentieth frame; a track counts up to the last
one looked at. Who is far away or hardly to be seen is not in it. Seven of the eleven leave and come back, so without
those names, whoever finds somebody's other track would count as wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.boxes import intersection_over_union
from models.preprocessing import Image
from pipeline.embed import sample_evenly
from pipeline.sources import iter_frames

PEOPLE = Path(__file__).with_name("street_people.txt")
EVERY = 5
"""Frames from one with names to the next."""
PLACES = ("/usr/share/doc/opencv-doc", "/usr/share/opencv4", "/usr/share/opencv", "/usr/share/opencv-doc")
HALF_FRAMES = 12
"""Of a half of a track, at least."""
SHORTEST_SIDE_PX = 16


def street_video() -> Path:
    """Debian's copy. Raises FileNotFoundError where it is not installed."""
    for file in (f for place in PLACES for f in sorted(Path(place).rglob("vtest.avi*"))):
        return file
    raise FileNotFoundError("Debian's sample video is wanted: apt install opencv-doc")


@dataclass(frozen=True)
class Halves:
    """Both halves of every track, the first before the second: equally long columns."""

    clips: list[list[Image]]
    people: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]

    def first(self) -> npt.NDArray[np.int64]:
        return np.arange(0, len(self.clips), 2)

    def second(self) -> npt.NDArray[np.int64]:
        return np.arange(1, len(self.clips), 2)


def street_halves(video: Path, detections: Path, *, frames: int) -> Halves:
    """Tracks long enough to be cut, of people who have names; a track that goes over from one to another is left out.

    Args:
        detections: MOTChallenge text, as ``tapetum track`` writes it.
        frames: of a half, evenly over it.
    """
    boxes = read_boxes(detections)
    names = people_of_tracks(boxes, read_boxes(PEOPLE))
    crops: dict[int, list[Image]] = defaultdict(list)
    for number, frame in enumerate(iter_frames(video), start=1):
        for track, box in boxes.get(number, {}).items():
            x1, y1, x2, y2 = (max(0, round(side)) for side in box)
            crop = frame.image[y1:y2, x1:x2]
            if track in names and min(crop.shape[:2]) >= SHORTEST_SIDE_PX:
                crops[track].append(crop.copy())
    kept = sorted(track for track, own in crops.items() if len(own) >= 2 * HALF_FRAMES)
    clips = []
    for track in kept:
        middle = len(crops[track]) // 2
        for half in (crops[track][:middle], crops[track][middle:]):
            clips.append([half[i] for i in sample_evenly(len(half), frames)])
    return Halves(clips, np.repeat([names[track] for track in kept], 2), np.repeat(kept, 2))


def in_grey(clips: Sequence[Sequence[Image]]) -> list[list[Image]]:
    """The luminance of pictures, as an infrared camera's."""
    return [[cv2.merge([cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)] * 3) for crop in clip] for clip in clips]


Boxes = Mapping[int, Mapping[int, npt.NDArray[np.float64]]]
"""By frame, from 1, and id: x1, y1, x2, y2."""


def read_boxes(file: Path) -> Boxes:
    found: dict[int, dict[int, npt.NDArray[np.float64]]] = defaultdict(dict)
    for frame, one, *box in np.loadtxt(file, delimiter=",", usecols=range(6), ndmin=2):
        left, top, width, height = box
        found[int(frame)][int(one)] = np.array([left, top, left + width, top + height])
    return found


def people_of_tracks(tracks: Boxes, people: Boxes, *, overlap: float = 0.5) -> dict[int, int]:
    """Whom each track shows: those whose boxes always fall to one and the same person."""
    shown: dict[int, set[int]] = defaultdict(set)
    for frame, named in people.items():
        own = tracks.get(frame, {})
        if not own:
            continue
        shares = intersection_over_union(list(own.values()), list(named.values()))
        for track, row in zip(own, shares, strict=True):
            if row.max() >= overlap:
                shown[track].add(list(named)[int(row.argmax())])
    return {track: next(iter(who)) for track, who in shown.items() if len(who) == 1}
