"""Sends alerts to webhooks: each target in its own time, again and again with pauses, and in the end not at all."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import structlog
from ulid import ULID

from service.alerts.alert_store import AlertStore
from service.alerts.posting import RESOLVING_S, TOTAL_S, post
from service.alerts.telling import told_alert, told_time
from service.alerts.webhook import Webhook
from service.alerts.webhook_address import WebhookPolicy
from service.alerts.webhook_store import MAX_WEBHOOKS, WebhookStore
from service.gallery.store import GalleryUnavailable

__all__ = ["WebhookSender", "pause_after"]

log = structlog.get_logger("tapetum.webhooks")

MAX_ATTEMPTS = 10  # over two and a half hours
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 3600.0
_EVERY_S = 1.0
_LEASE_S = TOTAL_S + RESOLVING_S


def pause_after(attempts: int) -> float | None:
    """Seconds until the next attempt, with jitter so that many do not come back at once; None gives up."""
    if attempts >= MAX_ATTEMPTS:
        return None
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 3.0 ** (attempts - 1))
    return random.uniform(0.5, 1.0) * longest  # noqa: S311 - jitter


class WebhookSender:
    """The sending of one process; several share the work. A target that hangs holds up nobody but itself.

    A process sends a target one message after another. One can come twice, when a process dies while it sends: its
    id stays the same.

    Args:
        names: of cameras, by id.
        on_sent: told of each attempt: ``delivered``, ``failed`` or ``dead``.
    """

    def __init__(
        self,
        store: WebhookStore,
        alerts: AlertStore,
        policy: WebhookPolicy,
        names: Callable[[], Mapping[str, str]] = dict,
        on_sent: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._store, self._alerts, self._policy = store, alerts, policy
        self._names, self._on_sent = names, on_sent
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the messages under way."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(2 * TOTAL_S)

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def _run(self) -> None:
        away = False
        with ThreadPoolExecutor(MAX_WEBHOOKS, thread_name_prefix="webhook") as pool:
            while not self._stop.is_set():
                try:
                    for webhook in self._store.all():
                        self._bound(webhook)
                        if webhook.enabled:
                            self._begin(pool, webhook)
                    away = False
                except GalleryUnavailable as error:
                    if not away:
                        log.warning("webhooks wait, Redis is away", reason=str(error))
                    away = True
                except Exception:  # a defect here must not end the sending for good
                    log.exception("webhooks could not be looked after")
                self._wake.wait(_EVERY_S)
                self._wake.clear()

    def _begin(self, pool: ThreadPoolExecutor, webhook: Webhook) -> None:
        """Send what is due for a webhook that nobody here is sending to."""
        with self._lock:
            if webhook.id in self._busy:
                return
            self._busy.add(webhook.id)
        try:
            first = self._store.claim(webhook.id, _LEASE_S)
        except BaseException:
            self._end(webhook)
            raise
        if first is not None:
            pool.submit(self._send_all, webhook, first)
        else:
            self._end(webhook)

    def _bound(self, webhook: Webhook) -> None:
        """Give up what a target that hangs or is slow lets pile up."""
        given_up = self._store.give_up_excess(webhook.id)
        if given_up:
            log.warning("too many alerts wait, the oldest are given up", webhook=webhook.id, count=given_up)
        for _ in range(given_up):
            self._on_sent("dead")

    def _end(self, webhook: Webhook) -> None:
        with self._lock:
            self._busy.discard(webhook.id)

    def _send_all(self, webhook: Webhook, first: str) -> None:
        """Send until nothing is due, somebody has changed the webhook, or this process ends."""
        try:
            due: str | None = first
            while due is not None:
                self.send(webhook, due)
                due = None
                if not self._stop.is_set() and self._store.get(webhook.id) == webhook:
                    due = self._store.claim(webhook.id, _LEASE_S)
        except GalleryUnavailable as away:
            log.warning("what was sent could not be noted and is sent again", reason=str(away))
        except Exception:
            log.exception("a message could not be sent", webhook=webhook.id)
        finally:
            self._end(webhook)
            self._wake.set()

    def send(self, webhook: Webhook, alert_id: str) -> None:
        """Try to deliver one alert and note how it went. Raises GalleryUnavailable."""
        alert = self._alerts.get(alert_id)
        if alert is None or not webhook.wants(alert.camera_id):  # erased, too old, or not for this one any more
            self._store.delivered(webhook.id, alert_id, None)
            return
        cameras = webhook.cameras
        told = told_alert(alert, lambda camera: cameras is None or camera in cameras, self._names())
        error = self._post(webhook, alert_id, {"type": "alert", "data": told})
        now = datetime.now(UTC)
        if error is None:
            self._store.delivered(webhook.id, alert_id, now)
            self._on_sent("delivered")
            return
        given_up = self._store.failed(webhook.id, alert_id, now, error, pause_after)
        log.warning("alert not delivered", webhook=webhook.id, alert=alert_id, given_up=given_up, reason=error)
        self._on_sent("dead" if given_up else "failed")

    def ping(self, webhook: Webhook) -> str | None:
        """Send a message that is no alert. Returns why it failed, None when it went through."""
        error = self._post(webhook, str(ULID()), {"type": "ping", "data": {"name": webhook.name}})
        self._store.note(webhook.id, datetime.now(UTC), error)
        return error

    def _post(self, webhook: Webhook, message_id: str, message: dict[str, object]) -> str | None:
        stamped = {**message, "timestamp": told_time(datetime.now(UTC))}
        try:
            return post(webhook, message_id, json.dumps(stamped, ensure_ascii=False).encode(), self._policy)
        except Exception as error:  # a defect here counts as an attempt too, or it would be tried for ever
            log.exception("a message could not be sent", webhook=webhook.id)
            return f"The message could not be sent ({type(error).__name__})."
