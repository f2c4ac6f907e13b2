"""A camera as the pipeline sees it: a thread that keeps a connection alive and always has the newest picture."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter, deque
from datetime import UTC, datetime

from av.video.reformatter import VideoReformatter

from pipeline.camera import CameraConfig, CameraState
from pipeline.camera_url import CameraUrlError, CheckedUrl, Resolver, UrlPolicy, check_camera_url, is_network_url
from pipeline.sources.backoff import SHORT_OUTAGE_S, backoff_s
from pipeline.sources.clock import Timeline
from pipeline.sources.connection import Connection
from pipeline.sources.errors import SourceError, SourceRefused
from pipeline.sources.picture import StampedPicture, to_frame
from pipeline.sources.relay import Relay
from pipeline.sources.report import SourceReport
from pipeline.types import Frame

__all__ = ["CameraSource"]

QUEUE_LENGTH = 4  # decoded pictures of a file that wait for the pipeline
STALLED_AFTER_S = 3.0
FPS_WINDOW_S = 5.0


class CameraSource:
    """One camera, kept open by its own thread from `start` to `close`.

    Live cameras (and files with ``config.loop``, which are played at their own rate) keep the newest picture only;
    recordings hand on every picture and wait for whoever takes them. Pictures are converted when they are taken.
    Nothing that happens to the camera is raised here: it is in `state` and `report`.
    """

    def __init__(
        self,
        config: CameraConfig,
        policy: UrlPolicy,
        *,
        started_at: datetime | None = None,
        realtime: bool | None = None,
        wake: threading.Event | None = None,
        resolve: Resolver | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Args:
        started_at: when a recording began, UTC; by default what the file says, else its date of change
            (the present for files played at their own rate).
        realtime: play files at their own rate, as if they were live; by default if ``config.loop``.
        wake: set whenever a picture or a change of state is there, so that one thread can wait for many cameras.
        resolve: name resolution, see `check_camera_url`.
        rng: for the jitter of the back-off.
        """
        self.config = config
        self._policy, self._resolve = policy, resolve
        self._started_at = started_at
        self._realtime = config.loop if realtime is None else realtime
        self._wake = wake
        self._rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._changed = threading.Condition()
        self._queue: deque[StampedPicture] = deque()
        self._stop = threading.Event()
        self._done = False
        self._relay: Relay | None = None
        # A recording is not opened again when it fails; until one is open, the address tells.
        self._recorded = not is_network_url(config.url)
        self._state = CameraState.CONNECTING
        self._error: SourceError | None = None
        self._codec: str | None = None
        self._size: tuple[int, int] | None = None
        self._dropped: Counter[str] = Counter()
        self._decoded = self._taken = self._connects = self._size_changes = self._mended = 0
        self._clock_offset_s: float | None = None
        self._times_s: deque[float] = deque(maxlen=1024)
        self._last_frame_s: float | None = None
        self._opened_s = time.monotonic()
        self._reformatter = VideoReformatter()
        self._take_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"camera-{config.id}", daemon=True)

    def start(self) -> None:
        """Connect, in the background."""
        self._opened_s = time.monotonic()
        self._thread.start()

    # -- for whoever takes the pictures ------------------------------------------------------------------------

    def take(self, timeout: float | None = None) -> Frame | None:
        """The newest picture of a live camera, the next one of a recording; each is handed out once.

        Args:
            timeout: seconds to wait; None waits until there is one or there will never be one, 0 does not wait.

        Returns:
            None when the time is over, the recording has ended, the source is closed or an open of a file failed.
        """
        with self._take_lock:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._over, timeout)
                if not self._queue or self._stop.is_set():
                    return None
                waiting = self._queue.popleft()
                self._taken += 1
                self._changed.notify_all()
            return to_frame(self.config.id, waiting, self._reformatter)

    @property
    def _over(self) -> bool:
        return self._stop.is_set() or self._done

    @property
    def ended(self) -> bool:
        """No more pictures will ever come: a recording is read and taken to its end, or the source is closed."""
        with self._changed:
            return self._over and not (self._queue and not self._stop.is_set())

    @property
    def state(self) -> CameraState:
        if self._state is CameraState.LIVE:
            last_s = self._last_frame_s
            if (
                (self._realtime or not self._recorded)
                and last_s is not None
                and time.monotonic() - last_s > STALLED_AFTER_S
            ):
                return CameraState.STALLED
        return self._state

    def report(self) -> SourceReport:
        """State and counters now; from any thread."""
        now_s = time.monotonic()
        with self._changed:
            recent = [t for t in self._times_s if now_s - t <= FPS_WINDOW_S]
            lasted_s = max(min(FPS_WINDOW_S, now_s - self._opened_s), 0.5)
            if len(recent) == self._times_s.maxlen:
                lasted_s = max(now_s - recent[0], 1e-3)
            last_s = self._last_frame_s
            size = self._size or (None, None)
            error = self._error
            return SourceReport(
                state=self.state,
                error=str(error) if error else None,
                error_kind=error.kind if error else None,
                codec=self._codec,
                width_px=size[0],
                height_px=size[1],
                decoded_fps=len(recent) / lasted_s,
                frames_decoded=self._decoded,
                frames_taken=self._taken,
                frames_dropped={reason: n for reason, n in self._dropped.items() if n},
                reconnects=max(self._connects - 1, 0),
                size_changes=self._size_changes,
                pts_mended=self._mended,
                clock_offset_s=self._clock_offset_s,
                last_frame_at=datetime.fromtimestamp(time.time() - (now_s - last_s), UTC) if last_s else None,
            )

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop and free everything; returns within `timeout_s` whatever the camera does."""
        deadline_s = time.monotonic() + timeout_s
        self._stop.set()
        with self._changed:
            self._queue.clear()
            self._changed.notify_all()
        if not self._thread.is_alive():
            return
        self._thread.join(min(0.3, timeout_s))  # a live camera gets a proper goodbye with its next picture
        if self._thread.is_alive() and (relay := self._relay) is not None:
            relay.close()
        self._thread.join(max(deadline_s - time.monotonic(), 0.0))

    def __enter__(self) -> CameraSource:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the camera's own thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._keep_connected()
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()
            if self._wake is not None:
                self._wake.set()

    def _keep_connected(self) -> None:
        attempt, lost_s, worked = 0, time.monotonic(), False
        while not self._stop.is_set():
            decoded_before = self._decoded
            try:
                self._read()
                return self._set_state(CameraState.ENDED)
            except SourceError as error:
                problem = error
            except Exception as error:
                # Whatever it is, it stays with this camera; its text could hold the address.
                problem = SourceError(f"Unexpected {type(error).__name__} while reading the camera.")
            if self._stop.is_set():
                return None
            if self._decoded > decoded_before:
                attempt, lost_s, worked = 0, time.monotonic(), True
            outage_s = time.monotonic() - lost_s
            # What worked a moment ago is not misconfigured: a camera that starts up answers strange things.
            persistent = problem.persistent and not (worked and outage_s < SHORT_OUTAGE_S)
            final = self._recorded and not self.config.loop
            self._set_state(CameraState.FAILED if persistent or final else CameraState.RECONNECTING, problem)
            if final:
                return None
            self._stop.wait(backoff_s(attempt, outage_s, persistent, self._rng))
            attempt += 1
        return None

    def _read(self) -> None:
        """Read until the recording ends (and again, if it loops) or something goes wrong. Raises SourceError."""
        try:
            url = check_camera_url(self.config.url, self._policy, resolve=self._resolve)
        except CameraUrlError as error:
            raise SourceRefused(str(error)) from None
        timeline: Timeline | None = None
        while True:
            with contextlib.closing(self._open(url)) as connection:
                if timeline is None:
                    timeline = self._timeline(connection)
                else:
                    timeline.begin_again()
                before = self._decoded
                for picture in connection.pictures():
                    waiting = timeline.stamp(picture)
                    if self._paced and self._stop.wait(timeline.ahead_s(waiting.pts_s)):
                        return
                    self._offer(waiting, connection, timeline)
                    if self._stop.is_set():
                        return
            if not self.config.loop or self._decoded == before:
                return

    def _open(self, url: CheckedUrl) -> Connection:
        connection = Connection(
            url,
            open_timeout_s=self.config.open_timeout_s,
            read_timeout_s=self.config.read_timeout_s,
            dropped=self._dropped,
            register=self._register,
        )
        self._recorded = not connection.live
        self._codec = connection.codec
        return connection

    def _register(self, relay: Relay) -> None:
        self._relay = relay
        if self._stop.is_set():  # close() came while we connected and found no relay to cut
            relay.close()

    def _timeline(self, connection: Connection) -> Timeline:
        self._connects += 1
        if connection.live:
            return Timeline(connection.nominal_fps)
        started_at = self._started_at or (datetime.now(UTC) if self._realtime else connection.recorded_at())
        return Timeline(connection.nominal_fps, started_at)

    @property
    def _paced(self) -> bool:
        return self._recorded and self._realtime

    def _set_state(self, state: CameraState, error: SourceError | None = None) -> None:
        with self._changed:
            self._state, self._error = state, error or (None if state is CameraState.LIVE else self._error)
            self._changed.notify_all()
        if self._wake is not None:
            self._wake.set()

    def _offer(self, waiting: StampedPicture, connection: Connection, timeline: Timeline) -> None:
        with self._changed:
            if self._recorded and not self._realtime:
                self._changed.wait_for(lambda: len(self._queue) < QUEUE_LENGTH or self._stop.is_set())
            elif self._queue:
                self._queue.clear()
                self._dropped["superseded"] += 1
            self._state, self._error = CameraState.LIVE, None
            self._decoded += 1
            self._last_frame_s = time.monotonic()
            self._times_s.append(self._last_frame_s)
            self._size = (connection.width_px, connection.height_px)
            self._size_changes += connection.size_changes
            connection.size_changes = 0
            self._mended += timeline.take_mended()
            self._clock_offset_s = timeline.offset_s
            if not self._stop.is_set():
                self._queue.append(waiting)
            self._changed.notify_all()
        if self._wake is not None:
            self._wake.set()
