"""The demo's three cameras: clips made once into the cache, and a server that plays them.

Best is Debian's street video (package opencv-doc), seen by two colour cameras and one with simulated infrared;
without it, a scene is drawn from the pictures inside the ultralytics package. A simulated infrared picture is
always called so: it has the look of one, not the physics.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import itertools
import json
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np

from models.weights import Progress
from pipeline.sources import iter_frames
from pipeline.types import Image
from service.demo_scene import SCENE_LENGTH, scene_frames

__all__ = ["DemoCameras", "DemoClip", "demo_clips", "start_demo_cameras"]

VERSION = 1  # of what the clips look like; part of their names
WIDTH_PX, HEIGHT_PX, FPS = 768, 576, 10
SYSTEM_PYTHON = Path("/usr/bin/python3")
SERVER = Path(__file__).resolve().parent.parent / "deploy" / "demo_cameras" / "rtsp_server.py"
START_TIMEOUT_S = 60.0
DOWNLOAD_TIMEOUT_S = 240.0
STREET_PLACES = ("/usr/share/doc/opencv-doc", "/usr/share/opencv4", "/usr/share/opencv", "/usr/share/opencv-doc")


@dataclass(frozen=True, slots=True)
class DemoClip:
    """One demo camera's video: H.264, 768x576, 10 fps, a key picture each second."""

    camera_id: str
    name: str
    path: Path
    simulated_infrared: bool
    origin: str


@dataclass(frozen=True, slots=True)
class _Plan:
    camera_id: str
    name: str
    start: float  # where in the video this camera begins, as a fraction
    infrared: bool


_PLANS = (
    _Plan("plaza-east", "Plaza east", 0.0, infrared=False),
    _Plan("plaza-west", "Plaza west", 0.5, infrared=False),
    _Plan("plaza-night", "Plaza night (simulated infrared)", 0.25, infrared=True),
)


def demo_clips(cache_dir: Path, progress: Progress | None = None) -> list[DemoClip]:
    """The demo's clips, made on first use (about a minute on one core) and found again in the cache.

    Args:
        cache_dir: clips lie in its folder ``demo``.
        progress: told what is being done and how far it is (0 to 1, None: unknown).

    Raises:
        RuntimeError: there is neither the street video nor the picture to draw one from.
    """
    say = progress or (lambda _text, _part: None)
    folder = cache_dir / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {"street": "vtest.avi of Debian's opencv-doc", "scene": "drawn from a picture in the ultralytics package"}
    possible = {
        kind: [
            DemoClip(p.camera_id, p.name, folder / f"{p.camera_id}-{kind}-{VERSION}.mp4", p.infrared, origin)
            for p in _PLANS
        ]
        for kind, origin in kinds.items()
    }
    for clips in possible.values():
        if all(clip.path.is_file() for clip in clips):
            return clips
    with contextlib.ExitStack() as stack:
        street = _street_video(stack, say)
        if street is not None:
            clips, length = possible["street"], _count(street)
            frames: Callable[[], Iterator[Image]] = functools.partial(_fitted, street)
        else:
            clips, length, frames = possible["scene"], SCENE_LENGTH, scene_frames
        for number, (plan, clip) in enumerate(zip(_PLANS, clips, strict=True)):
            _make(plan, clip.path, frames, length, _share(say, number))
    return clips


def _share(say: Progress, number: int) -> Callable[[float], None]:
    """Progress of one clip as progress of all."""
    return lambda part: say("demo clips", (number + part) / len(_PLANS))


# -- the street video ------------------------------------------------------------------------------------------


def _street_video(stack: contextlib.ExitStack, say: Progress) -> Path | None:
    """vtest.avi as installed, or out of Debian's package without installing it; None where there is none."""
    found = _find_street(STREET_PLACES)
    if found is None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tapetum-demo-")))
        found = _find_street((str(folder),)) if _fetch_package(folder, say) else None
    if found is not None and found.suffix == ".gz":
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tapetum-demo-")))
        with gzip.open(found) as packed, (folder / "vtest.avi").open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        found = folder / "vtest.avi"
    return found


