"""What the nouns of the client have in common."""

from __future__ import annotations

from service.client.transport import Transport

__all__ = ["Noun"]


class Noun:
    """A part of the API."""

    def __init__(self, transport: Transport) -> None:
        self._api = transport
