"""Every place in Redis where vectors lie, listed once for `tapetum gallery rekey`."""

from __future__ import annotations

from service import search_store
from service.alerts import keys as alert_keys
from service.api import photo_store
from service.gallery import keys
from service.gallery.rekey import SealedValues

__all__ = ["SEALED_VALUES"]

SEALED_VALUES = (
    SealedValues(keys.RECORD, "other_vector", sealed_as="vector"),  # first: from here it moves to the next
    SealedValues(keys.RECORD, "vector"),
    SealedValues(alert_keys.ENTRY, "vectors"),
    SealedValues(search_store.PREFIX, search_store.PHOTOS),
    SealedValues(photo_store.PREFIX),
)
