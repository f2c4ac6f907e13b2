"""Cameras over a real RTSP server, and servers that only pretend to be cameras."""

from __future__ import annotations

import io
import itertools
import signal
import socket
import threading
import time
from pathlib import Path

import av
import cv2
import pytest
from support.cameras import encode, http, moving, talker, wait_for

from pipeline.camera import CameraConfig, CameraState
from pipeline.camera_url import UrlPolicy
from pipeline.sources import (
    CameraSource,
    SourceError,
    SourceRefused,
    SourceTimedOut,
    SourceUnauthorized,
    SourceUnreachable,
    SourceUnsupported,
    probe,
)

LOCAL = UrlPolicy(allow_loopback=True)


def camera(url: str, **options) -> CameraConfig:
    timeouts = {"open_timeout_s": 3.0, "read_timeout_s": 2.0}
    return CameraConfig(id="gate", name="Gate", url=url, **{**timeouts, **options})


def test_frames_come_at_the_cameras_rate_and_time_never_falls(rtsp_server, tmp_path):
    # Shorter than the test, so the file begins anew while we watch.
    server = rtsp_server({"gate": encode(tmp_path / "short.mp4", 15, key_every=5, audio=True)})
    frames, began_s = [], time.monotonic()
    with CameraSource(camera(server.urls["gate"]), LOCAL) as source:
        while len(frames) < 30:
            frame = source.take(3.0)
            assert frame is not None
            frames.append((frame.pts_s, frame.captured_at, time.time()))
            assert frame.image.shape == (240, 320, 3)
        report = source.report()
    passed_s = time.monotonic() - began_s
    assert 2.5 < passed_s < 6.0, "30 pictures at 10 a second"
    steps = [b[0] - a[0] for a, b in itertools.pairwise(frames)]
    assert min(steps) > 0
    assert all(a[1] <= b[1] for a, b in itertools.pairwise(frames))
    assert all(-0.1 < seen - captured.timestamp() < 1.5 for _, captured, seen in frames)
    assert report.state is CameraState.LIVE
    assert (report.codec, report.width_px, report.height_px) == ("h264", 320, 240)
    assert report.error is None
    assert report.frames_taken == 30
    assert report.frames_decoded == 30 + report.frames_dropped.get("superseded", 0) or report.frames_decoded == 31
    assert report.clock_offset_s is not None
    assert abs(report.clock_offset_s) < 0.5


def test_only_the_newest_picture_waits(rtsp_server, clip):
    server = rtsp_server({"gate": clip})
    with CameraSource(camera(server.urls["gate"]), LOCAL) as source:
        assert source.take(3.0) is not None
        time.sleep(1.0)
        first, second = source.take(0.0), source.take(0.0)
        assert first is not None
        assert second is None
        assert time.time() - first.captured_at.timestamp() < 0.5
        dropped = source.report().frames_dropped["superseded"]
    assert dropped >= 5


def test_a_killed_camera_is_back_soon_after_its_return(rtsp_server, clip):
    server = rtsp_server({"gate": clip})
    with CameraSource(camera(server.urls["gate"]), LOCAL) as source:
        assert source.take(3.0) is not None
        server.kill()
        wait_for(lambda: source.state is CameraState.RECONNECTING, 3.0)
        time.sleep(3.0)
        assert source.report().error_kind == "unreachable"
        decoded = source.report().frames_decoded
        server.start()
        assert wait_for(lambda: source.report().frames_decoded > decoded, 10.0, "the camera's return") < 10.0
        report = source.report()
    assert report.reconnects == 1
    assert report.error is None


def test_a_frozen_camera_stalls_times_out_and_comes_back(rtsp_server, clip):
    server = rtsp_server({"gate": clip})
    with CameraSource(camera(server.urls["gate"], read_timeout_s=1.0, open_timeout_s=1.0), LOCAL) as source:
        assert source.take(3.0) is not None
        server.kill(signal.SIGSTOP)
        wait_for(lambda: source.report().error_kind == "timed_out", 5.0)
        server.kill(signal.SIGCONT)
        decoded = source.report().frames_decoded
        wait_for(lambda: source.report().frames_decoded > decoded, 10.0)


