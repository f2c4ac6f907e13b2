"""Names of the watchlist's, the alerts' and the webhooks' keys in Redis."""

from __future__ import annotations

ENTRY = "tapetum:watch:entry:"  # + id: hash: head (JSON), revision, vectors
ENTRIES = "tapetum:watch:entries"  # sorted set of ids, all of one score, so in the order of the ids
REVISIONS = "tapetum:watch:revisions"  # hash: id -> revision
LOOKED_FOR = "tapetum:watch:example:"  # + tracklet: set of ids of the entries that look for it, or did
VERSION = "tapetum:watch:version"  # counter: rises with every change of an entry

ALERTS = "tapetum:alerts"  # stream: one entry an alert: id, camera
ALERT = "tapetum:alert:"  # + id: hash: alert (JSON), position, alerted (microseconds), camera, tracklet, acknowledged
ABOUT = "tapetum:alerts:tracklet:"  # + tracklet: set of ids of the alerts about it
RESEMBLES = "tapetum:alerts:example:"  # + tracklet: set of ids of the alerts that name it as what was looked for
SIGHTING = "tapetum:alerts:sighting:"  # + entry:camera:track: how far a sighting has come that was alerted about
POISON = "tapetum:alerts:poison"  # stream: changes that could not be matched

WEBHOOKS = "tapetum:webhooks"  # hash: id -> JSON
DUE = "tapetum:webhooks:due:"  # + webhook: sorted set: alert id by when to send it, milliseconds
DEAD = "tapetum:webhooks:dead:"  # + webhook: sorted set: alert id by when it was given up, milliseconds
ATTEMPTS = "tapetum:webhooks:attempts:"  # + webhook: hash: alert id -> JSON
STATUS = "tapetum:webhooks:status"  # hash: id -> JSON of the last attempt

ENDED = "tapetum:idempotency:ended:"  # + id of an entry or a webhook that ended: an old key does not make it again
ENDED_KEPT_S = 24 * 3600  # as long as an idempotency key


def alerts_of(camera_id: str) -> str:
    """Stream like `ALERTS`, of one camera, with the same positions."""
    return f"{ALERTS}:of:{camera_id}"


def sighting(entry_id: str, camera_id: str, track_id: int) -> str:
    return f"{SIGHTING}{entry_id}:{camera_id}:{track_id}"
