"""The gallery: tracklets in Redis, their pictures in the media store, an exact vector index in each API process."""

from service.gallery.follow import IndexFollower
from service.gallery.index import IndexStats, SearchHits, VectorIndex
from service.gallery.media import MediaError, MediaStore
from service.gallery.records import CropRef, GalleryFilter, RecordError, TrackletRecord
from service.gallery.store import Gallery, GalleryUnavailable, Page, PutResult

__all__ = [
    "CropRef",
    "Gallery",
    "GalleryFilter",
    "GalleryUnavailable",
    "IndexFollower",
    "IndexStats",
    "MediaError",
    "MediaStore",
    "Page",
    "PutResult",
    "RecordError",
    "SearchHits",
    "TrackletRecord",
    "VectorIndex",
]
