"""Everything besides gallery and media that an erasure must reach, listed once for the service and the console."""

from __future__ import annotations

import redis

from service.alerts import AlertStore, WatchlistStore
from service.cases import CaseStore, ExportStore
from service.gallery.erasable import Erasable
from service.reembedding.job import Jobs
from service.sealing import sealer_of
from service.search_store import SearchStore
from service.settings import Settings
from service.subjects import SubjectStore

__all__ = ["erasables"]


def erasables(client: redis.Redis, settings: Settings) -> tuple[Erasable, ...]:
    """In the order in which they forget."""
    sealer = sealer_of(settings)
    return (
        SubjectStore(client),
        CaseStore(client),
        ExportStore(client, settings.exports_dir, sealer),
        SearchStore(client, sealer),
        WatchlistStore(client, sealer),
        AlertStore(client),
        Jobs(client),
    )
