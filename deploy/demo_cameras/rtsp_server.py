#!/usr/bin/python3
"""Serve video files as RTSP cameras: in a loop, at their own rate, to any number of clients.

Runs with Debian's Python and GStreamer, not with the project's environment:

    apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly} gstreamer1.0-libav
    /usr/bin/python3 rtsp_server.py --camera gate=gate.mp4 --camera yard=yard.mp4 [--auth gate=user:password]

H.264 and H.265 are sent as they are in the file; anything else is encoded once, at the start. A camera goes on
like a real one: its clock starts with the server, clients join wherever it is now, and its time stamps never
jump back when the file begins anew. Once it listens it prints one line ``READY {"gate": "rtsp://..."}``.
Ends on SIGTERM, SIGINT, or when its standard input closes with ``--until-stdin-closes``.
"""

from __future__ import annotations

import argparse
import bisect
import json
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

LOAD_TIMEOUT_S = 120
PARSERS = {"video/x-h264": ("h264parse", "rtph264pay"), "video/x-h265": ("h265parse", "rtph265pay")}
EVERY_KEY = "config-interval=-1"  # parameter sets before every key picture: clients may join at any of them


@dataclass(frozen=True)
class Clip:
    """A file's coded pictures in memory: bytes, length in ns and whether one can begin there."""

    caps: str
    payloader: str
    pictures: list[bytes]
    starts_ns: list[int]
    is_key: list[bool]
    length_ns: int


def run_to_end(description: str, on_sample: Any = None) -> None:
    """Run a pipeline to its end, handing every sample of ``appsink name=out`` on; RuntimeError if it fails."""
    pipeline = Gst.parse_launch(description)
    sink = pipeline.get_by_name("out")
    pipeline.set_state(Gst.State.PLAYING)
    deadline = time.monotonic() + LOAD_TIMEOUT_S
    bus = pipeline.get_bus()
    try:
        while True:
            sample = sink.emit("try-pull-sample", 50 * Gst.MSECOND)
            if sample is not None:
                on_sample(sample)
                continue
            message = bus.pop_filtered(Gst.MessageType.ERROR)
            if message is not None:
                raise RuntimeError(message.parse_error()[0].message)
            if sink.get_property("eos"):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"not read within {LOAD_TIMEOUT_S} s")
    finally:
        pipeline.set_state(Gst.State.NULL)


def load(path: Path) -> Clip:
    """Read a video file into memory, coded. Raises RuntimeError for files that are no video."""
    location = str(path).replace("\\", "\\\\").replace('"', '\\"')
    for codec, (parser, payloader) in PARSERS.items():
        direct = f'filesrc location="{location}" ! parsebin ! {codec} ! {parser} {EVERY_KEY}'
        try:
            return collect(f"{direct} ! {codec},stream-format=byte-stream,alignment=au", codec, payloader)
        except (RuntimeError, GLib.Error):
            continue
    encoded = (
        f'filesrc location="{location}" ! decodebin ! videoconvert ! video/x-raw,format=I420 '
        f"! x264enc tune=zerolatency speed-preset=veryfast key-int-max=10 ! h264parse {EVERY_KEY} "
        "! video/x-h264,stream-format=byte-stream,alignment=au"
    )
    return collect(encoded, "video/x-h264", "rtph264pay")


def collect(source: str, codec: str, payloader: str) -> Clip:
    pictures: list[bytes] = []
    stamps: list[int] = []
    keys: list[bool] = []
    last_duration = [0]

    def take(sample: Any) -> None:
        buffer = sample.get_buffer()
        stamps.append(buffer.dts if buffer.dts != Gst.CLOCK_TIME_NONE else buffer.pts)
        keys.append(not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT))
        pictures.append(buffer.extract_dup(0, buffer.get_size()))
        if buffer.duration != Gst.CLOCK_TIME_NONE:
            last_duration[0] = buffer.duration

    run_to_end(f"{source} ! appsink name=out sync=false max-buffers=64", take)
    if len(pictures) < 2 or not any(keys):
        raise RuntimeError("no video in it")
    first = stamps[0]
    starts = [s - first for s in stamps]
    step = starts[-1] // (len(starts) - 1)
    if step <= 0:
        raise RuntimeError("no time stamps in it")
    caps = f"{codec},stream-format=byte-stream,alignment=au"
    return Clip(caps, payloader, pictures, starts, keys, starts[-1] + (last_duration[0] or step))


