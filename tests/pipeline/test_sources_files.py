"""Recordings: every picture, with back-pressure and a clock of their own."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import av
import cv2
import pytest
from support.cameras import encode, moving, wait_for

from pipeline.camera import CameraConfig, CameraState
from pipeline.camera_url import UrlPolicy
from pipeline.sources import CameraSource, SourceCorrupt, SourceError, SourceRefused, iter_frames, probe

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def source_of(path: Path, *, loop: bool = False, **options) -> CameraSource:
    config = CameraConfig(id="file", name="File", url=str(path), loop=loop)
    return CameraSource(config, UrlPolicy(file_roots=(path.parent,)), **options)


def test_every_picture_is_handed_on_however_slow_the_taker(clip):
    with source_of(clip, started_at=START) as source:
        time.sleep(0.5)
        assert source.report().frames_decoded < 30, "decoding waits for the taker"
        frames = []
        while (frame := source.take(5.0)) is not None:
            frames.append(frame)
            if len(frames) < 5:
                time.sleep(0.02)
        report = source.report()
        assert source.ended
    assert [f.sequence for f in frames] == list(range(30))
    assert [f.pts_s for f in frames] == pytest.approx([n / 10 for n in range(30)])
    assert frames[-1].captured_at.timestamp() == pytest.approx(START.timestamp() + 2.9)
    assert report.state is CameraState.ENDED
    assert report.frames_dropped == {}
    assert report.clock_offset_s is None


def test_a_loop_plays_at_its_own_rate_and_its_time_goes_on(tmp_path):
    path = encode(tmp_path / "five.mp4", 5)
    with source_of(path, loop=True) as source:
        began_s, frames = time.monotonic(), []
        while len(frames) < 14:
            frame = source.take(2.0)
            assert frame is not None
            frames.append(frame)
        spent_s = time.monotonic() - began_s
        assert source.report().pts_mended == 0
    steps = [(b.pts_s - a.pts_s) / (b.sequence - a.sequence) for a, b in itertools.pairwise(frames)]
    assert steps == pytest.approx([0.1] * len(steps), abs=0.01)
    assert spent_s == pytest.approx(frames[-1].pts_s, abs=0.5)
    assert abs(frames[-1].captured_at.timestamp() - time.time()) < 1.0


def test_iter_frames_gives_the_same_pictures(clip):
    frames = list(iter_frames(clip, started_at=START))
    assert len(frames) == 30
    assert frames[0].captured_at == START
    with source_of(clip, started_at=START) as source:
        taken = source.take(5.0)
    assert (taken.image == frames[0].image).all()


def test_the_recordings_start_is_what_the_file_says_else_its_date(clip, tmp_path):
    os.utime(clip, (1_700_000_000, 1_700_000_000))
    assert next(iter_frames(clip)).captured_at == datetime.fromtimestamp(1_700_000_000, UTC)
    dated = tmp_path / "dated.mp4"
    with av.open(str(clip)) as given, av.open(str(dated), "w") as made:
        made.metadata["creation_time"] = "2026-02-03T04:05:06Z"
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    assert next(iter_frames(dated)).captured_at == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_a_truncated_file_gives_what_is_left(tmp_path):
    whole = encode(tmp_path / "a.ts", 30, format_name="mpegts").read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    assert 10 <= len(list(iter_frames(cut))) < 30


def test_a_damaged_file_is_survived_and_counted(tmp_path):
    data = bytearray(encode(tmp_path / "a.ts", 60, format_name="mpegts").read_bytes())
    for place in range(len(data) // 3, len(data) // 2, 5):
        data[place] ^= 0x5A
    path = tmp_path / "damaged.ts"
    path.write_bytes(data)
    dropped: Counter[str] = Counter()
    frames = list(iter_frames(path, dropped=dropped))
    assert len(frames) >= 20
    assert dropped["corrupt"] > 0
    assert all(a.pts_s < b.pts_s for a, b in itertools.pairwise(frames))


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x00" * 100_000, os.urandom(50_000)])
def test_what_is_no_video_is_an_error_at_once(tmp_path, content):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError):
        next(iter_frames(path))
    with source_of(path) as source:
        assert source.take(5.0) is None
        assert source.state is CameraState.FAILED
        assert source.report().error_kind == "corrupt"
        assert source.ended


@pytest.mark.parametrize(
    "script",
    ["ffconcat version 1.0\nfile {target}\n", "#EXTM3U\n#EXTINF:5,\nfile://{target}\n#EXT-X-ENDLIST\n"],
)
def test_scripts_that_name_other_files_are_no_videos(clip, tmp_path, script):
    for name in ("x.mp4", "x.m3u8", "x.ffconcat"):
        path = tmp_path / name
        path.write_text(script.format(target=clip))
        with pytest.raises(SourceCorrupt):
            next(iter_frames(path))


def test_a_missing_file_and_one_outside(clip, tmp_path):
    with pytest.raises(SourceRefused, match="no video file"):
        next(iter_frames(tmp_path / "none.mp4"))
    with source_of(tmp_path / "none.mp4") as source:
        assert source.take(5.0) is None
        assert source.report().error_kind == "refused"
    with pytest.raises(SourceRefused):
        probe(str(clip), UrlPolicy(file_roots=(tmp_path,)))


def test_the_resolution_may_change_within_a_file(tmp_path):
    parts = [
        encode(tmp_path / f"{n}.ts", 15, draw=moving(*size), format_name="mpegts").read_bytes()
        for n, size in enumerate([(320, 240), (640, 480), (320, 240)])
    ]
    path = tmp_path / "all.ts"
    path.write_bytes(b"".join(parts))
    with source_of(path) as source:
        frames = []
        while (frame := source.take(5.0)) is not None:
            frames.append(frame)
        report = source.report()
    assert {f.image.shape[:2] for f in frames} == {(240, 320), (480, 640)}
    assert report.size_changes == 2
    assert len(frames) >= 40
    assert all(a.pts_s < b.pts_s for a, b in itertools.pairwise(frames)), "the parts begin at the same pts"
    assert report.pts_mended >= 1


def test_huge_pictures_are_refused(tmp_path):
    path = tmp_path / "huge.mjpeg"
    jpeg = bytearray(cv2.imencode(".jpg", moving()(0))[1].tobytes())
    start = jpeg.index(b"\xff\xc0")
    for size in ((16384, 16384), (0, 0), (64, 16384)):
        jpeg[start + 5 : start + 9] = size[0].to_bytes(2, "big") + size[1].to_bytes(2, "big")
        path.write_bytes(bytes(jpeg) * 5)
        try:
            pictures = list(iter_frames(path))
        except SourceError:
            continue
        assert pictures == []


def test_pictures_are_the_encoded_ones(tmp_path):
    draw = moving()
    path = encode(tmp_path / "a.mkv", 5, draw=draw, codec="mjpeg")
    for number, frame in enumerate(iter_frames(path)):
        assert abs(frame.image.astype(int) - draw(number)).mean() < 12


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_fifty_cameras_opened_and_closed_leave_nothing_behind(rtsp_server, clip):
    url = rtsp_server({"gate": clip}).urls["gate"]
    policy = UrlPolicy(allow_loopback=True, file_roots=(clip.parent,))
    urls = [url, str(clip), "rtsp://127.0.0.1:1/x"]

    def once(number: int) -> None:
        config = CameraConfig(id="c", name="c", url=urls[number % 3], loop=number % 2 == 0)
        source = CameraSource(config, policy)
        source.start()
        if number % 5 == 0:
            source.take(0.5)
        began_s = time.monotonic()
        source.close()
        assert time.monotonic() - began_s < 2.0

    once(0)  # what a library keeps for itself after its first use does not count
    once(1)
    threads, descriptors = threading.active_count(), open_descriptors()
    for number in range(50):
        once(number)
    wait_for(lambda: threading.active_count() <= threads, 3.0, "the end of all threads")
    wait_for(lambda: open_descriptors() <= descriptors, 3.0, "the end of all connections")
