"""What else remembers sightings: subjects, cases, exports and others that an erasure must reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Erasable"]


class Erasable(Protocol):
    """A store that holds ids of sightings, or what was made of them.

    Both calls may raise GalleryUnavailable or MediaError; what was begun can be begun again. They come after the
    records are gone, so a store that takes only ids with a record cannot be given them back.
    """

    @property
    def name(self) -> str:
        """In the report: ``subjects``, ``cases``."""
        ...

    def erase(self, ids: Sequence[str]) -> int:
        """Forget the sightings. Returns in how many places they were."""
        ...

    def holds(self, ids: Sequence[str]) -> int:
        """In how many places they still are."""
        ...
