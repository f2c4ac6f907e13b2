"""Views of media, gathered for a moment: a page of fifty pictures costs one entry, not fifty round trips.

A view is noted in memory and written at most `FLUSH_S` later, together with the others of the same account. So a
process that is killed can lose the views of that moment; nothing else in the log waits. When entries cannot be
written the notes pile up to a bound, and then pictures are refused like everything else.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import structlog

from service.audit.log import AuditLog, AuditUnavailable, Trail

__all__ = ["ViewNotes"]

log = structlog.get_logger("tapetum.audit")

FLUSH_S = 2.0
AGAIN_S = 60.0  # the same account at the same picture is noted once in this time
MAX_NOTES = 2000
MAX_ITEMS = 500  # of one entry


class ViewNotes:
    """Notes who looked at what, and writes it from a thread of its own."""

    def __init__(self, audit: AuditLog, *, flush_s: float = FLUSH_S) -> None:
        self._audit = audit
        self._flush_s = flush_s
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._notes: dict[tuple[str, Trail], dict[str, str]] = {}
        self._count = 0
        self._recent: dict[tuple[str, Trail, str], float] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="audit-views", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
        self._flush()

    def note(self, event: str, trail: Trail, item: str, camera: str) -> None:
        """Note one thing seen. Raises AuditUnavailable when too many notes could not be written."""
        who = replace(trail, request_id=None)
        now_s = time.monotonic()
        if self._count >= MAX_NOTES:
            self._flush()
        with self._lock:
            if now_s - self._recent.get((event, who, item), -AGAIN_S) < AGAIN_S:
                return
            if self._count >= MAX_NOTES:
                raise AuditUnavailable(event)
            self._recent[event, who, item] = now_s
            notes = self._notes.setdefault((event, who), {})
            self._count += item not in notes
            notes[item] = camera

    def _run(self) -> None:
        while not self._stop.wait(self._flush_s):
            self._flush()

    def _flush(self) -> None:
        """Write what was noted; what cannot be written stays noted."""
        with self._flushing:
            with self._lock:
                old_s = time.monotonic() - AGAIN_S
                self._recent = {key: at_s for key, at_s in self._recent.items() if at_s > old_s}
                notes, self._notes = self._notes, {}
            while notes:
                (event, trail), items = next(iter(notes.items()))
                part = dict(list(items.items())[:MAX_ITEMS])
                try:
                    self._audit.append(event, trail, items=part)
                except AuditUnavailable:
                    break
                for item in part:
                    del items[item]
                if not items:
                    del notes[event, trail]
            with self._lock:
                for key, items in notes.items():
                    self._notes[key] = items | self._notes.get(key, {})
                # Counted anew: what was noted before and during an outage may be the same.
                self._count = sum(map(len, self._notes.values()))
