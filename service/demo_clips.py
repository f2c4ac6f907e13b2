"""The demo's cameras: a filmed world of known people that ships with the package, and a server that plays it.

The films are rendered (`tapetum synth clips`, see docs/synthetic.md): twenty people walk past cameras by day, at night,
and one that changes from day to night. Nobody in them exists.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from models.synthetic.clip_files import CameraClip, read_clips

__all__ = ["DEMO_WORLD", "DemoCameras", "demo_clips", "start_demo_cameras"]

DEMO_WORLD = Path(__file__).with_name("demo_world")
SYSTEM_PYTHON = Path("/usr/bin/python3")
SERVER = Path(__file__).resolve().parent.parent / "deploy" / "demo_cameras" / "rtsp_server.py"
START_TIMEOUT_S = 60.0


def demo_clips() -> tuple[CameraClip, ...]:
    """The demo's cameras. DataError if the films are not there."""
    return read_clips(DEMO_WORLD).cameras


class DemoCameras:
    """The clips as cameras, for as long as the context lasts.

    Attributes:
        urls: address of each camera by its id.
        over_rtsp: whether they are RTSP streams; otherwise they are the files themselves.
        reason: why not, in a sentence; None over RTSP.
    """

    def __init__(self, urls: dict[str, str], reason: str | None, server: subprocess.Popen[str] | None) -> None:
        self.urls = urls
        self.over_rtsp = server is not None
        self.reason = reason
        self._server = server

    @property
    def pid(self) -> int | None:
        """The RTSP server's process."""
        return self._server.pid if self._server is not None else None

    def close(self) -> None:
        """End the server; safe to call twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.terminate()
        try:
            server.wait(3.0)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        for pipe in (server.stdin, server.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def start_demo_cameras(
    clips: Sequence[CameraClip],
    port: int = 0,
    *,
    python: Path = SYSTEM_PYTHON,
    server: Path = SERVER,
) -> DemoCameras:
    """Play the clips over RTSP on this machine (`port` 0: any free one), or hand on the files where that cannot be.

    Args:
        python: an interpreter that has GStreamer's bindings.
        server: the script `deploy/demo_cameras/rtsp_server.py`.
    """
    command = [str(python), str(server), "--port", str(port), "--until-stdin-closes"]
    for clip in clips:
        command += ["--camera", f"{clip.id}={clip.video}"]
    files = {clip.id: str(clip.video) for clip in clips}
    if not python.is_file() or not server.is_file():
        return DemoCameras(files, f"{python if not python.is_file() else server} is not there.", None)
    # The interpreter is another one than ours: what is set for ours must not reach it.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    cameras = DemoCameras({}, None, process)
    try:
        line = _first_line(process)
    except BaseException:
        cameras.close()
        raise
    if not line.startswith("READY "):
        cameras.close()
        return DemoCameras(
            files,
            "the RTSP server did not start; it needs Debian's packages python3-gi, gir1.2-gst-rtsp-server-1.0, "
            "gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad.",
            None,
        )
    cameras.urls = json.loads(line.removeprefix("READY "))
    return cameras


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # noqa: S101 - we asked for the pipe
    deadline_s = time.monotonic() + START_TIMEOUT_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if selector.select(max(deadline_s - time.monotonic(), 0.0)):
            return process.stdout.readline()
    return ""
