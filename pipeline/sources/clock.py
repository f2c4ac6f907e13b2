"""Two clocks for every picture: the stream's, mended, and the world's.

A camera's time stamps may stand still, jump back, wrap around or come from a clock that is a year off. What is
handed on never falls, and the world's time comes from the camera's clock only while that agrees with ours.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from datetime import UTC, datetime

from pipeline.sources.picture import Picture, StampedPicture

__all__ = ["LiveClock", "PtsMender", "Timeline"]

MAX_JUMP_S = 10.0  # a longer step in the time stamps than the time that passed is no pause but a fault
MAX_FILE_GAP_S = 3600.0  # recordings that stop while nothing moves have real gaps
CLOCK_TOLERANCE_S = 2.0  # a camera's clock further away than this is not believed
WINDOW_S = 60.0
SAMPLES = 50


class PtsMender:
    """Makes time stamps that never fall from whatever a stream has.

    Attributes:
        mended: how many had to be replaced.
    """

    def __init__(self, nominal_step_s: float = 0.1) -> None:
        self.mended = 0
        self._step_s = nominal_step_s
        self._raw: float | None = None
        self._out: float | None = None
        self._arrival_s = 0.0

    def mend(self, pts_s: float | None, arrival_s: float | None) -> float:
        """The next stamp in seconds. `arrival_s` is a monotonic clock for live streams, None for files."""
        if self._out is None:
            out = pts_s if pts_s is not None else 0.0
        else:
            passed_s = self._step_s if arrival_s is None else arrival_s - self._arrival_s
            step_s = pts_s - self._raw if pts_s is not None and self._raw is not None else None
            longest_s = passed_s + (MAX_JUMP_S if arrival_s is not None else MAX_FILE_GAP_S)
            if step_s is not None and 0 < step_s <= longest_s:
                out = self._out + step_s
            else:
                out = self._out + max(passed_s, 1e-3)
                self.mended += self._raw is not None  # the first packet of an RTSP stream often has none
        self._raw = pts_s if pts_s is not None else self._raw
        self._out = out
        self._arrival_s = arrival_s if arrival_s is not None else 0.0
        return out

    def forget(self) -> None:
        """The next stamp has nothing to do with the last one."""
        self._raw = None


class LiveClock:
    """When a live picture was taken, in UTC.

    With a clock in the stream that agrees with ours, that; otherwise the time of arrival, smoothed: a picture
    held up by the network was not taken later, so the smallest delay of the last minute counts for all.

    Attributes:
        offset_s: the camera's clock minus ours (its delay included), None while the stream carries none.
    """

    def __init__(self) -> None:
        self.offset_s: float | None = None
        self._offsets: deque[float] = deque(maxlen=SAMPLES)
        self._lowest: tuple[float, float] = (float("inf"), float("inf"))  # this window's and the last one's
        self._window_began_s = float("-inf")
        self._last_s = float("-inf")

    def captured_at(self, pts_s: float, arrival_s: float, stream_s: float | None) -> datetime:
        """UTC of a picture.

        Args:
            pts_s: mended time stamp.
            arrival_s: Unix time of arrival.
            stream_s: Unix time by the camera's clock, if the stream carries one.
        """
        delay_s = arrival_s - pts_s
        if arrival_s - self._window_began_s > WINDOW_S:
            self._lowest = (delay_s, self._lowest[0])
            self._window_began_s = arrival_s
        elif arrival_s < self._window_began_s:  # our own clock was set back
            self._lowest, self._window_began_s, self._last_s = (delay_s, delay_s), arrival_s, float("-inf")
        self._lowest = (min(self._lowest[0], delay_s), self._lowest[1])
        moment_s = min(arrival_s, pts_s + min(self._lowest))
        if stream_s is not None:
            self._offsets.append(stream_s - arrival_s)
            self.offset_s = statistics.median(self._offsets)
            if abs(self.offset_s) <= CLOCK_TOLERANCE_S and abs(stream_s - arrival_s) <= 2 * CLOCK_TOLERANCE_S:
                moment_s = min(stream_s, arrival_s)
        self._last_s = max(self._last_s, moment_s)
        return datetime.fromtimestamp(self._last_s, UTC)


class Timeline:
    """Stamps the pictures of one connection, or of one recording however often it is played."""

    def __init__(self, nominal_fps: float | None, started_at: datetime | None = None) -> None:
        """`started_at`: when a recording began, UTC; None for a live stream."""
        self._mender = PtsMender(1.0 / (nominal_fps or 10.0))
        self._live = LiveClock() if started_at is None else None
        self._start_s = started_at.timestamp() if started_at is not None else 0.0
        self._first_pts_s: float | None = None
        self._began_s = time.monotonic()
        self._sequence = 0

    @property
    def offset_s(self) -> float | None:
        return self._live.offset_s if self._live is not None else None

    def begin_again(self) -> None:
        """The recording starts anew; its time goes on."""
        self._mender.forget()

    def stamp(self, picture: Picture) -> StampedPicture:
        live = self._live
        pts_s = self._mender.mend(picture.pts_s, time.monotonic() if live is not None else None)
        if self._first_pts_s is None:
            self._first_pts_s, self._began_s = pts_s, time.monotonic()
        if live is not None:
            captured_at = live.captured_at(pts_s, picture.arrival_s, picture.stream_s)
        else:
            captured_at = datetime.fromtimestamp(self._start_s + pts_s - self._first_pts_s, UTC)
        stamped = StampedPicture(picture.native, self._sequence, pts_s, captured_at)
        self._sequence += 1
        return stamped

    def ahead_s(self, pts_s: float) -> float:
        """How long until a picture is due when a recording is played at its own rate."""
        return max(self._began_s + pts_s - (self._first_pts_s or 0.0) - time.monotonic(), 0.0)

    def take_mended(self) -> int:
        """Time stamps replaced since the last call."""
        mended, self._mender.mended = self._mender.mended, 0
        return mended
