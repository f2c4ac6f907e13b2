"""What one process says about itself over time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import psutil
import redis
import structlog

from service.gallery import GalleryUnavailable
from service.gallery.store import redis_at_work
from service.history.series import SYSTEM, SeriesRecorder

__all__ = ["ProcessRecorder"]

log = structlog.get_logger("tapetum.history")

EVERY_S = 10.0
Figures = Callable[[], Mapping[str, float]]


class ProcessRecorder:
    """A thread that looks every ten seconds how the process stands.

    Args:
        name: what the process is called; its memory is kept by it.
        levels: how things stand now, by name. It may raise GalleryUnavailable.
        counts: what happened since it was asked before, by name.
    """

    def __init__(self, client: redis.Redis, name: str, levels: Figures, counts: Figures = dict) -> None:
        self._redis = client
        self._name = name
        self._levels, self._counts = levels, counts
        self._series = SeriesRecorder(SYSTEM)
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10.0)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.note(time.time())
            except GalleryUnavailable as error:  # it is kept, and sent the next time
                log.debug("figures not written", reason=str(error)[:200])
            except Exception:
                log.exception("figures could not be read")

    def note(self, now_s: float) -> None:
        """Look, and write. Raises GalleryUnavailable, and has noted what could be seen."""
        self._series.sample(f"memory.{self._name}", self._process.memory_info().rss, now_s)
        for name, count in self._counts().items():
            self._series.count(name, count, now_s)
        for name, value in self._levels().items():
            self._series.sample(name, value, now_s)
        with redis_at_work():
            server = self._redis.info("memory")
            self._series.sample("memory.Redis", float(server["used_memory"]), now_s)
            with self._redis.pipeline(transaction=False) as pipe:
                for command in self._series.commands():
                    pipe.execute_command(*command)  # type: ignore[no-untyped-call]
                pipe.execute()
        self._series.sent()
