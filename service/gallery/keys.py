"""Names of the gallery's keys in Redis."""

from __future__ import annotations

from models.types import Modality
from pipeline.sealing import hash_place

RECORD = "tapetum:tracklet:"  # + id: hash
ALL = "tapetum:tracklets"  # sorted set: id by start, microseconds
CAMERAS = "tapetum:tracklets:cameras"  # set: cameras that ever had a tracklet
LONGEST = "tapetum:tracklets:longest"  # longest duration so far, microseconds
ERASED = "tapetum:tracklets:erased"  # sorted set: id by time of erasure
CHANGES = "tapetum:changes"  # stream
UNFILMED = "tapetum:tracklets:unfilmed:"  # + camera: sorted set, "since-until" by until, microseconds
HOLDS = "tapetum:tracklets:holds"  # hash: id -> JSON
MODEL = "tapetum:tracklets:model"  # hash: the model whose vectors are searched
RETENTION = "tapetum:retention"  # string: who removes what is too old, with an expiry


def record(tracklet_id: str) -> str:
    return RECORD + tracklet_id


def unfilmed(camera_id: str) -> str:
    return UNFILMED + camera_id


def vector_place(tracklet_id: str) -> str:
    """What a tracklet's vector is sealed for."""
    return hash_place(record(tracklet_id), "vector")


def facet(camera_id: str, modality: Modality) -> str:
    """Sorted set like `ALL`, of one camera and modality."""
    return f"{ALL}:of:{camera_id}:{modality}"
