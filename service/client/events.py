"""Server-sent events, as the HTML standard describes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Event", "events_in"]


@dataclass(frozen=True)
class Event:
    """One event; `retry_s` is what the server last said about how long to wait before coming back."""

    kind: str
    id: str
    data: str
    retry_s: float | None


def events_in(lines: Iterable[str]) -> Iterator[Event]:
    """The events in the lines of a stream; one without data only says how long to wait.

    One that the stream ends within is left out, for it is sent again.
    """
    kind, last_id, data, retry_s = "message", "", list[str](), None
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(kind, last_id, "\n".join(data), retry_s)
            kind, data = "message", []
        elif name == "event":
            kind = value
        elif name == "id":
            last_id = value
        elif name == "data":
            data.append(value)
        elif name == "retry" and value.isdecimal():
            retry_s = int(value) / 1000
            yield Event("retry", last_id, "", retry_s)