@pytest.mark.parametrize("digest", [False, True])
def test_passwords(rtsp_server, clip, digest):
    server = rtsp_server({"gate": clip}, auth={"gate": "admin:p@ss:w#rd"}, digest=digest)
    place = server.urls["gate"].removeprefix("rtsp://")
    found = probe(f"rtsp://admin:p@ss:w#rd@{place}", LOCAL, 5.0)
    assert (found.codec, found.width_px, found.height_px) == ("h264", 320, 240)
    assert found.fps == pytest.approx(10.0, abs=0.5)
    for login in ("", "admin:wrong@", "other:p%40ss%3Aw%23rd@"):
        with pytest.raises(SourceUnauthorized) as caught:
            probe(f"rtsp://{login}{place}", LOCAL, 5.0)
        assert "wrong@" not in str(caught.value)
        assert "w#rd" not in str(caught.value)
    with CameraSource(camera(f"rtsp://admin:wrong@{place}"), LOCAL) as source:
        wait_for(lambda: source.state is CameraState.FAILED, 5.0)
        assert source.report().error_kind == "unauthorized"
        assert source.take(0.0) is None


def test_no_such_stream(rtsp_server, clip):
    url = rtsp_server({"gate": clip}).urls["gate"] + "-none"
    with pytest.raises(SourceError, match="no such stream"):
        probe(url, LOCAL, 5.0)


def test_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(SourceUnreachable, match="refused"):
        probe(f"rtsp://admin:secret@127.0.0.1:{port}/x", LOCAL, 2.0)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_accepts_and_never_answers(scheme):
    with talker(lambda _connection, stop: stop.wait(20)) as port:
        began_s = time.monotonic()
        with pytest.raises(SourceTimedOut):
            probe(f"{scheme}://127.0.0.1:{port}/x", LOCAL, 1.0)
        assert time.monotonic() - began_s < 3.0
        source = CameraSource(camera(f"{scheme}://127.0.0.1:{port}/x", open_timeout_s=30.0), LOCAL)
        source.start()
        time.sleep(0.3)
        began_s = time.monotonic()
        source.close()
        assert time.monotonic() - began_s < 2.0, "close waits for nobody"


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
def test_one_byte_a_second(scheme):
    def trickle(connection: socket.socket, stop: threading.Event) -> None:
        for byte in b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: " + b"x" * 100:
            connection.sendall(bytes([byte]))
            if stop.wait(0.3):
                return

    with talker(trickle) as port, pytest.raises((SourceTimedOut, SourceUnreachable)):
        probe(f"{scheme}://127.0.0.1:{port}/x", LOCAL, 1.2)


def test_redirects_are_never_followed():
    visited = threading.Event()

    def inside(_connection: socket.socket, _stop: threading.Event) -> None:
        visited.set()

    with talker(inside) as internal:
        away = f"Location: http://127.0.0.1:{internal}/x"
        with talker(http(f"HTTP/1.1 302 Found\n{away}\nContent-Length: 0")) as port, pytest.raises(SourceRefused):
            probe(f"http://127.0.0.1:{port}/x", LOCAL, 2.0)
        away = f"rtsp://127.0.0.1:{internal}/x"
        for head in (
            f"RTSP/1.0 302 Found\nCSeq: 1\nLocation: {away}",
            f"RTSP/1.0 301 Moved\nCSeq: 1\nloCATion: {away}",
            f"RTSP/1.0 200 OK\nCSeq: 1\nContent-Length: 9999\n\nRTSP/1.0 302 Found\nCSeq: 1\nLocation: {away}",
        ):
            with talker(http(head)) as port, pytest.raises(SourceRefused, match="redirects"):
                probe(f"rtsp://127.0.0.1:{port}/x", LOCAL, 2.0)
    assert not visited.is_set()


