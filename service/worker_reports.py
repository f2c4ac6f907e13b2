"""What each worker says about itself in Redis: which engines run, and how delivery to the gallery goes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, cast

import redis
import structlog

from models.runtime import EngineDescription
from service.gallery import GalleryUnavailable
from service.gallery.store import redis_at_work
from service.ingest import IngestStats

__all__ = ["REPORT_S", "WORKER_REPORT", "WorkerReport", "WorkerReports"]

log = structlog.get_logger("tapetum.workers")

WORKER_REPORT = "tapetum:worker:"  # + id: JSON
REPORT_S = 15
"""A worker that says nothing for so long is not shown any more."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """One worker. `engines` by purpose: detection, re-identification."""

    worker_id: str
    engines: dict[str, EngineDescription]
    delivery: IngestStats


class WorkerReports:
    """Reports of all workers."""

    def __init__(self, client: redis.Redis):
        self._redis = client

    def pin(self, report: WorkerReport) -> None:
        """Say it anew; while Redis is away it is dropped."""
        try:
            with redis_at_work():
                self._redis.set(WORKER_REPORT + report.worker_id, json.dumps(asdict(report)), ex=REPORT_S)
        except GalleryUnavailable as error:
            log.debug("worker not reported", reason=str(error))

    def read(self, worker_ids: Iterable[str]) -> tuple[WorkerReport, ...]:
        """The last reports of these workers, by id. Raises GalleryUnavailable when Redis cannot serve."""
        names = [WORKER_REPORT + one for one in sorted(worker_ids)]
        if not names:
            return ()
        with redis_at_work():
            found = cast("list[bytes | None]", self._redis.mget(names))
        return tuple(report for text in found if text is not None and (report := _parsed(text)) is not None)


def _parsed(text: bytes) -> WorkerReport | None:
    try:
        fields: dict[str, Any] = json.loads(text)
        engines = {purpose: EngineDescription(**engine) for purpose, engine in fields["engines"].items()}
        return WorkerReport(fields["worker_id"], engines, IngestStats(**fields["delivery"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("worker report cannot be read", reason=repr(error))
        return None
