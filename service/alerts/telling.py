"""An alert in plain JSON values, as API, event stream and webhooks tell of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from service.alerts.alert import Alert
from service.alerts.entries import WatchExample

__all__ = ["told_alert", "told_example", "told_time"]


def told_time(moment: datetime) -> str:
    """In UTC, written as the API's answers write it."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def told_alert(alert: Alert, sees: Callable[[str], bool], names: Mapping[str, str]) -> dict[str, Any]:
    """What somebody may know of an alert of a camera they see.

    Args:
        sees: whether they see a camera: an example of another one is told without what it shows.
        names: of cameras, by id.
    """
    noted = alert.acknowledged
    return {
        "id": alert.id,
        "entry": {"id": alert.entry_id, "name": alert.entry_name, "reason": alert.reason, "owner": alert.owner},
        "example": told_example(alert.example, sees),
        "tracklet_id": alert.tracklet_id,
        "camera_id": alert.camera_id,
        "camera_name": names.get(alert.camera_id, alert.camera_id),
        "modality": alert.modality.value,
        "modality_pair": alert.pair,
        "probability": alert.probability,
        "threshold": alert.threshold,
        "cosine": alert.cosine,
        "model_hash": alert.model_hash,
        "started_at": told_time(alert.started_at),
        "captured_at": told_time(alert.captured_at),
        "indexed_at": told_time(alert.indexed_at),
        "alerted_at": told_time(alert.alerted_at),
        "clock_doubted": alert.clock_doubted,
        "acknowledged": None
        if noted is None
        else {"account": noted.account, "at": told_time(noted.at), "note": noted.note},
    }


def told_example(example: WatchExample, sees: Callable[[str], bool]) -> dict[str, Any]:
    """What somebody may know of an example: of a camera they do not see, that there is one."""
    known = example.camera_id is not None and sees(example.camera_id)
    return {
        "kind": example.kind,
        "modality": example.modality.value,
        "tracklet_id": example.tracklet_id if known else None,
        "camera_id": example.camera_id if known else None,
    }
