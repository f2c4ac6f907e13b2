"""Reading in the caller's own thread: a look at a camera, and the pictures of a file for command-line tools."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from av.video.reformatter import VideoReformatter

from pipeline.camera_url import CameraUrlError, Resolver, UrlPolicy, check_camera_url, is_network_url
from pipeline.sources.clock import Timeline
from pipeline.sources.connection import Connection
from pipeline.sources.errors import SourceError, SourceRefused, SourceTimedOut
from pipeline.sources.picture import StampedPicture, to_frame
from pipeline.sources.relay import Relay
from pipeline.types import Frame

__all__ = ["ProbeResult", "iter_frames", "probe"]

LIVE_PICTURES = 6  # of a live stream, to measure its rate and to see whether it carries a clock


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a look at a camera found.

    Attributes:
        frame: the first whole picture.
        fps: measured over the first pictures of a live stream; what a recording says of itself, or None.
        clock_offset_s: the camera's clock minus ours, None if it sends none (soon enough).
        opened_in_s: until the first picture was there.
    """

    frame: Frame = field(repr=False)
    codec: str
    fps: float | None
    width_px: int
    height_px: int
    clock_offset_s: float | None
    opened_in_s: float


def probe(
    url: object,
    policy: UrlPolicy,
    timeout_s: float = 10.0,
    *,
    camera_id: str = "probe",
    resolve: Resolver | None = None,
) -> ProbeResult:
    """Connect, wait for a picture, and hang up again, all within about `timeout_s`.

    Raises:
        SourceError: with what to tell the person who typed the address.
    """
    began_s = time.monotonic()
    try:
        checked = check_camera_url(url, policy, resolve=resolve)
    except CameraUrlError as error:
        raise SourceRefused(str(error)) from None
    relays: list[Relay] = []
    late = threading.Event()

    def cut() -> None:
        late.set()
        for relay in relays:
            relay.close()

    timer = threading.Timer(timeout_s, cut)
    timer.daemon = True
    timer.start()
    try:
        with contextlib.closing(
            Connection(
                checked,
                open_timeout_s=timeout_s,
                read_timeout_s=timeout_s,
                dropped=Counter(),
                register=relays.append,
            )
        ) as connection:
            timeline = _timeline(connection, None)
            seen: list[StampedPicture] = []
            opened_in_s = 0.0
            for picture in connection.pictures():
                seen.append(timeline.stamp(picture))
                opened_in_s = opened_in_s or time.monotonic() - began_s
                if len(seen) == LIVE_PICTURES or not connection.live:
                    break
            if not seen:
                raise SourceTimedOut(f"{checked.origin} holds no picture that can be decoded.")
            return ProbeResult(
                frame=to_frame(camera_id, seen[0], VideoReformatter()),
                codec=connection.codec,
                fps=_rate(seen) if connection.live else connection.nominal_fps,
                width_px=connection.width_px,
                height_px=connection.height_px,
                clock_offset_s=timeline.offset_s,
                opened_in_s=opened_in_s,
            )
    except SourceError:
        if late.is_set():
            raise SourceTimedOut(f"{checked.origin} sent no picture within {timeout_s:g} s.") from None
        raise
    finally:
        timer.cancel()


def iter_frames(
    source: str | Path,
    *,
    camera_id: str = "file",
    started_at: datetime | None = None,
    policy: UrlPolicy | None = None,
    open_timeout_s: float = 10.0,
    read_timeout_s: float = 10.0,
    dropped: Counter[str] | None = None,
) -> Iterator[Frame]:
    """Every picture of a file or stream, decoded and converted in the calling thread.

    Args:
        source: a file's path, or an address as for a camera.
        started_at: when the recording began, UTC; by default what the file says, else its date of change.
        policy: what is allowed; by default the file itself, and any camera including private networks and this
            machine: the person at the command line may look at what they name.
        dropped: counts what could not be decoded, by reason.

    Raises:
        SourceError: at the first step for what cannot be opened, later for what breaks on the way.
    """
    text = str(source)
    if policy is None:
        roots = () if is_network_url(text) else (Path(text).resolve().parent,)
        policy = UrlPolicy(allow_private=True, allow_loopback=True, file_roots=roots)
    try:
        checked = check_camera_url(text, policy)
    except CameraUrlError as error:
        raise SourceRefused(str(error)) from None
    reformatter = VideoReformatter()
    with contextlib.closing(
        Connection(
            checked,
            open_timeout_s=open_timeout_s,
            read_timeout_s=read_timeout_s,
            dropped=Counter() if dropped is None else dropped,
        )
    ) as connection:
        timeline = _timeline(connection, started_at)
        for picture in connection.pictures():
            yield to_frame(camera_id, timeline.stamp(picture), reformatter)


def _timeline(connection: Connection, started_at: datetime | None) -> Timeline:
    return Timeline(connection.nominal_fps, None if connection.live else started_at or connection.recorded_at())


def _rate(seen: list[StampedPicture]) -> float | None:
    """Pictures a second; the first stamp of an RTSP stream is often invented, so it does not count."""
    steps_s = [b.pts_s - a.pts_s for a, b in pairwise(seen[1:])]
    return round(1.0 / max(statistics.median(steps_s), 1e-3), 2) if steps_s else None
