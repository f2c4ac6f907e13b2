"""Webhooks, for who looks after all cameras: what they are told leaves the installation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.alerts import DeadLetter, Webhook, WebhookStatus
from service.alerts.signature import check_secret, fresh_secret
from service.alerts.webhook import origin_of
from service.alerts.webhook_address import check_webhook_url
from service.alerts.webhook_store import WebhookEnded, WebhookError
from service.api.idempotency import id_for, spent
from service.problems import ProblemError
from service.security.access import Permission
from service.security.people import recorded

if TYPE_CHECKING:
    from pydantic import BaseModel

    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["ScopedWebhooks"]


@dataclass(frozen=True, slots=True)
class ScopedWebhooks:
    """The webhooks; only a scope of all cameras has the permission. Every method may raise what `Scoped` may.

    Attributes:
        require: raises AccessDenied when the permission is missing now.
    """

    services: Services
    scoped: Scoped
    require: Callable[[Permission], None]

    def all(self) -> list[tuple[Webhook, WebhookStatus]]:
        """Oldest first."""
        self.require(Permission.WEBHOOKS)
        store = self.services.alerting.webhooks
        return [(webhook, store.status(webhook.id)) for webhook in store.all()]

    def get(self, webhook_id: str) -> tuple[Webhook, WebhookStatus]:
        """Raises ProblemError 404."""
        self.require(Permission.WEBHOOKS)
        webhook = self.services.alerting.webhooks.get(webhook_id)
        if webhook is None:
            raise _not_found()
        return webhook, self.services.alerting.webhooks.status(webhook_id)

    def add(
        self,
        name: str,
        url: str,
        secret: str | None,
        cameras: frozenset[str] | None,
        key: str | None,
        request: BaseModel,
    ) -> tuple[Webhook, bool]:
        """Make a webhook. Returns it, and whether it was made now.

        Args:
            secret: None makes one, which its maker has to be shown.
            cameras: whose alerts it gets; None for all.

        Raises:
            ProblemError: 404 for a camera that is not there, 409 when there are too many, 422 for an address that is
                not allowed or a secret that is none.
        """
        self.require(Permission.WEBHOOKS)
        with _problems():
            self._check(url=url, secret=secret, cameras=cameras)
        now = datetime.now(UTC)
        webhook = Webhook(
            id=id_for(self.services.redis, self.scoped.access.account, "webhook", key, request),
            name=name,
            url=url,
            secret=secret if secret is not None else fresh_secret(),
            cameras=cameras,
            enabled=True,
            created_at=now,
            changed_at=now,
        )
        told = _told({"name": name, "url": url, "cameras": cameras})
        with _problems(), recorded(self.services.audit, "webhook.add", self.scoped.trail, webhook=webhook.id, **told):
            made = self.services.alerting.webhooks.add(webhook)
        return (webhook if made else self.get(webhook.id)[0]), made

    def change(self, webhook_id: str, changes: Mapping[str, Any]) -> tuple[Webhook, WebhookStatus]:
        """Change some fields of `Webhook`. Raises ProblemError as `add`."""
        self.require(Permission.WEBHOOKS)
        self.get(webhook_id)
        with _problems():
            self._check(**{name: changes[name] for name in ("url", "secret", "cameras") if name in changes})
        told = {"webhook": webhook_id, "changes": _told(changes)}
        with _problems(), recorded(self.services.audit, "webhook.change", self.scoped.trail, **told):
            new = self.services.alerting.webhooks.change(
                webhook_id, lambda old: replace(old, **changes, changed_at=datetime.now(UTC))
            )
            if new is None:
                raise _not_found()
        self.services.alerting.sender.wake()
        return new, self.services.alerting.webhooks.status(webhook_id)

    def remove(self, webhook_id: str) -> None:
        """What was to be sent to it is forgotten. Raises ProblemError 404."""
        webhook, _ = self.get(webhook_id)
        with recorded(self.services.audit, "webhook.remove", self.scoped.trail, webhook=webhook.id, name=webhook.name):
            self.services.alerting.webhooks.remove(webhook.id)

    def test(self, webhook_id: str) -> str | None:
        """Send a message that is no alert. Returns why it did not arrive, None when it did."""
        webhook, _ = self.get(webhook_id)
        self.services.audit.append("webhook.test", self.scoped.trail, webhook=webhook.id)
        return self.services.alerting.sender.ping(webhook)

    def dead(self, webhook_id: str, limit: int, cursor: str | None) -> tuple[list[DeadLetter], str | None]:
        """Alerts that were given up, newest first, and the cursor of the next page. Raises ProblemError 404 or 422."""
        webhook, _ = self.get(webhook_id)
        with _problems():
            return self.services.alerting.webhooks.dead(webhook.id, limit, cursor)

    def resend(self, webhook_id: str, alert_ids: Sequence[str] | None) -> int:
        """Send again what was given up: these alerts, or all. Returns how many."""
        webhook, _ = self.get(webhook_id)
        told = {"webhook": webhook.id, "alerts": None if alert_ids is None else list(alert_ids)}
        with recorded(self.services.audit, "webhook.resend", self.scoped.trail, **told):
            count = self.services.alerting.webhooks.retry(webhook.id, alert_ids)
        self.services.alerting.sender.wake()
        return count

    def _check(self, url: str | None = None, secret: str | None = None, cameras: frozenset[str] | None = None) -> None:
        """Raises ValueError, or ProblemError 404 for a camera."""
        for one in sorted(cameras or ()):
            self.scoped.camera(one)
        if secret is not None:
            check_secret(secret)
        if url is not None:
            check_webhook_url(url, self.services.alerting.policy)


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a webhook for the audit log: neither secret nor path, which may hold a token."""
    told = {name: value for name, value in values.items() if name not in ("url", "secret")}
    told["secret_changed"] = "secret" in values
    if told.get("cameras") is not None:
        told["cameras"] = sorted(told["cameras"])
    if "url" in values:
        told["target"] = origin_of(values["url"])
    return told


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except WebhookEnded:
        raise spent() from None
    except WebhookError as error:
        raise ProblemError(409, "webhook-refused", str(error)) from None
    except ValueError as error:
        raise ProblemError(422, "invalid", str(error)) from None


def _not_found() -> ProblemError:
    return ProblemError(404, "webhook-not-found", "There is no such webhook.")
