"""What the nouns of the client have in common."""

from __future__ import annotations

from datetime import datetime

from service.client.transport import Transport

__all__ = ["Noun", "window"]


class Noun:
    """A part of the API."""

    def __init__(self, transport: Transport) -> None:
        self._api = transport


def window(since: datetime | None, until: datetime | None, step_s: int | None) -> dict[str, str | int | None]:
    """A stretch of time as the API is asked for it."""
    return {
        "since": since.isoformat() if since else None,
        "until": until.isoformat() if until else None,
        "step": step_s,
    }
