"""Small charts as inline SVG, made on the server: they need no script, print well, and say in words what they show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from service.dashboard import strings
from service.dashboard.wording import Clock

__all__ = ["Chart", "Stretch", "availability_strip", "begin_of", "chart", "strip_legend", "time_axis"]

_WIDTH, _HEIGHT = 1000.0, 100.0
_MOST_LINES = 5
Points = Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """One small chart.

    Attributes:
        lines: points by name, oldest first; more than five are put together as others. Names are shown when there
            are several.
        words: writes a value, with its unit.
        signed: values may lie under nothing, and the axis has nothing in its middle.
    """

    title: str
    lines: Mapping[str, Points]
    words: Callable[[float], str]
    signed: bool = False


def begin_of(first: datetime | None, since: datetime, until: datetime) -> datetime:
    """Where charts from `since` on begin whose first figure is of `first`: with it, but an hour before `until`."""
    return max(since, min(first, until - timedelta(hours=1))) if first is not None else since


def chart(one: Chart, since: datetime, until: datetime, step_s: int, clock: Clock) -> str:
    """A figure: title and newest values, lines with gaps where nobody told anything, and the time below."""
    lines = {name: points for name, points in _few(one.lines).items() if points}
    title = escape(one.title)
    if not lines:
        nothing = f'<p class="tp-quiet">{escape(strings.NO_FIGURES)}</p>'
        return f'<figure class="tp-chart"><figcaption><b>{title}</b></figcaption>{nothing}</figure>'
    values = [value for points in lines.values() for _, value in points]
    top = _nice(max(abs(value) for value in values))
    low = -top if one.signed else 0.0
    axis = _Axis(since, until, step_s, low, top)
    newest = "; ".join(_named(name, one.words(points[-1][1]), lines) for name, points in lines.items())
    told = strings.CHART_SAYS.format(
        title=one.title, newest=newest, least=one.words(min(values)), most=one.words(max(values))
    )
    middle = f'<line class="tp-axis" x2="{_WIDTH:g}" y1="{_HEIGHT / 2:g}" y2="{_HEIGHT / 2:g}"/>' if one.signed else ""
    drawn = [
        f'<polyline class="tp-stroke-{number}" points="{axis.places(run)}"/>'
        for number, points in enumerate(lines.values())
        for run in _runs(points, step_s)
    ]
    return (
        f'<figure class="tp-chart"><figcaption><b>{title}</b><span>{escape(newest) if len(lines) == 1 else ""}</span>'
        f'</figcaption><div class="tp-chart-body"><div class="tp-chart-y" aria-hidden="true">'
        f"<span>{escape(one.words(top))}</span><span>{escape(one.words(low))}</span></div>"
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none" role="img" aria-label="{escape(told)}">'
        f"{middle}{''.join(drawn)}{''.join(_hovers(lines, axis, one.words, clock))}</svg></div>"
        f"{time_axis(since, until, clock)}{_legend(lines, one.words)}</figure>"
    )


def _named(name: str, text: str, lines: Mapping[str, Points]) -> str:
    return f"{name} {text}" if len(lines) > 1 else text


def _legend(lines: Mapping[str, Points], words: Callable[[float], str]) -> str:
    """Which line is which, and its newest value."""
    if len(lines) < 2:
        return ""
    keys = [
        f'<span><svg viewBox="0 0 18 4" aria-hidden="true"><line class="tp-stroke-{number}" x2="18" y1="2" y2="2"/>'
        f"</svg>{escape(name)} <b>{escape(words(points[-1][1]))}</b></span>"
        for number, (name, points) in enumerate(lines.items())
    ]
    return f'<div class="tp-chart-legend">{"".join(keys)}</div>'


def time_axis(since: datetime, until: datetime, clock: Clock, marks: int = 3) -> str:
    """Some moments below a chart, the first at its left end and the last at its right."""
    long = until - since > timedelta(days=2)
    moments = [since + (until - since) * n / (marks - 1) for n in range(marks)]
    texts = [clock.day(moment) if long else clock.hour(moment) for moment in moments]
    return f'<div class="tp-chart-x" aria-hidden="true">{"".join(f"<span>{escape(t)}</span>" for t in texts)}</div>'


@dataclass(frozen=True, slots=True)
class Stretch:
    """For how long something was so: `look` is one of live, trouble, failed, off and nobody; `words` say it all."""

    start: datetime
    end: datetime
    look: str
    words: str


# Height of a stretch: what is fine is tall, what is not is lower and hatched, so that colours need not be seen.
_LOOKS = {"live": 20, "trouble": 13, "failed": 8, "off": 2, "nobody": 4}


def availability_strip(stretches: Sequence[Stretch], since: datetime, until: datetime, says: str) -> str:
    """One line of time. Hovering tells of each stretch; `says` is what there is to know when it is not seen."""
    length_s = (until - since).total_seconds()
    drawn = []
    for one in sorted(stretches, key=lambda s: s.look != "live"):  # trouble is drawn upon what is fine
        start = max(0.0, (one.start - since).total_seconds()) / length_s * 1000
        end = min(length_s, (one.end - since).total_seconds()) / length_s * 1000
        width = max(end - start, 0 if one.look == "live" else 2.0)  # whatever happened can be seen
        height = _LOOKS[one.look]
        drawn.append(
            f'<rect class="tp-strip-{one.look}" x="{min(start, 998):.2f}" y="{20 - height}" width="{width:.2f}" '
            f'height="{height}"><title>{escape(one.words)}</title></rect>'
        )
    return (
        f'<svg class="tp-availability" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(says)}">{"".join(drawn)}</svg>'
    )


def strip_legend() -> str:
    """What heights and hatchings of strips mean."""
    keys = "".join(
        f'<span><svg class="tp-strip-key" viewBox="0 0 14 20" aria-hidden="true">'
        f'<rect class="tp-strip-{look}" y="{20 - height}" width="14" height="{height}"/></svg>'
        f"{escape(strings.LOOKS[look])}</span>"
        for look, height in _LOOKS.items()
    )
    return f'<div class="tp-chart-legend">{keys}</div>'


def _few(lines: Mapping[str, Points]) -> dict[str, Points]:
    """The greatest lines, and the rest as one."""
    if len(lines) <= _MOST_LINES:
        return dict(lines)
    by_size = sorted(lines, key=lambda name: -sum(value for _, value in lines[name]))
    rest: dict[datetime, float] = {}
    for name in by_size[_MOST_LINES - 1 :]:
        for at, value in lines[name]:
            rest[at] = rest.get(at, 0.0) + value
    return {**{name: lines[name] for name in by_size[: _MOST_LINES - 1]}, strings.OTHERS: sorted(rest.items())}


def _nice(value: float) -> float:
    """A round number not under a value, for an axis to end at."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    magnitude: float = 10.0 ** math.floor(math.log10(value))
    return next(n * magnitude for n in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if n * magnitude >= value * 0.999)