def _find_street(places: Sequence[str]) -> Path | None:
    files = (f for place in places for f in Path(place).rglob("vtest.avi*") if f.suffix in (".avi", ".gz"))
    return next(files, None)


def _fetch_package(folder: Path, say: Progress) -> bool:
    """opencv-doc, unpacked under `folder`. Needs no root: apt only downloads, and dpkg-deb only unpacks."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    say("Debian's opencv-doc, for the demo's video", None)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
        subprocess.run(["apt-get", "download", "opencv-doc"], timeout=DOWNLOAD_TIMEOUT_S, **quiet)  # type: ignore[call-overload]
        package = next(folder.glob("opencv-doc*.deb"))
        subprocess.run(["dpkg-deb", "-x", package.name, "unpacked"], timeout=DOWNLOAD_TIMEOUT_S, **quiet)  # type: ignore[call-overload]
        return True
    return False


def _count(video: Path) -> int:
    with av.open(str(video)) as container:
        return int(container.streams.video[0].frames) or sum(1 for _ in container.demux(video=0))


def _fitted(video: Path) -> Iterator[Image]:
    for frame in iter_frames(video):
        if (frame.width_px, frame.height_px) == (WIDTH_PX, HEIGHT_PX):
            yield frame.image
        else:
            yield cv2.resize(frame.image, (WIDTH_PX, HEIGHT_PX))


# -- making a clip ---------------------------------------------------------------------------------------------


def _make(
    plan: _Plan, path: Path, frames: Callable[[], Iterator[Image]], length: int, say: Callable[[float], None]
) -> None:
    start = int(plan.start * length)
    turned = itertools.chain(itertools.islice(frames(), start, None), itertools.islice(frames(), start))
    pictures: Iterator[Image] = map(_simulated_infrared(), turned) if plan.infrared else turned
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    try:
        _encode(unfinished, pictures, lambda done: say(min(done / length, 1.0)))
        unfinished.replace(path)  # whole or not at all
    finally:
        unfinished.unlink(missing_ok=True)


def _encode(path: Path, pictures: Iterator[Image], say: Callable[[int], None]) -> None:
    options = {"preset": "veryfast", "tune": "zerolatency", "crf": "24", "g": str(FPS), "sc_threshold": "0"}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
            if number % FPS == 0:
                say(number)
        container.mux(stream.encode(None))


def _simulated_infrared() -> Callable[[Image], Image]:
    """Colour to what an infrared camera might show: one channel, lamp in the middle, sensor noise, mirrored."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[-1 : 1 : HEIGHT_PX * 1j, -1 : 1 : WIDTH_PX * 1j].astype(np.float32)
    lamp = 1.0 - 0.55 * np.clip(x**2 + y**2, 0, 1.6) / 1.6
    curve = (255 * (np.arange(256) / 255) ** 0.75).astype(np.float32)
    noises = [rng.normal(0, 3, (HEIGHT_PX, WIDTH_PX)).astype(np.float32) for _ in range(8)]

    def convert(picture: Image) -> Image:
        blue, _, red = cv2.split(picture[:, ::-1])
        # Near infrared looks more like red than like blue, and vegetation and cloth turn bright.
        single = cv2.addWeighted(red, 0.8, blue, 0.2, 0)
        noise = np.roll(noises[int(rng.integers(8))], tuple(rng.integers(0, 64, 2)), (0, 1))
        grey = np.clip(curve[single] * lamp + noise, 0, 255).astype(np.uint8)
        shown: Image = cv2.merge([grey, grey, grey])
        return shown

    return convert


# -- playing the clips -----------------------------------------------------------------------------------------


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
    clips: Sequence[DemoClip],
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
        command += ["--camera", f"{clip.camera_id}={clip.path}"]
    files = {clip.camera_id: str(clip.path) for clip in clips}
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
