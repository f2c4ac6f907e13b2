"""The watchlist, its alerts, and the webhooks that they are sent to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.api.schema_alerts import (
    AcknowledgementRequest,
    AlertInfo,
    AlertList,
    WatchEntryChange,
    WatchEntryCreate,
    WatchEntryInfo,
    WatchEntryList,
)
from service.api.schema_webhooks import (
    DeadLetterInfo,
    DeadLetterList,
    ResendRequest,
    Resent,
    WebhookChange,
    WebhookCreate,
    WebhookCreated,
    WebhookInfo,
    WebhookList,
    WebhookTest,
)
from service.client.noun import Noun

__all__ = ["AlertEvent", "Alerts", "Watchlist", "Webhooks"]


class Watchlist(Noun):
    def list(self, *, page_size: int = 200) -> Iterator[WatchEntryInfo]:
        """Newest first; pages are fetched as they are looked at."""
        return self._api.each(WatchEntryList, "/watchlist", limit=page_size)

    def get(self, entry_id: str) -> WatchEntryInfo:
        return self._api.get(WatchEntryInfo, f"/watchlist/{entry_id}")

    def add(self, entry: WatchEntryCreate, *, key: str | None = None) -> WatchEntryInfo:
        """Look for somebody among what comes in from now on, once for each `key`."""
        return self._api.create(WatchEntryInfo, "/watchlist", entry, key)

    def change(self, entry_id: str, change: WatchEntryChange) -> WatchEntryInfo:
        return self._api.call(WatchEntryInfo, "PATCH", f"/watchlist/{entry_id}", change)

    def end(self, entry_id: str) -> None:
        """Its alerts stay."""
        self._api.send("DELETE", f"/watchlist/{entry_id}")


@dataclass(frozen=True)
class AlertEvent:
    """An alert of the stream.

    Attributes:
        id: where the stream stands; keep it to go on after it, see `Alerts.stream`.
    """

    id: str
    alert: AlertInfo


class Alerts(Noun):
    def list(
        self,
        *,
        camera: str | None = None,
        entry: str | None = None,
        acknowledged: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 200,
    ) -> Iterator[AlertInfo]:
        """Newest first; pages are fetched as they are looked at. Times carry their offset."""
        return self._api.each(
            AlertList,
            "/alerts",
            camera=camera,
            entry=entry,
            acknowledged=acknowledged,
            since=since.isoformat() if since else None,
            until=until.isoformat() if until else None,
            limit=page_size,
        )

    def get(self, alert_id: str) -> AlertInfo:
        return self._api.get(AlertInfo, f"/alerts/{alert_id}")

    def acknowledge(self, alert_id: str, note: str | None = None) -> AlertInfo:
        """Who was first stays."""
        request = AcknowledgementRequest(note=note)
        return self._api.call(AlertInfo, "PUT", f"/alerts/{alert_id}/acknowledgement", request)

    def stream(self, after: str | None = None) -> Iterator[AlertEvent]:
        """Alerts as they are raised, without end; a connection that ends is opened again after the last event.

        Args:
            after: `id` of the last event seen, for instance by this program before it was restarted: what came since
                is told first. None begins now; until the first event a lost connection can lose some.

        Raises:
            NotAllowedError: the session or its rights have ended.
            UnreachableError: nobody answered, also after the retries.
        """
        for event in self._api.events("/alerts/stream", after):
            if event.kind == "alert":
                yield AlertEvent(event.id, AlertInfo.model_validate_json(event.data))


class Webhooks(Noun):
    def list(self) -> Iterator[WebhookInfo]:
        return iter(self._api.get(WebhookList, "/webhooks").items)

    def get(self, webhook_id: str) -> WebhookInfo:
        return self._api.get(WebhookInfo, f"/webhooks/{webhook_id}")

    def add(self, webhook: WebhookCreate, *, key: str | None = None) -> WebhookCreated:
        """Send alerts somewhere, once for each `key`. A secret that was made is told in the first answer alone: when
        that is lost, `secret` is None, and a new one can be set with `change`.
        """
        return self._api.create(WebhookCreated, "/webhooks", webhook, key)

    def change(self, webhook_id: str, change: WebhookChange) -> WebhookInfo:
        return self._api.call(WebhookInfo, "PATCH", f"/webhooks/{webhook_id}", change)

    def remove(self, webhook_id: str) -> None:
        """What was to be sent to it is forgotten."""
        self._api.send("DELETE", f"/webhooks/{webhook_id}")

    def test(self, webhook_id: str) -> WebhookTest:
        """Send a message of type ping."""
        return self._api.call(WebhookTest, "POST", f"/webhooks/{webhook_id}/test")

    def dead_letters(self, webhook_id: str, *, page_size: int = 200) -> Iterator[DeadLetterInfo]:
        """Alerts that were given up, newest first."""
        return self._api.each(DeadLetterList, f"/webhooks/{webhook_id}/dead-letters", limit=page_size)

    def resend(self, webhook_id: str, alert_ids: Sequence[str] | None = None) -> int:
        """Send given up alerts again: these, or all. Returns how many of them were."""
        request = ResendRequest(alert_ids=None if alert_ids is None else [*alert_ids])
        return self._api.call(Resent, "POST", f"/webhooks/{webhook_id}/dead-letters/resend", request).count