def _runs(points: Points, step_s: int) -> list[Points]:
    """Points without the gaps between them."""
    runs: list[list[tuple[datetime, float]]] = []
    for point in points:
        if runs and (point[0] - runs[-1][-1][0]).total_seconds() <= step_s * 1.5:
            runs[-1].append(point)
        else:
            runs.append([point])
    return [run if len(run) > 1 else [*run, (run[0][0] + timedelta(seconds=step_s * 0.6), run[0][1])] for run in runs]


@dataclass(frozen=True, slots=True)
class _Axis:
    since: datetime
    until: datetime
    step_s: int
    low: float
    top: float

    def left(self, at: datetime) -> float:
        """Of the step that begins then."""
        return (at - self.since) / (self.until - self.since) * _WIDTH

    @property
    def step(self) -> float:
        return timedelta(seconds=self.step_s) / (self.until - self.since) * _WIDTH

    def places(self, points: Points) -> str:
        """Each value in the middle of its step."""
        return " ".join(
            f"{min(max(self.left(at) + self.step / 2, 0.0), _WIDTH):.1f},"
            f"{_HEIGHT * (1 - (value - self.low) / (self.top - self.low)):.1f}"
            for at, value in points
        )


def _hovers(lines: Mapping[str, Points], axis: _Axis, words: Callable[[float], str], clock: Clock) -> list[str]:
    """What stands there when one points at a step."""
    by_time: dict[datetime, list[str]] = {}
    for name, points in lines.items():
        for at, value in points:
            by_time.setdefault(at, []).append(_named(name, words(value), lines))
    return [
        f'<rect x="{axis.left(at):.1f}" width="{axis.step:.1f}" height="{_HEIGHT:g}">'
        f"<title>{escape(chr(10).join([clock.minute(at), *texts]))}</title></rect>"
        for at, texts in by_time.items()
    ]
