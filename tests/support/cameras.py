"""A real RTSP server, clips, and cameras that misbehave, for the tests."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "deploy" / "demo_cameras" / "rtsp_server.py"
PYTHON = "/usr/bin/python3"


def have_rtsp_server() -> bool:
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    return Path(PYTHON).exists() and subprocess.run([PYTHON, "-c", check], capture_output=True).returncode == 0


class RtspServer:
    """`deploy/demo_cameras/rtsp_server.py`, which a test may kill, freeze and start again on the same port."""

    def __init__(self, cameras: dict[str, Path], *, auth: dict[str, str] | None = None, digest: bool = False):
        self._options = [f"--camera={name}={path}" for name, path in cameras.items()]
        self._options += [f"--auth={name}={login}" for name, login in (auth or {}).items()]
        self._options += ["--digest"] if digest else []
        self.port = 0
        self.urls: dict[str, str] = {}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> RtspServer:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self.process = subprocess.Popen(
            [PYTHON, str(SERVER), "--port", str(self.port), *self._options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 30)[0], "the RTSP server did not start"
        line = self.process.stdout.readline()
        assert line.startswith("READY "), line
        self.urls = json.loads(line.removeprefix("READY "))
        self.port = int(next(iter(self.urls.values())).split(":")[2].split("/")[0])
        return self

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it (or, with SIGSTOP and SIGCONT, freeze and thaw it)."""
        if self.process is None:
            return
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait(10)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


Draw = Callable[[int], np.ndarray]


def moving(width_px: int = 320, height_px: int = 240, *, grey: bool = False) -> Draw:
    """Coloured (or grey) ground with a bright square that wanders: every picture differs."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(40, 200, (12, 16, 1 if grey else 3)).astype(np.uint8)
    ground = np.repeat(np.repeat(coarse, -(-height_px // 12), 0), -(-width_px // 16), 1)[:height_px, :width_px]
    ground = np.broadcast_to(ground, (height_px, width_px, 3))

    def draw(number: int) -> np.ndarray:
        picture = ground.copy()
        x = (number * 7) % (width_px - 24)
        picture[20:44, x : x + 24] = 250
        return picture

    return draw


def encode(
    path: Path,
    frames: int = 30,
    *,
    draw: Draw | None = None,
    fps: int = 10,
    codec: str = "libx264",
    key_every: int = 10,
    audio: bool = False,
    format_name: str | None = None,
) -> Path:
    """Write a short video; `draw` gives picture n as ``uint8[H, W, 3]`` BGR."""
    draw = draw or moving()
    height_px, width_px = draw(0).shape[:2]
    options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(key_every)} if codec.startswith("libx26") else {}
    with av.open(str(path), "w", format=format_name) as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height = width_px, height_px
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        sound = container.add_stream("aac", rate=16000, layout="mono") if audio else None
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(number), format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
            if sound is not None:
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.float32), format="fltp", layout="mono")
                samples.sample_rate, samples.pts = 16000, number * 1600
                container.mux(sound.encode(samples))
        container.mux(stream.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))
    return path


@contextmanager
def talker(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """A TCP server on a free port that gives every connection to `answer`; yields the port."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            with suppress(OSError):
                answer(connection, stop)

    def accept() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        acceptor.join(5)
        for thread in threads:
            thread.join(6)
        listener.close()


def http(head: str, body: bytes = b"", *, chunks: Sequence[bytes] = (), every_s: float = 0.0):
    """An answer for `talker`: read one request, send status and headers, then the body and the chunks."""

    def answer(connection: socket.socket, stop: threading.Event) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            got = connection.recv(4096)
            if not got:
                return
            request += got
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        for chunk in chunks:
            if stop.wait(every_s):
                return
            connection.sendall(chunk)

    return answer


def wait_for(condition: Callable[[], object], timeout_s: float, what: str = "it") -> float:
    """Seconds until the condition held; fails the test after `timeout_s`."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() - began_s < timeout_s, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.02)
    return time.monotonic() - began_s
