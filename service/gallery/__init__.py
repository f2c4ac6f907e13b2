"""The gallery: tracklets in Redis, their pictures in the media store, an exact vector index in each API process."""

from service.gallery.arrivals import Arrivals, Since
from service.gallery.erasure import Eraser, ErasureReport, HeldError, verify_erasure
from service.gallery.follow import IndexFollower
from service.gallery.holds import Hold, Holds
from service.gallery.index import IndexStats, SearchHits, VectorIndex
from service.gallery.media import MediaError, MediaStore
from service.gallery.records import CropRef, GalleryFilter, RecordError, TrackletRecord
from service.gallery.retention import Retention, Swept
from service.gallery.store import Gallery, GalleryUnavailable, Page, PutResult

__all__ = [
    "Arrivals",
    "CropRef",
    "Eraser",
    "ErasureReport",
    "Gallery",
    "GalleryFilter",
    "GalleryUnavailable",
    "HeldError",
    "Hold",
    "Holds",
    "IndexFollower",
    "IndexStats",
    "MediaError",
    "MediaStore",
    "Page",
    "PutResult",
    "RecordError",
    "Retention",
    "SearchHits",
    "Since",
    "Swept",
    "TrackletRecord",
    "VectorIndex",
    "verify_erasure",
]
