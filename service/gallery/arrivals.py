"""What happened in the gallery since an answer was made, of what that answer was about."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from service.gallery.feed import Feed, FeedLostError
from service.gallery.records import GalleryFilter
from service.gallery.store import Gallery

__all__ = ["Arrivals", "Since"]

LOOKED_AT = 1000
"""Changes that are looked through; behind them counts are lower bounds."""


@dataclass(frozen=True, slots=True)
class Since:
    """Sightings that pass a filter.

    Attributes:
        new: that came; None when it is not known any more.
        revised: that were there and were written again, with a better vector or a later end; None likewise.
        exact: False when more happened than was looked through, so that there may be more of both.
    """

    new: frozenset[str] | None
    revised: frozenset[str] | None
    exact: bool = True

    @property
    def any(self) -> bool:
        """Whether something changed, or may have."""
        return self.new is None or bool(self.new) or bool(self.revised) or not self.exact


class Arrivals:
    """Reads the stream of changes. Raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis, gallery: Gallery) -> None:
        self._feed = Feed(client)
        self._gallery = gallery

    def since(self, position: str, filters: GalleryFilter) -> Since:
        """What changed after a position of the stream, in all replicas the same."""
        try:
            changes = self._feed.since(position, LOOKED_AT + 1)
        except FeedLostError:
            return Since(None, None, exact=False)
        exact = len(changes) <= LOOKED_AT
        put = [
            change
            for change in changes[:LOOKED_AT]
            if change.op == "put" and (filters.cameras is None or change.camera in filters.cameras)
        ]
        came = {change.id for change in put if change.new}
        records = self._gallery.get_many(list({change.id for change in put}))
        admitted = {one for one, record in records.items() if filters.admits(record)}
        return Since(frozenset(admitted & came), frozenset(admitted - came), exact)