def test_a_redirect_in_pieces_with_stray_returns_is_not_followed():
    visited = threading.Event()

    def inside(_connection: socket.socket, _stop: threading.Event) -> None:
        visited.set()

    with talker(inside) as internal:

        def drip(connection: socket.socket, stop: threading.Event) -> None:
            connection.recv(4096)
            text = f"RTSP/1.0 302 Found\r\nCSeq: 1\r\nLoc\rat\rion: rtsp://127.0.0.1:{internal}/x\r\n\r\n"
            for character in text.encode():
                connection.sendall(bytes([character]))
                if stop.wait(0.002):
                    return
            stop.wait(2)

        with talker(drip) as port, pytest.raises(SourceRefused):
            probe(f"rtsp://127.0.0.1:{port}/x", LOCAL, 2.0)
    assert not visited.is_set()


def test_playlists_lead_nowhere():
    visited = threading.Event()

    def inside(_connection: socket.socket, _stop: threading.Event) -> None:
        visited.set()

    with talker(inside) as internal:
        target = f"http://127.0.0.1:{internal}/a.ts"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{target}\n#EXT-X-ENDLIST\n".encode()
        concat = f"ffconcat version 1.0\nfile '{target}'\n".encode()
        sdp = f"v=0\nc=IN IP4 127.0.0.1\nm=video {internal} RTP/AVP 96\na=rtpmap:96 H264/90000\n".encode()
        for body in (playlist, concat, sdp):
            head = f"HTTP/1.1 200 OK\nContent-Type: application/vnd.apple.mpegurl\nContent-Length: {len(body)}"
            with talker(http(head, body)) as port, pytest.raises(SourceError):
                probe(f"http://127.0.0.1:{port}/x.m3u8", LOCAL, 2.0)
    assert not visited.is_set()


def test_a_name_that_moves_inside_after_the_check_is_refused_at_the_next_connection():
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])

    def resolve(_host: str, _port: int) -> list[str]:
        return next(answers, ["169.254.169.254"])

    with (
        talker(lambda connection, _stop: connection.close()) as port,
        CameraSource(camera(f"rtsp://cam.lan:{port}/x"), LOCAL, resolve=resolve) as source,
    ):
        wait_for(lambda: source.report().error_kind == "refused", 5.0)
        assert source.state is CameraState.FAILED


def mjpeg_parts(count: int, **size: int) -> list[bytes]:
    draw = moving(**size)
    pictures = [cv2.imencode(".jpg", draw(n))[1].tobytes() for n in range(count)]
    return [
        f"--x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(p)}\r\n\r\n".encode() + p + b"\r\n" for p in pictures
    ]


MULTIPART = "HTTP/1.1 200 OK\nContent-Type: multipart/x-mixed-replace;boundary=x\nConnection: close"


def test_mjpeg_over_http_uses_arrival_as_clock():
    with (
        talker(http(MULTIPART, chunks=mjpeg_parts(40), every_s=0.1)) as port,
        CameraSource(camera(f"http://127.0.0.1:{port}/video"), LOCAL) as source,
    ):
        frames = [source.take(3.0) for _ in range(10)]
        report = source.report()
    assert all(f is not None for f in frames)
    spent_s = frames[-1].pts_s - frames[2].pts_s
    assert spent_s == pytest.approx((frames[-1].sequence - frames[2].sequence) * 0.1, rel=0.4)
    assert report.codec == "mjpeg"
    assert report.clock_offset_s is None


def test_the_resolution_may_change_mid_stream():
    parts = mjpeg_parts(10) + mjpeg_parts(10, width_px=640, height_px=480)
    with (
        talker(http(MULTIPART, chunks=parts, every_s=0.05)) as port,
        CameraSource(camera(f"http://127.0.0.1:{port}/video"), LOCAL) as source,
    ):
        shapes = set()
        wait_for(lambda: ((f := source.take(1.0)) is not None and shapes.add(f.image.shape)) or len(shapes) == 2, 8.0)
        assert source.report().size_changes == 1
    assert shapes == {(240, 320, 3), (480, 640, 3)}


