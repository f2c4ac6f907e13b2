"""Watchlists: entries, their matching with tracklets as they arrive, alerts, and webhooks that are told of them."""

from service.alerts.alert import Alert
from service.alerts.alert_store import AlertStore
from service.alerts.bell import AlertBell
from service.alerts.entries import ModelInUse, WatchEntry, WatchExample, WatchState
from service.alerts.entry_store import WatchlistStore
from service.alerts.hours import Hours
from service.alerts.matcher import Matcher
from service.alerts.sender import WebhookSender
from service.alerts.webhook import DeadLetter, Webhook, WebhookStatus
from service.alerts.webhook_store import WebhookStore

__all__ = [
    "Alert",
    "AlertBell",
    "AlertStore",
    "DeadLetter",
    "Hours",
    "Matcher",
    "ModelInUse",
    "WatchEntry",
    "WatchExample",
    "WatchState",
    "WatchlistStore",
    "Webhook",
    "WebhookSender",
    "WebhookStatus",
    "WebhookStore",
]
