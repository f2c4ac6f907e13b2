"""When a camera was there and when it was not, as an operator reads it: stretches of time, interruptions, a sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.dashboard import strings
from service.dashboard.charts import Stretch
from service.dashboard.wording import Clock, span
from service.history import StateChange

__all__ = ["Availability", "Interruption", "availability"]

_OPENING_S = 60.0
_LOOKS = {
    "live": "live",
    "connecting": "trouble",
    "stalled": "trouble",
    "reconnecting": "trouble",
    "ended": "failed",
    "failed": "failed",
    "disabled": "off",
}


@dataclass(frozen=True, slots=True)
class Interruption:
    """From `start` on there were no pictures; `end` is None while it goes on. `what` says why, in order."""

    start: datetime
    end: datetime | None
    seconds: float
    what: str


@dataclass(frozen=True, slots=True)
class Availability:
    """Of one camera in a stretch of time.

    Attributes:
        share: of the time that it was meant to be live; None where nobody knows anything.
        interruptions: oldest first.
    """

    stretches: tuple[Stretch, ...]
    share: float | None
    interruptions: tuple[Interruption, ...]

    @property
    def told(self) -> str:
        """In one line."""
        if self.share is None:
            return strings.STATES["disabled"][0] if self.stretches else strings.NEVER_SEEN
        count = len(self.interruptions)
        longest = span(max((one.seconds for one in self.interruptions), default=0.0))
        text = strings.INTERRUPTIONS_SUM[min(count, 2)].format(count=f"{count:,}", longest=longest)
        return f"{strings.SHARE_LIVE.format(share=_percent(self.share))}, {text}"


def availability(changes: Sequence[StateChange], since: datetime, until: datetime, clock: Clock) -> Availability:
    """What changes of state come to, the first of them before `since` where it is known how it was then.

    Their reasons are shown as they are: as the reader may know them.
    """
    ends = [*(change.at for change in changes), until][1:]  # none where nothing is known yet
    held = [
        (change, max(change.at, since), end)
        for change, end in zip(changes, ends, strict=True)
        if end > since and max(change.at, since) < end
    ]
    stretches = tuple(
        Stretch(start, end, _LOOKS.get(change.state, "nobody"), _words(change, start, end, clock))
        for change, start, end in held
    )
    meant = sum((s.end - s.start).total_seconds() for s in stretches if s.look != "off")
    live = sum((s.end - s.start).total_seconds() for s in stretches if s.look == "live")
    return Availability(stretches, live / meant if meant else None, tuple(_interruptions(held, until)))


def _interruptions(held: Sequence[tuple[StateChange, datetime, datetime]], until: datetime) -> list[Interruption]:
    """Everything between two times of being live is one; a moment of connecting, because it was changed, is none."""
    found: list[Interruption] = []
    under_way: list[tuple[StateChange, datetime, datetime]] = []

    def close(end: datetime | None) -> None:
        if under_way:
            start = under_way[0][1]
            seconds = (under_way[-1][2] - start).total_seconds()
            if seconds > _OPENING_S or any(change.state != "connecting" for change, _, _ in under_way):
                said = dict.fromkeys(_why(change) for change, _, _ in under_way)
                found.append(Interruption(start, end, seconds, "; ".join(said)))
            under_way.clear()

    for change, start, end in held:
        if change.state in ("live", "disabled"):
            close(start)
        else:
            under_way.append((change, start, end))
    close(None)
    return found


def _why(change: StateChange) -> str:
    text = strings.LOST.get(change.state, change.state)
    return f"{text}: {change.reason}" if change.reason else text


def _words(change: StateChange, start: datetime, end: datetime, clock: Clock) -> str:
    state = strings.STATES[change.state][0] if change.state in strings.STATES else change.state
    text = strings.STRETCH.format(
        state=state, time=span((end - start).total_seconds()), start=clock.short(start), end=clock.short(end)
    )
    return f"{text}\n{change.reason}" if change.reason else text


def _percent(share: float) -> str:
    """Never 100 where something was missing."""
    if share >= 0.9995:
        return "100%" if share == 1 else ">99.9%"
    return f"{share:.1%}"
