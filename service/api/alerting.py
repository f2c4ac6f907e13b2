"""Watchlist, alerts and webhooks of one API process: their stores, and the threads that match and send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline.sealing import Sealer
from service.alerts import (
    AlertBell,
    AlertStore,
    Matcher,
    ModelInUse,
    WatchlistStore,
    WebhookSender,
    WebhookStore,
)
from service.alerts.alert import Draft
from service.alerts.webhook_address import WebhookPolicy
from service.audit import AuditLog
from service.gallery import Gallery
from service.metrics import Metrics
from service.security.accounts import AccountStore

__all__ = ["Alerting"]

EXPIRED_KEPT = timedelta(days=7)
"""An entry of the watchlist can be prolonged for so long after it expired."""
MAX_ALERTS = 100_000


class Alerting:
    """Everything about alerts. Matching begins with `use_model`, sending with `start`.

    Args:
        url: of Redis; may hold a password.
        sealer: of the vectors of entries.
        names: of cameras, by id.
    """

    def __init__(
        self,
        client: Any,
        url: str,
        sealer: Sealer,
        gallery: Gallery,
        accounts: AccountStore,
        audit: AuditLog,
        policy: WebhookPolicy,
        metrics: Metrics,
        names: Callable[[], Mapping[str, str]],
    ) -> None:
        self._redis, self._gallery, self._accounts, self._audit = client, gallery, accounts, audit
        self._metrics = metrics
        self.policy = policy
        self.watchlist = WatchlistStore(client, sealer)
        self.alerts = AlertStore(client)
        self.webhooks = WebhookStore(client)
        self.bell = AlertBell(url)
        self.sender = WebhookSender(
            self.webhooks,
            self.alerts,
            policy,
            names,
            lambda outcome: metrics.webhook_messages.labels(outcome).inc(),
        )
        self.matcher: Matcher | None = None

    @property
    def model(self) -> ModelInUse | None:
        """What sightings are compared by; None while it loads."""
        return self.matcher.model if self.matcher is not None else None

    def start(self) -> None:
        self.sender.start()

    def use_model(self, model: ModelInUse) -> None:
        """Match what comes, and what came while nobody did; by another model than before, if there was one."""
        if self.matcher is not None:
            self.matcher.stop()
        self.matcher = Matcher(
            self._redis,
            self._gallery,
            self._accounts,
            self.watchlist,
            self.alerts,
            model,
            webhooks=self.webhooks.wanting,
            on_raised=self._note,
            on_set_aside=self._metrics.alerts_set_aside.inc,
        )
        self.matcher.start()

    def stop(self) -> None:
        """End after what is under way."""
        if self.matcher is not None:
            self.matcher.stop()
        self.sender.stop()

    def tidy(self, now: datetime) -> bool:
        """End entries that expired a while ago, and bound how many alerts there are. Returns whether something went."""
        expired = self.watchlist.remove_expired(now - EXPIRED_KEPT)
        too_many = self.alerts.keep_newest(MAX_ALERTS)
        if expired or too_many:
            self._audit.append("watchlist.tidy", expired_entries=expired, oldest_alerts=too_many)
        return bool(expired or too_many)

    def backlog(self) -> int:
        """Changes of the gallery that wait to be matched. Raises GalleryUnavailable."""
        return self.matcher.backlog() if self.matcher is not None else 0

    def _note(self, _: Draft, latency_s: float) -> None:
        self._metrics.alerts.inc()
        self._metrics.alert_seconds.observe(latency_s)
        self.sender.wake()
