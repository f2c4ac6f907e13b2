"""A gallery of many sightings, and cameras to go with it: what the dashboard is loaded with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from ulid import ULID

from models.synthetic.clip_files import CameraClip, read_truth
from models.types import Modality
from service.demo_clips import demo_clips
from service.gallery import CropRef, Gallery, MediaStore, TrackletRecord
from service.gallery.media import make_thumbnail
from tests.support.cameras import encode
from tests.support.films import frames_of

SIGHTINGS_OF_ONE = 20
SPREAD = 0.5  # of one person's sightings, as a share of the spread between persons
DAYS = 20
CROPS = 4


def streams(folder: Path, count: int, *, fps: int, seconds: int) -> dict[str, Path]:
    """So many H.264 files, each beginning at another place of one of the demo's films, played at `fps`."""
    clips, found = demo_clips(), {}
    for place, clip in enumerate(clips):
        film = frames_of(clip.video)
        numbers = range(place, count, len(clips))
        for part, number in enumerate(numbers):
            begin = part * len(film) // len(numbers)
            turned, name = film[begin:] + film[:begin], f"camera-{number:02}"
            found[name] = encode(folder / f"{name}.mp4", fps * seconds, draw=turned.__getitem__, fps=fps)
    return found


class Crowd:
    """Sightings of people who come again and again, each a direction, newest last, over some cameras and weeks.

    Their pictures are people of the demo's films. The first `own` have pictures of their own; the others share those
    of the first, so that a hundred thousand of them are looked at without writing a hundred thousand folders.
    """

    def __init__(self, gallery: Gallery, media: MediaStore, model: str, dimension: int, cameras: int) -> None:
        self._gallery, self._media, self._model = gallery, media, model
        self._dimension, self._cameras = dimension, cameras
        self._rng = np.random.default_rng(5)
        self._pictures = [(light, jpeg) for clip in demo_clips() for light, jpeg in _people(clip)]
        self._shared: dict[Modality, list[tuple[tuple[CropRef, ...], str]]] = {light: [] for light in Modality}

    def write(self, count: int, *, own: int = 0, days: int = DAYS) -> None:
        """Put so many into the gallery, the newest of now."""
        records = self._records(count, own, timedelta(days=days))
        while batch := list(islice(records, 500)):
            self._gallery.put_many(batch)

    def _records(self, count: int, own: int, span: timedelta) -> Iterator[TrackletRecord]:
        persons = self._rng.standard_normal((max(1, count // SIGHTINGS_OF_ONE), self._dimension), np.float32)
        begin = datetime.now(UTC) - span
        for number in range(count):
            started = begin + span * number / count
            vector = persons[number % len(persons)]
            vector = vector + np.float32(SPREAD) * self._rng.standard_normal(self._dimension, np.float32)
            light, jpeg = self._pictures[int(self._rng.integers(len(self._pictures)))]
            one, camera = str(ULID.from_datetime(started)), f"camera-{int(self._rng.integers(self._cameras)):02}"
            if number < own:
                self._shared[light].append(self._keep(one, camera, started, jpeg))
            shared = self._shared[light]
            crops, thumbnail = shared[-1] if number < own else shared[int(self._rng.integers(len(shared)))]
            yield TrackletRecord(
                id=one, revision=1, camera_id=camera, track_id=number, modality=light, started_at=started,
                ended_at=started + timedelta(seconds=8), closed=True, frame_count=24, quality=0.8,
                model_hash=self._model, vector=vector / np.linalg.norm(vector), crops=crops, thumbnail=thumbnail,
            )  # fmt: skip

    def _keep(self, one: str, camera: str, at: datetime, jpeg: bytes) -> tuple[tuple[CropRef, ...], str]:
        digest = hashlib.sha256(jpeg).hexdigest()[:32]
        key, small = (MediaStore.key(camera, at, one, digest, thumbnail=small) for small in (False, True))
        self._media.write(key, jpeg)
        self._media.write(small, make_thumbnail(jpeg))
        box = (10.0, 10.0, 74.0, 202.0)
        return tuple(CropRef(key, box, 0.9, float(i), at + timedelta(seconds=i)) for i in range(CROPS)), small


def _people(clip: CameraClip, most: int = 24) -> Iterator[tuple[Modality, bytes]]:
    """Pictures of people who are seen whole, and by which light."""
    truth, frames = read_truth(clip), frames_of(clip.video)
    height = truth.boxes[:, 3] - truth.boxes[:, 1]
    whole = np.flatnonzero((truth.visibility > 0.95) & (height > 90))
    for row in whole[:: max(1, len(whole) // most)]:
        x1, y1, x2, y2 = (max(0, round(v)) for v in truth.boxes[row])
        ok, jpeg = cv2.imencode(".jpg", frames[truth.frame[row] - 1][y1:y2, x1:x2], [cv2.IMWRITE_JPEG_QUALITY, 90])
        assert ok
        yield clip.modality_at(int(truth.frame[row]) - 1), jpeg.tobytes()
