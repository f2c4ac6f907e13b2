"""Keeps one camera from taking a whole core, whatever it sends."""

from __future__ import annotations

from typing import Any

__all__ = ["Governor"]

WINDOW_S = 1.0
BUSY = 0.8  # part of the time spent decoding above which a stream is too much
MAX_FPS = 120.0  # no camera needs more decoded
SHORTEST_HOLD_S, LONGEST_HOLD_S = 2.0, 60.0
LEVELS = ("DEFAULT", "NONREF", "NONKEY")


class Governor:
    """Lets the decoder leave out pictures nobody refers to, then all but key pictures, while a stream overloads it.

    Attributes:
        level: 0 decode all, 1 leave out non-reference pictures, 2 key pictures only.
    """

    def __init__(self, codec_context: Any) -> None:
        self.level = 0
        self._context = codec_context
        self._began_s = self._busy_s = 0.0
        self._packets = self._pictures = 0
        self._held_until_s = 0.0
        self._hold_s = SHORTEST_HOLD_S

    def after(self, began_s: float, ended_s: float, pictures: int) -> int:
        """Account for one packet (monotonic seconds of decoding); returns how many pictures were left out."""
        if self._began_s == 0.0:
            self._began_s = began_s
        self._busy_s += ended_s - began_s
        self._packets += 1
        self._pictures += pictures
        if ended_s - self._began_s >= WINDOW_S:
            self._judge(ended_s)
        return 1 if self.level and not pictures else 0

    def _judge(self, now_s: float) -> None:
        window_s = now_s - self._began_s
        overloaded = self._busy_s / window_s > BUSY or self._pictures / window_s > MAX_FPS
        calm = self._packets / window_s <= MAX_FPS and self._busy_s / window_s < BUSY / 2
        if overloaded and self.level < 2:
            self._set(self.level + 1)
            self._held_until_s = now_s + self._hold_s
            self._hold_s = min(self._hold_s * 2, LONGEST_HOLD_S)
        elif calm and self.level and now_s >= self._held_until_s:
            self._set(self.level - 1)
            self._held_until_s = now_s + SHORTEST_HOLD_S
        elif not self.level and now_s > self._held_until_s + LONGEST_HOLD_S:
            self._hold_s = SHORTEST_HOLD_S
        self._began_s, self._busy_s, self._packets, self._pictures = now_s, 0.0, 0, 0

    def _set(self, level: int) -> None:
        self.level = level
        self._context.skip_frame = LEVELS[level]
