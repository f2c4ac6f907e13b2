"""One connection to a camera or one pass through a file: from an allowed address to decoded pictures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import av
import av.error

from pipeline.camera_url import CheckedUrl
from pipeline.sources.errors import (
    SourceBroken,
    SourceCorrupt,
    SourceError,
    SourceNotFound,
    SourceRefused,
    SourceTimedOut,
    SourceUnauthorized,
    SourceUnreachable,
    SourceUnsupported,
)
from pipeline.sources.governor import Governor
from pipeline.sources.picture import Picture
from pipeline.sources.relay import Relay

__all__ = ["MAX_SIDE_PX", "Connection"]

MAX_SIDE_PX = 8192
# Formats that hold pictures themselves. Playlists and scripts (hls, concat, sdp, image2 ...) name other addresses.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,ivf,obu,flv,asf,ogg,"
    "mjpeg,mpjpeg,nut,mxf,wtv,dv"
)
WITHOUT_CLOCK = ("mpjpeg", "mjpeg", "h264", "hevc", "m4v", "mpegvideo")  # their time stamps are invented


class Connection:
    """An open camera or file.

    Attributes:
        live: pictures come when they come; False for recordings, which wait.
        codec, width_px, height_px: of the newest picture; sizes are 0 until known.
        nominal_fps: what the stream says of itself, or None.
        dropped: pictures and packets that did not become pictures, by reason; shared with the caller.
    """

    def __init__(
        self,
        url: CheckedUrl,
        *,
        open_timeout_s: float,
        read_timeout_s: float,
        dropped: Counter[str],
        register: Any = None,
    ) -> None:
        """Open. Raises SourceError.

        Args:
            register: called with the relay as soon as there is one, so that another thread can cut it.
        """
        self.dropped = dropped
        self.size_changes = 0
        self.width_px = self.height_px = 0
        self._url = url
        self._read_timeout_s = read_timeout_s
        self._relay: Relay | None = None
        self._container: Any = None
        try:
            self._open(open_timeout_s, register)
        except BaseException:
            self.close()
            raise

    def _open(self, open_timeout_s: float, register: Any) -> None:
        began = time.monotonic()
        name, format_name, options = self._request(open_timeout_s, register)
        left_s = max(open_timeout_s - (time.monotonic() - began), 0.5)
        try:
            self._container = av.open(
                name,
                format=format_name,
                container_options=options,
                options={"max_pixels": str(MAX_SIDE_PX**2)},
                timeout=(left_s, self._read_timeout_s),
            )
        except (av.error.FFmpegError, ValueError, RuntimeError) as error:
            raise self._translate(error, f"within {open_timeout_s:g} s of connecting") from None
        videos = [s for s in self._container.streams.video if s.codec_context is not None]
        if not videos:
            raise SourceUnsupported(f"{self._url.origin} holds no video that can be decoded.")
        self._stream = videos[0]
        context = self._stream.codec_context
        context.thread_count = 1  # one camera is one core at most; many cameras share the machine
        context.options = {"max_pixels": str(MAX_SIDE_PX**2)}
        self.codec = str(context.name)
        self._check_size(context.width, context.height)
        formats = self._container.format.name.split(",")
        duration_s = (self._container.duration or 0) / 1e6
        self.live = self._url.kind == "rtsp" or (self._url.kind == "http" and duration_s <= 0)
        self.has_clock = not (self.live and any(f in WITHOUT_CLOCK for f in formats))
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.nominal_fps = float(rate) if rate and 0 < rate <= 1000 else None

    def _request(self, open_timeout_s: float, register: Any) -> tuple[str, str | None, dict[str, str]]:
        url = self._url
        if url.file is not None:
            return f"file:{url.file}", None, {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        self._relay = Relay(url, open_timeout_s)
        if register is not None:
            register(self._relay)
        name = url.through("127.0.0.1", self._relay.port)
        if url.kind == "rtsp":
            return (
                name,
                "rtsp",
                {
                    "rtsp_transport": "tcp",
                    "allowed_media_types": "video",
                    "protocol_whitelist": "rtsp,tcp",
                    # The session description has what the decoder needs: no long look at the stream first.
                    "probesize": "4096",
                    "fpsprobesize": "0",
                },
            )
        return (
            name,
            None,
            {
                "protocol_whitelist": "http,tcp",
                "format_whitelist": FORMATS,
                "headers": f"Host: {url.origin}\r\n",
                "max_redirects": "0",
                "probesize": "500000",
                "analyzeduration": "1000000",
            },
        )

    def recorded_at(self) -> datetime:
        """When a recording began, UTC: what the file says, else its last change, else now."""
        text = self._container.metadata.get("creation_time")
        try:
            moment = datetime.fromisoformat(text) if text else None
        except ValueError:
            moment = None
        if moment is None or moment.year < 1990:  # an unset clock
            changed_s = self._url.file.stat().st_mtime if self._url.file is not None else time.time()
            return datetime.fromtimestamp(changed_s, UTC)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)

    def pictures(self) -> Iterator[Picture]:
        """Every picture until the end. Live streams never end by themselves: SourceBroken. Raises SourceError."""
        governor = Governor(self._stream.codec_context) if self.live else None
        last_picture_s = time.monotonic()
        packets = 0
        try:
            for packet in self._container.demux(self._stream):
                arrival_s, began_s = time.time(), time.monotonic()
                packets += 1
                if packet.is_corrupt:
                    self.dropped["corrupt"] += 1
                decoded = self._decode(packet)
                if governor is not None:
                    self.dropped["overload"] += governor.after(began_s, time.monotonic(), len(decoded))
                if decoded:
                    last_picture_s = began_s
                elif (
                    self.live and began_s - last_picture_s > self._read_timeout_s and not (governor and governor.level)
                ):
                    raise SourceTimedOut(
                        f"{self._url.origin} sent {packets} packets in {began_s - last_picture_s:.0f} s "
                        "and no picture that can be decoded."
                    )
                for native in decoded:
                    yield self._picture(native, arrival_s)
        except (av.error.FFmpegError, RuntimeError) as error:
            raise self._translate(error, f"for {self._read_timeout_s:g} s") from None
        if self.live:
            raise self._ended()

    def _decode(self, packet: Any) -> list[Any]:
        try:
            decoded = list(packet.decode())
        except (av.error.FFmpegError, ValueError):
            self.dropped["corrupt"] += 1
            return []
        whole = [f for f in decoded if not f.is_corrupt]
        self.dropped["corrupt"] += len(decoded) - len(whole)
        return whole

    def _picture(self, native: Any, arrival_s: float) -> Picture:
        if (native.width, native.height) != (self.width_px, self.height_px):
            self._check_size(native.width, native.height, required=True)
            self.size_changes += self.width_px != 0
            self.width_px, self.height_px = native.width, native.height
        pts_s = float(native.pts * native.time_base) if native.pts is not None and native.time_base else None
        if not self.has_clock:
            pts_s = None
        epoch_us = self._container.start_time_realtime if self.live and pts_s is not None else None
        stream_s = epoch_us / 1e6 + pts_s if epoch_us and pts_s is not None else None
        return Picture(native, pts_s, arrival_s, stream_s)

    def _check_size(self, width_px: int, height_px: int, *, required: bool = False) -> None:
        if max(width_px, height_px) > MAX_SIDE_PX or (required and min(width_px, height_px) < 1):
            raise SourceUnsupported(
                f"{self._url.origin} has pictures of {width_px}x{height_px} pixels; "
                f"1x1 to {MAX_SIDE_PX}x{MAX_SIDE_PX} are supported."
            )

    def _ended(self) -> SourceError:
        return SourceBroken(f"{self._url.origin} ended the stream.")

    def _translate(self, error: Exception, silence: str) -> SourceError:
        """FFmpeg's error as one of ours. Its own text is not used: it holds the address with the password."""
        place, status = self._url.origin, self._relay.status if self._relay else None
        if (self._relay is not None and self._relay.redirected) or status in range(300, 400):
            return SourceRefused(f"{place} redirects to another address, which is not followed.")
        if status in (401, 403, 407) or isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
            wrong = "the user name or password is wrong" if self._url.username else "it asks for a login"
            return SourceUnauthorized(f"{place} refuses access: {wrong}.")
        if status in (404, 410) or isinstance(error, av.error.HTTPNotFoundError | av.error.FileNotFoundError):
            return SourceNotFound(f"{place} has no such stream.")
        if status is not None and status >= 400:
            return SourceUnreachable(f"{place} answers with error {status}.")
        if isinstance(error, av.error.ExitError | av.error.TimeoutError):
            came = self._relay.received_bytes if self._relay else 0
            return SourceTimedOut(f"{place} is connected but silent {silence} ({came} bytes came in all).")
        if isinstance(error, av.error.InvalidDataError | ValueError) and self._url.kind != "rtsp":
            return SourceCorrupt(f"{place} is not a video, or is damaged beyond use.")
        if isinstance(error, av.error.PermissionError):
            return SourceRefused(f"{place} may not be read by this process.")
        if isinstance(error, av.error.LookupError | av.error.PatchWelcomeError | av.error.NotImplementedError):
            return SourceUnsupported(f"{place} uses a format that cannot be decoded.")
        if self._url.kind == "file":
            return SourceCorrupt(f"{place} cannot be read as video.")
        return SourceBroken(f"The connection to {place} broke.")

    def close(self) -> None:
        """Say goodbye to the camera and free everything. Safe to call twice; from the reading thread only."""
        container, self._container = self._container, None
        if container is not None:
            container.close()
        if self._relay is not None:
            self._relay.close()
