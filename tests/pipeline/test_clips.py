"""A sighting's scene and clip: of its own time, its own light and its own person, and played by a browser."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import av
import cv2
import numpy as np
import pytest

from models.types import Modality
from pipeline.clips import with_clip
from pipeline.footage import Footage, content_digest
from pipeline.handover import HandedOver, hand_over
from pipeline.stills import StillRules, Stills
from pipeline.tracklets import TrackletBuilder
from pipeline.types import Embedding, Frame, Tracklet, Tracks

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
GREY, BLUE = 110, (200, 60, 30)
VECTOR = Embedding(np.eye(1, 8, dtype=np.float32)[0], "sha256:test")


def walked(seconds: Sequence[float], *, night_from_s: float = np.inf, clip_s: float = 10.0) -> list[Tracklet]:
    """Somebody walks to the right, a pixel in a hundredth of a second; by night the picture is dark."""
    builder = TrackletBuilder("door", stills=Stills(StillRules(clip_s=clip_s)))
    found = []
    for pts_s in seconds:
        night = pts_s >= night_from_s
        image = np.full((360, 640, 3), 30 if night else GREY, np.uint8)
        left = 20 + round(100 * (pts_s % 5))
        image[100:300, left : left + 60] = np.random.default_rng(0).integers(0, 255, (200, 60, 3))
        box = np.array([[left, 100, left + 60, 300]], np.float32)
        tracks = Tracks(box, np.array([1]), np.array([0.9], np.float32), np.array([0]))
        light = Modality.INFRARED if night else Modality.VISIBLE
        found += builder.update(
            Frame("door", 0, image, float(pts_s), START + timedelta(seconds=float(pts_s)), light), tracks
        )
    return found + builder.close_all()


def handed(tracklet: Tracklet) -> HandedOver:
    return hand_over(tracklet, VECTOR)


def pictures(mp4: bytes) -> list[tuple[float, np.ndarray]]:
    with av.open(io.BytesIO(mp4)) as container:
        return [(float(frame.time or 0), frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]


def test_every_hand_over_shows_the_best_moment_and_only_the_last_is_filmed() -> None:
    first, *_, last = [handed(t) for t in walked(np.arange(0, 4, 0.1))]
    for one in (first, last):
        scene = one.footage.scene
        assert scene is not None
        jpeg = one.media[scene.digest]
        assert content_digest(jpeg) == scene.digest
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        x1, y1, x2, y2 = (round(side * size) for side, size in zip(scene.box, (640, 360) * 2, strict=True))
        assert image[y1:y2, x1:x2].std() > 40  # the person
        assert np.delete(image, np.s_[x1 - 4 : x2 + 4], axis=1).std() < 4  # nothing else
    assert first.reel == ()
    assert first.footage.clip is None
    assert last.reel != ()


def test_the_clip_is_of_the_sightings_own_time_and_knows_where_the_person_is() -> None:
    (last,) = [handed(t) for t in walked(np.arange(0, 4.05, 0.1)) if t.closed]
    made = with_clip(last)
    assert made.reel == ()
    assert made.media.keys() == {part.digest for part in made.footage.parts()}
    clip = made.footage.clip
    assert clip is not None
    assert made.started_at <= clip.started_at
    assert clip.started_at + timedelta(seconds=clip.duration_s) <= made.ended_at
    seen = pictures(made.media[clip.digest])
    assert [at_s for at_s, _ in seen] == pytest.approx(np.arange(0, 3.95, 0.3), abs=0.001)
    assert clip.duration_s == pytest.approx(3.9)
    assert clip.boxes[0].at_s == 0
    assert clip.boxes[-1].at_s == pytest.approx(3.9)
    for one in clip.boxes:
        _, image = min(seen, key=lambda picture: abs(picture[0] - one.at_s))
        columns = np.flatnonzero(image[150:250].std(axis=(0, 2)) > 20)
        assert one.box[0] * 640 == pytest.approx(columns.min(), abs=6)


def test_a_clip_never_mixes_day_and_night() -> None:
    closed = [with_clip(handed(t)) for t in walked(np.arange(0, 6, 0.1), night_from_s=3.0) if t.closed]
    assert [one.modality for one in closed] == [Modality.VISIBLE, Modality.INFRARED]
    for one, brightness in zip(closed, (GREY, 30), strict=True):
        assert one.footage.clip is not None
        seen = pictures(one.media[one.footage.clip.digest])
        assert len(seen) == 10
        assert all(abs(float(np.median(image)) - brightness) < 6 for _, image in seen)


def test_a_glimpse_and_an_installation_without_clips_have_none() -> None:
    for tracklets in (walked([0.0, 0.05, 0.1, 0.15]), walked(np.arange(0, 4, 0.1), clip_s=0.0)):
        made = with_clip(handed(tracklets[-1]))
        assert made.footage.clip is None
        assert made.footage.scene is not None
        assert len(made.media) == 1


def test_where_nothing_is_kept_of_whole_pictures_there_is_no_footage() -> None:
    builder = TrackletBuilder("door")
    image = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    tracks = Tracks(np.array([[20, 100, 80, 300]], np.float32), np.array([1]), np.ones(1, np.float32), np.array([0]))
    for i in range(12):
        builder.update(Frame("door", i, image, i / 5, START + timedelta(seconds=i / 5), Modality.VISIBLE), tracks)
    (closed,) = builder.close_all()
    made = with_clip(handed(closed))
    assert (made.footage, made.media) == (Footage(), {})
    assert made.marks is not None
    assert made.marks.score == pytest.approx(made.quality)


def test_a_stream_that_changes_its_format_still_makes_one_film() -> None:
    (last,) = [handed(t) for t in walked(np.arange(0, 2, 0.3)) if t.closed]
    small = cv2.imencode(".jpg", np.full((180, 320, 3), GREY, np.uint8))[1].tobytes()
    still = replace(last.reel[-1].still, jpeg=small, pts_s=9.0)
    made = with_clip(replace(last, reel=(*last.reel, replace(last.reel[-1], still=still))))
    assert made.footage.clip is not None
    assert {image.shape for _, image in pictures(made.media[made.footage.clip.digest])} == {(360, 640, 3)}


def test_footage_is_read_as_it_was_written() -> None:
    (last,) = [with_clip(handed(t)) for t in walked(np.arange(0, 4, 0.1)) if t.closed]
    told = last.footage.to_json()
    again = Footage.from_json(told)
    assert again.to_json() == told
    assert again.scene is not None
    assert last.footage.scene is not None
    assert again.scene.box == pytest.approx(last.footage.scene.box, abs=1e-4)
    assert Footage.from_json({}) == Footage()
    with pytest.raises(ValueError, match="digest: expected"):
        Footage.from_json({"scene": ["../../x", 0, 0, 0, 1, 1]})
