"""Checks the log at most every half minute, however many ask."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.audit.chain import Verification
from service.audit.log import AuditLog

__all__ = ["LastVerification", "Verifier"]

FRESH = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class LastVerification:
    """An outcome, and when it was found."""

    at: datetime
    outcome: Verification


class Verifier:
    """Remembers the last check of one process."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._lock = threading.Lock()
        self.last: LastVerification | None = None

    def fresh(self) -> LastVerification:
        """The last check, made anew when it is older than half a minute. May raise ``redis.RedisError``."""
        with self._lock:
            if self.last is None or datetime.now(UTC) - self.last.at > FRESH:
                self.last = LastVerification(datetime.now(UTC), self._audit.verify())
            return self.last