class Camera(GstRtspServer.RTSPMediaFactory):  # type: ignore[misc, name-defined]
    """One mount point. Its place in the clip depends on the server's clock alone."""

    def __init__(self, clip: Clip, started: float) -> None:
        super().__init__()
        self.clip = clip
        self.started = started
        self.set_shared(True)
        self.set_latency(0)

    def do_create_element(self, url: Any) -> Any:
        return Gst.parse_launch(
            f"( appsrc name=pictures is-live=true format=time do-timestamp=false max-bytes=8000000 "
            f"caps={self.clip.caps} ! {self.clip.payloader} name=pay0 pt=96 config-interval=-1 )"
        )

    def do_configure(self, media: Any) -> None:
        stop = threading.Event()
        source = media.get_element().get_by_name_recurse_up("pictures")
        media.connect("unprepared", lambda _media: stop.set())
        threading.Thread(target=self.play, args=(source, stop), daemon=True).start()

    def play(self, source: Any, stop: threading.Event) -> None:
        """Push pictures when they are due, stamped so that they go out at once and carry their true time."""
        clip = self.clip
        # A client is told what to expect before it plays, and that takes a key picture.
        key = next(i for i, is_key in enumerate(clip.is_key) if is_key)
        if not self.push(source, key, 0):
            return
        while source.get_state(0)[1] != Gst.State.PLAYING:
            if stop.wait(0.005):
                return
        clock, base_ns = source.get_clock(), source.get_base_time()
        ahead_ns = clock.get_time() - base_ns - int((time.monotonic() - self.started) * 1e9)
        rounds, place_ns = divmod(int((time.monotonic() - self.started) * 1e9), clip.length_ns)
        index = bisect.bisect_left(clip.starts_ns, place_ns)
        last_ns, joined = 0, False
        while not stop.is_set():
            if index == len(clip.pictures):
                rounds, index = rounds + 1, 0
            due_ns = rounds * clip.length_ns + clip.starts_ns[index]
            joined = joined or clip.is_key[index]
            if joined:
                if stop.wait(max(self.started + due_ns / 1e9 - time.monotonic(), 0.0)):
                    return
                last_ns = max(due_ns + ahead_ns, last_ns + Gst.MSECOND)
                if not self.push(source, index, last_ns):
                    return
            index += 1

    def push(self, source: Any, index: int, pts_ns: int) -> bool:
        buffer = Gst.Buffer.new_wrapped(self.clip.pictures[index])
        buffer.pts = buffer.dts = pts_ns
        if not self.clip.is_key[index]:
            buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
        return bool(source.emit("push-buffer", buffer) == Gst.FlowReturn.OK)


def protect(server: Any, factories: dict[str, Any], logins: dict[str, str], digest: bool) -> None:
    """Ask for a login at the cameras named in `logins`; the others stay open."""
    auth = GstRtspServer.RTSPAuth()
    everyone = GstRtspServer.RTSPToken()
    everyone.set_string("media.factory.role", "anonymous")
    auth.set_default_token(everyone)
    if digest:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    for name, factory in factories.items():
        permissions = GstRtspServer.RTSPPermissions()
        role = "anonymous"
        if name in logins:
            role = f"user-of-{name}"
            user, _, password = logins[name].partition(":")
            token = GstRtspServer.RTSPToken()
            token.set_string("media.factory.role", role)
            if digest:
                auth.add_digest(user, password, token)
            else:
                auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
            # Seen but not opened: a stranger is asked for a login instead of being told that there is no camera.
            permissions.add_permission_for_role("anonymous", "media.factory.access", True)
            permissions.add_permission_for_role("anonymous", "media.factory.construct", False)
        permissions.add_permission_for_role(role, "media.factory.access", True)
        permissions.add_permission_for_role(role, "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.set_auth(auth)


def pairs(values: list[str], what: str) -> dict[str, str]:
    split = dict(v.split("=", 1) for v in values if "=" in v)
    if len(split) != len(values):
        sys.exit(f"{what}: expected name=value, each name once")
    return split


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve video files as RTSP cameras.")
    parser.add_argument("--port", type=int, default=8554, help="0 for any free one")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--camera", action="append", default=[], metavar="NAME=FILE", required=True)
    parser.add_argument("--auth", action="append", default=[], metavar="NAME=USER:PASSWORD")
    parser.add_argument("--digest", action="store_true", help="digest instead of basic authentication")
    parser.add_argument("--until-stdin-closes", action="store_true")
    args = parser.parse_args()
    Gst.init(None)

    clips: dict[str, Clip] = {}
    by_file: dict[str, Clip] = {}
    for name, file in pairs(args.camera, "--camera").items():
        try:
            clips[name] = by_file[file] = by_file.get(file) or load(Path(file))
        except (RuntimeError, GLib.Error) as error:
            sys.exit(f"{name}: {file} cannot be served: {error}")

    server = GstRtspServer.RTSPServer()
    server.set_address(args.address)
    server.set_service(str(args.port))
    started = time.monotonic()
    factories = {name: Camera(clip, started) for name, clip in clips.items()}
    for name, factory in factories.items():
        server.get_mount_points().add_factory(f"/{name}", factory)
    if args.auth:
        protect(server, factories, pairs(args.auth, "--auth"), args.digest)
    if server.attach(None) == 0:
        sys.exit(f"port {args.port} of {args.address} cannot be listened on")
    port = server.get_bound_port()

    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, loop.quit)
    if args.until_stdin_closes:
        # The parent holds the other end: when it dies, however it dies, the cameras end too.
        threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print("READY", json.dumps({n: f"rtsp://{args.address}:{port}/{n}" for n in factories}), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
