"""How long a run takes."""

from __future__ import annotations

import time

__all__ = ["Clock", "in_words"]

_PROGRESS_EVERY_S = 0.5
_SMOOTHING = 0.05


class Clock:
    """In all, a step (smoothed), since the last state and since the last sign of progress.

    Attributes:
        seconds_a_step: 0 before the first.
    """

    def __init__(self, before_s: float) -> None:
        """Go on after `before_s` seconds."""
        now = time.monotonic()
        self._begun = now - before_s
        self._step_begun = self._saved = self._shown = now
        self.seconds_a_step = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def step_begins(self) -> None:
        """After a pause that is no part of a step: validation, writing a state."""
        self._step_begun = time.monotonic()

    def step_done(self) -> None:
        now = time.monotonic()
        took, self._step_begun = max(now - self._step_begun, 1e-6), now
        if not self.seconds_a_step:
            self.seconds_a_step = took
        self.seconds_a_step += _SMOOTHING * (took - self.seconds_a_step)

    def save_is_due(self, every_s: float) -> bool:
        return time.monotonic() - self._saved >= every_s

    def saved(self) -> None:
        self._saved = time.monotonic()
        self.step_begins()

    def progress_is_due(self) -> bool:
        """At most twice a second."""
        now = time.monotonic()
        due = now - self._shown >= _PROGRESS_EVERY_S
        if due:
            self._shown = now
        return due


def in_words(seconds: float) -> str:
    """``2 h 10 min``, ``3 min``, ``20 s``."""
    minutes, hours = seconds / 60, int(seconds // 3600)
    if hours:
        return f"{hours} h {int(minutes) % 60} min"
    return f"{round(minutes)} min" if minutes >= 1 else f"{round(seconds)} s"
