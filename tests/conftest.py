"""What all tests share: a real RTSP server, and helpers under ``tests/support``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

# Before anything imports torch: threads that wait for each other make its small networks many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from support.cameras import RtspServer, encode, have_rtsp_server


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of H.264 at 10 fps, 320x240, in colour."""
    return encode(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture
def rtsp_server() -> Iterator[Callable[..., RtspServer]]:
    """Starts RTSP servers: ``rtsp_server({"gate": path}, auth={"gate": "user:password"}).urls["gate"]``."""
    if not have_rtsp_server():
        pytest.fail(
            "the tests need the RTSP server: apt install python3-gi gir1.2-gst-rtsp-server-1.0 "
            "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
        )
    servers: list[RtspServer] = []

    def start(cameras: dict[str, Path], **options: object) -> RtspServer:
        servers.append(RtspServer(cameras, **options))  # type: ignore[arg-type]
        return servers[-1].start()

    yield start
    for server in servers:
        server.kill()
