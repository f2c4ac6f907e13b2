"""A camera's figures over time as charts, and as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from models.types import Modality
from pipeline.camera import CameraState
from service.api.schema_history import CameraHistoryBucket
from service.dashboard import strings
from service.dashboard.charts import Chart
from service.dashboard.wording import Clock, reason, reasons

__all__ = ["by_name", "by_reason", "camera_charts", "decimal", "figure_rows", "milliseconds", "points", "whole"]

Points = list[tuple[datetime, float]]


class _Bucket(Protocol):
    start: datetime


B = TypeVar("B", bound=_Bucket)


def camera_charts(items: Sequence[CameraHistoryBucket]) -> list[Chart]:
    """What is worth looking at, in order."""
    names = strings.CAMERA_CHARTS
    followed = [one for one in items if one.followed_s > 0]

    def hourly(one: CameraHistoryBucket, count: int) -> float:
        return count * 3600 / one.followed_s

    return [
        Chart(
            names["pictures"],
            {
                names["analysed"]: points(followed, lambda one: one.analysed_fps),
                names["decoded"]: points(followed, lambda one: one.decoded_fps),
            },
            decimal,
        ),
        Chart(names["latency"], {"": points(followed, lambda one: one.latency_p95_s)}, milliseconds),
        Chart(names["skipped"], by_reason(followed, lambda one: _rates(one.skipped, one.followed_s / 60)), decimal),
        Chart(names["reconnects"], {"": points(followed, lambda one: hourly(one, one.reconnects))}, decimal),
        Chart(names["clock"], {"": points(followed, lambda one: one.clock_offset_s)}, _offset, signed=True),
        Chart(names["tracklets"], {"": points(followed, lambda one: hourly(one, one.tracklets))}, decimal),
        Chart(
            names["refused"],
            by_reason(followed, lambda one: _rates(one.tracklets_refused, one.followed_s / 3600)),
            decimal,
        ),
        Chart(names["light"], {"": points(followed, _night)}, lambda share: f"{share:.0%}"),
    ]


def figure_rows(items: Sequence[CameraHistoryBucket], clock: Clock) -> list[list[str]]:
    """The newest first."""
    return [
        [
            clock.minute(one.start),
            f"{one.states_s.get(CameraState.LIVE, 0.0) / one.followed_s:.1%}" if one.followed_s else "",
            " / ".join(f"{one.light_s.get(light, 0.0) / 60:.0f} min" for light in Modality) if one.light_s else "",
            f"{one.analysed_fps:.1f}" if one.analysed_fps is not None else "",
            f"{one.decoded_fps:.1f}" if one.decoded_fps is not None else "",
            milliseconds(one.latency_p95_s) if one.latency_p95_s is not None else "",
            reasons(one.skipped),
            f"{one.reconnects:,}",
            f"{one.tracklets:,}",
            reasons(one.tracklets_refused),
            _offset(one.clock_offset_s) if one.clock_offset_s is not None else "",
        ]
        for one in reversed(items)
    ]


def points(items: Iterable[B], value: Callable[[B], float | None]) -> Points:
    """One value of each bucket, where it has one."""
    return [(one.start, found) for one in items if (found := value(one)) is not None]


def by_reason(items: Sequence[B], counts: Callable[[B], Mapping[str, float]]) -> dict[str, Points]:
    """A line for each reason that there is; where a bucket does not have it, it is nothing."""
    found = [(one.start, counts(one)) for one in items]
    names = sorted({name for _, there in found for name, count in there.items() if count})
    return {reason(name): [(at, there.get(name, 0.0)) for at, there in found] for name in names}


def by_name(items: Sequence[B], levels: Callable[[B], Mapping[str, float]]) -> dict[str, Points]:
    """A line for each name that there is, with gaps where it was not there."""
    names = sorted({name for one in items for name in levels(one)})
    return {name: [(one.start, there[name]) for one in items if name in (there := levels(one))] for name in names}


def decimal(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def whole(value: float) -> str:
    """A count, or the mean of some."""
    return f"{value:.2g}" if 0 < value < 1 else f"{value:,.0f}"


def milliseconds(seconds: float) -> str:
    if seconds >= 10:
        return f"{seconds:.0f} s"
    return f"{seconds * 1000:.3g} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"


def _offset(seconds: float) -> str:
    return f"{seconds:+.1f} s"


def _night(one: CameraHistoryBucket) -> float | None:
    known = sum(one.light_s.values())
    return one.light_s.get(Modality.INFRARED, 0.0) / known if known else None


def _rates(counts: Mapping[str, int], length: float) -> dict[str, float]:
    return {name: count / length for name, count in counts.items()}
