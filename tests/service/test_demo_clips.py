from __future__ import annotations

import gzip
import itertools
import os
import time
from pathlib import Path

import av
import numpy as np
import pytest
from support.cameras import encode, moving, wait_for

from models.types import Modality
from pipeline.camera import CameraConfig
from pipeline.camera_url import UrlPolicy
from pipeline.modality import photo_modality
from pipeline.sources import CameraSource, iter_frames
from service import demo_clips as module
from service.demo_clips import demo_clips, start_demo_cameras
from service.demo_scene import scene_frames


@pytest.fixture
def street(tmp_path, monkeypatch) -> Path:
    """A package folder with a short video in it, packed as Debian packs it."""
    folder = tmp_path / "opencv-doc" / "examples"
    folder.mkdir(parents=True)
    plain = encode(tmp_path / "vtest.avi", 40, draw=moving(320, 240), codec="mpeg4")
    (folder / "vtest.avi.gz").write_bytes(gzip.compress(plain.read_bytes()))
    monkeypatch.setattr(module, "STREET_PLACES", (str(folder.parent),))
    return plain


@pytest.fixture
def no_street(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "STREET_PLACES", (str(tmp_path / "none"),))
    monkeypatch.setattr(module, "_fetch_package", lambda _folder, _say: False)
    monkeypatch.setattr(module, "SCENE_LENGTH", 20)
    monkeypatch.setattr(module, "scene_frames", lambda: itertools.islice(scene_frames(), 20))


def test_three_cameras_are_made_from_the_street_video(street, tmp_path):
    said = []
    clips = demo_clips(tmp_path / "cache", lambda text, part: said.append((text, part)))
    assert [c.camera_id for c in clips] == ["plaza-east", "plaza-west", "plaza-night"]
    assert [c.simulated_infrared for c in clips] == [False, False, True]
    assert "simulated infrared" in clips[2].name
    assert all("opencv-doc" in c.origin for c in clips)
    parts = [part for text, part in said if text == "demo clips"]
    assert parts == sorted(parts)
    assert parts[-1] > 0.9
    for clip in clips:
        with av.open(str(clip.path)) as container:
            video = container.streams.video[0]
            assert (video.codec_context.name, video.width, video.height) == ("h264", 768, 576)
            assert video.average_rate == 10
            keys = [n for n, p in enumerate(p for p in container.demux(video=0) if p.size) if p.is_keyframe]
        assert keys == [0, 10, 20, 30]
    east, west, night = ([f.image for f in iter_frames(c.path)] for c in clips)
    assert len(east) == len(west) == len(night) == 40
    assert np.abs(west[0].astype(int) - east[20]).mean() < 4, "west begins half way through"
    assert np.abs(west[25].astype(int) - east[5]).mean() < 4, "and goes on with the beginning"
    assert [photo_modality(v[0]) for v in (east, west, night)] == [Modality.VISIBLE] * 2 + [Modality.INFRARED]
    red = [p[..., 2].astype(float).ravel() for p in (night[0], east[10][:, ::-1], east[10])]
    assert np.corrcoef(red[0], red[1])[0, 1] > 0.7 > np.corrcoef(red[0], red[2])[0, 1], "mirrored, a quarter later"


def test_the_second_time_they_are_found_and_half_made_ones_are_not(street, tmp_path):
    first = demo_clips(tmp_path / "cache")
    stamps = [c.path.stat().st_mtime_ns for c in first]
    assert demo_clips(tmp_path / "cache") == first
    assert [c.path.stat().st_mtime_ns for c in first] == stamps
    assert {p.name for p in (tmp_path / "cache" / "demo").iterdir()} == {c.path.name for c in first}


def test_without_the_street_video_a_scene_is_drawn_and_found_again(no_street, tmp_path):
    clips = demo_clips(tmp_path / "cache")
    assert all("ultralytics" in c.origin for c in clips)
    assert [photo_modality(next(iter_frames(c.path)).image) for c in clips] == [
        Modality.VISIBLE, Modality.VISIBLE, Modality.INFRARED,
    ]  # fmt: skip
    assert demo_clips(tmp_path / "cache") == clips


def test_the_scene_has_somebody_walking():
    pictures = list(itertools.islice(scene_frames(), 40, 60, 10))
    changed = np.abs(pictures[0].astype(int) - pictures[1]).max(2) > 40
    assert 0.005 < changed.mean() < 0.3
    assert pictures[0].shape == (576, 768, 3)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_the_clips_are_served_over_rtsp_and_the_server_ends_with_the_context(street, tmp_path):
    clips = demo_clips(tmp_path / "cache")
    with start_demo_cameras(clips) as cameras:
        assert cameras.over_rtsp
        assert cameras.reason is None
        assert set(cameras.urls) == {c.camera_id for c in clips}
        pid = cameras.pid
        assert pid is not None
        config = CameraConfig(id="night", name="Night", url=cameras.urls["plaza-night"])
        with CameraSource(config, UrlPolicy(allow_loopback=True)) as source:
            frame = source.take(5.0)
        assert frame is not None
        assert frame.image.shape == (576, 768, 3)
        assert photo_modality(frame.image) is Modality.INFRARED
    assert gone(pid)


def test_the_server_ends_when_its_parent_dies(street, tmp_path):
    clips = demo_clips(tmp_path / "cache")
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
def test_where_rtsp_cannot_be_had_the_files_are_the_cameras_and_the_reason_is_said(street, tmp_path, what):
    clips = demo_clips(tmp_path / "cache")
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
        assert cameras.urls == {c.camera_id: str(c.path) for c in clips}
    assert time.monotonic() - began_s < 10
    config = CameraConfig(id="east", name="East", url=cameras.urls["plaza-east"], loop=True)
    with CameraSource(config, UrlPolicy(file_roots=(clips[0].path.parent,))) as source:
        assert source.take(5.0) is not None