def test_a_thousand_pictures_a_second_do_not_drown_the_camera():
    parts = mjpeg_parts(100, width_px=64, height_px=48) * 30
    with (
        talker(http(MULTIPART, chunks=parts, every_s=0.0005)) as port,
        CameraSource(camera(f"http://127.0.0.1:{port}/video"), LOCAL) as source,
    ):
        assert source.take(3.0) is not None
        time.sleep(2.0)
        frame, report = source.take(1.0), source.report()
    assert frame is not None
    assert report.frames_dropped["superseded"] > 100


MPEGTS = "HTTP/1.1 200 OK\nContent-Type: video/mp2t\nConnection: close"


def transport_stream(tmp_path: Path, **options) -> bytes:
    return encode(tmp_path / "x.ts", 40, format_name="mpegts", **options).read_bytes()


def test_corrupt_packets_are_counted_and_survived(tmp_path):
    data = bytearray(transport_stream(tmp_path))
    for place in range(len(data) // 3, len(data) // 3 + 4000, 7):
        data[place] ^= 0xFF
    chunks = [bytes(data[i : i + 4000]) for i in range(0, len(data), 4000)]
    with (
        talker(http(MPEGTS, chunks=chunks, every_s=0.02)) as port,
        CameraSource(camera(f"http://127.0.0.1:{port}/x.ts"), LOCAL) as source,
    ):
        wait_for(lambda: source.report().frames_decoded >= 20, 10.0)
        report = source.report()
    assert report.frames_dropped.get("corrupt", 0) > 0


def test_a_stream_without_key_pictures_times_out(tmp_path):
    source_file = encode(tmp_path / "long.mp4", 60, key_every=600)
    buffer = io.BytesIO()
    with av.open(str(source_file)) as given, av.open(buffer, "w", format="mpegts") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None and not packet.is_keyframe:
                packet.stream = stream
                made.mux(packet)
    data = buffer.getvalue()
    chunks = [data[i % len(data) :][:1000] for i in range(0, 400_000, 1000)]
    with (
        talker(http(MPEGTS, chunks=chunks, every_s=0.02)) as port,
        CameraSource(camera(f"http://127.0.0.1:{port}/x.ts", read_timeout_s=1.0), LOCAL) as source,
    ):
        wait_for(lambda: source.report().error_kind in ("timed_out", "corrupt"), 10.0)
        assert source.report().frames_decoded == 0


def test_pictures_too_large_are_refused_before_they_are_decoded():
    jpeg = bytearray(cv2.imencode(".jpg", moving()(0))[1].tobytes())
    start = jpeg.index(b"\xff\xc0")
    jpeg[start + 5 : start + 9] = (16384).to_bytes(2, "big") * 2
    part = f"--x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode() + bytes(jpeg) + b"\r\n"
    with (
        talker(http(MULTIPART, chunks=[part] * 400, every_s=0.02)) as port,
        pytest.raises((SourceUnsupported, SourceTimedOut)),
    ):
        probe(f"http://127.0.0.1:{port}/video", LOCAL, 2.0)


def test_a_dead_camera_does_not_touch_its_neighbours(rtsp_server, clip):
    server = rtsp_server({"gate": clip})
    with talker(lambda _connection, stop: stop.wait(20)) as mute:
        dead = [f"rtsp://127.0.0.1:{mute}/x", f"http://127.0.0.1:{mute}/x", "rtsp://127.0.0.1:1/x", "exec:x"]
        others = [CameraSource(camera(url, open_timeout_s=1.0), LOCAL) for url in dead]
        for other in others:
            other.start()
        with CameraSource(camera(server.urls["gate"]), LOCAL) as source:
            assert source.take(3.0) is not None
            before = source.report().frames_decoded
            time.sleep(2.0)
            assert source.report().frames_decoded - before >= 15
        assert {o.state for o in others} <= {CameraState.RECONNECTING, CameraState.FAILED, CameraState.CONNECTING}
        for other in others:
            other.close()
