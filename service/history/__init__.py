"""What happened over time: figures of cameras and of processes in buckets, and when a camera's state changed.

Bounded by itself: every key expires, buckets of five minutes after a day or two and buckets of an hour after thirty;
of a camera's changes of state the last two thousand are kept. There is nothing about persons in it but how many
sightings there were.
"""

from service.history.cameras import NOBODY, CameraRecorder, StateChange
from service.history.latency import latency_name, percentile
from service.history.processes import ProcessRecorder
from service.history.reader import Bucket, HistoryReader, resolution_for
from service.history.series import COARSE, FINE, SYSTEM, history_keys
from service.history.tally import Level, Part, Tally

__all__ = [
    "COARSE",
    "FINE",
    "NOBODY",
    "SYSTEM",
    "Bucket",
    "CameraRecorder",
    "HistoryReader",
    "Level",
    "Part",
    "ProcessRecorder",
    "StateChange",
    "Tally",
    "history_keys",
    "latency_name",
    "percentile",
    "resolution_for",
]
