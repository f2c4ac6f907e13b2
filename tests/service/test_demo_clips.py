from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path

import av
import pytest
from support.cameras import wait_for

from models.synthetic.clip_files import read_truth
from models.types import Modality
from pipeline.camera import CameraConfig
from pipeline.camera_url import UrlPolicy
from pipeline.modality import ModalityJudge, photo_modality
from pipeline.sources import CameraSource, iter_frames
from service.demo_clips import DEMO_WORLD, demo_clips, start_demo_cameras


def test_the_demo_has_day_and_night_and_a_camera_that_changes():
    clips = demo_clips()
    lights = [[light for light, _ in clip.modalities] for clip in clips]
    assert lights.count([Modality.VISIBLE]) == 2
    assert lights.count([Modality.INFRARED]) == 2
    assert lights.count([Modality.VISIBLE, Modality.INFRARED]) == 1
    assert sum(file.stat().st_size for file in DEMO_WORLD.iterdir()) < 25e6, "it ships with the package"


def test_the_films_are_what_the_world_says_of_them():
    people: dict[Modality, set[int]] = {light: set() for light in Modality}
    for clip in demo_clips():
        with av.open(str(clip.video)) as container:
            video = container.streams.video[0]
            assert (video.codec_context.name, video.width, video.height) == ("h264", clip.width_px, clip.height_px)
            assert (video.average_rate, video.frames) == (clip.fps, clip.frames)
            keys = [n for n, p in enumerate(p for p in container.demux(video=0) if p.size) if p.is_keyframe]
        assert keys == list(range(0, clip.frames, clip.fps)), "who joins waits a second at most"
        truth = read_truth(clip)
        for frame, identity in zip(truth.frame.tolist(), truth.identity.tolist(), strict=True):
            people[clip.modality_at(frame - 1)].add(identity)
    both = people[Modality.VISIBLE] & people[Modality.INFRARED]
    assert len(both) >= 15, "most people are seen by day and at night"


def test_the_product_sees_when_the_camera_changes_its_light():
    (clip,) = [clip for clip in demo_clips() if clip.fixed_modality is None]
    judge = ModalityJudge()
    judged = [judge.judge(frame.image, frame.pts_s) for frame in iter_frames(clip.video)]
    changes = [i for i, (one, other) in enumerate(pairwise(judged)) if one is not other]
    assert [judged[0], judged[-1]] == [Modality.VISIBLE, Modality.INFRARED]
    assert len(changes) == 1
    assert 0 <= changes[0] - clip.modalities[1][1] <= 2 * clip.fps


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_the_clips_are_served_over_rtsp_and_the_server_ends_with_the_context():
    clips = demo_clips()
    with start_demo_cameras(clips) as cameras:
        assert cameras.over_rtsp
        assert cameras.reason is None
        assert set(cameras.urls) == {c.id for c in clips}
        pid = cameras.pid
        assert pid is not None
        config = CameraConfig(id="night", name="Night", url=cameras.urls["night-1"])
        with CameraSource(config, UrlPolicy(allow_loopback=True)) as source:
            frame = source.take(5.0)
        assert frame is not None
        assert frame.image.shape == (clips[0].height_px, clips[0].width_px, 3)
        assert photo_modality(frame.image) is Modality.INFRARED
    assert gone(pid)


def test_the_server_ends_when_its_parent_dies(tmp_path):
    clips = demo_clips()
    child = os.fork()
    if child == 0:  # pragma: no cover - dies without a word, as with kill -9
        cameras = start_demo_cameras(clips)
        (tmp_path / "pid").write_text(str(cameras.pid))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    pid = int((tmp_path / "pid").read_text())

    def ended() -> bool:
        return gone(pid) or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    wait_for(ended, 5.0, "the server's end")


@pytest.mark.parametrize("what", ["no python", "no gstreamer", "no server"])
def test_where_rtsp_cannot_be_had_the_files_are_the_cameras_and_the_reason_is_said(tmp_path, what):
    clips = demo_clips()
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    options = {
        "no python": {"python": tmp_path / "none"},
        "no gstreamer": {"python": broken},
        "no server": {"server": tmp_path / "none.py"},
    }[what]
    began_s = time.monotonic()
    with start_demo_cameras(clips, **options) as cameras:
        assert not cameras.over_rtsp
        assert cameras.pid is None
        assert cameras.reason
        assert cameras.urls == {c.id: str(c.video) for c in clips}
    assert time.monotonic() - began_s < 10
    config = CameraConfig(id="east", name="East", url=cameras.urls["day-1"], loop=True)
    with CameraSource(config, UrlPolicy(file_roots=(clips[0].video.parent,))) as source:
        assert source.take(5.0) is not None
