"""Prometheus figures of one API process."""

from __future__ import annotations

import threading
import time
from collections import Counter as Counting
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.camera import CameraHealth, CameraState
from service.history import latency_name
from service.worker_reports import WorkerReport

__all__ = ["API_PREFIX", "Metrics", "RequestTimer"]

API_PREFIX = "/api/v1"
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of this process and gauges that are read when somebody asks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Histogram(
            "tapetum_http_request_seconds",
            "Time from the request to the first byte of the answer.",
            ("method", "route", "status"),
            buckets=_FAST,
            registry=r,
        )
        self.searches = Histogram(
            "tapetum_search_seconds", "Time of one exact search over the gallery.", buckets=_FAST, registry=r
        )
        self._search_times: Counting[str] = Counting()
        self._search_lock = threading.Lock()
        self.photos = Counter("tapetum_photos_total", "Photos analysed.", ("outcome",), registry=r)
        self.photo_seconds = Histogram(
            "tapetum_photo_seconds", "Time to find and embed the persons of one photo.", buckets=_FAST, registry=r
        )
        self.logins = Counter("tapetum_logins_total", "Login attempts.", ("outcome",), registry=r)
        self.gallery_size = Gauge("tapetum_gallery_tracklets", "Tracklets in this process's index.", registry=r)
        self.gallery_memory = Gauge("tapetum_gallery_index_bytes", "Memory of this process's index.", registry=r)
        self.gallery_left_out = Gauge(
            "tapetum_gallery_left_out", "Tracklets of other models or with broken records.", registry=r
        )
        self.retention_removed = Counter(
            "tapetum_retention_removed_total", "Sightings removed because their time was over.", registry=r
        )
        self.alerts = Counter("tapetum_alerts_total", "Alerts that this process raised.", registry=r)
        self.alert_seconds = Histogram(
            "tapetum_alert_seconds", "Time from an indexed sighting to its alert.", buckets=_FAST, registry=r
        )
        self.alerts_waiting = Gauge(
            "tapetum_alerts_waiting", "Changes of the gallery that are still to be matched.", registry=r
        )
        self.alerts_set_aside = Counter(
            "tapetum_alerts_set_aside_total", "Changes of the gallery that could not be matched.", registry=r
        )
        self.webhook_messages = Counter(
            "tapetum_webhook_messages_total", "Attempts to send an alert somewhere.", ("outcome",), registry=r
        )
        self.live_viewers = Gauge(
            "tapetum_live_viewers", "Pictures of cameras that are being sent, of each camera to each page.", registry=r
        )
        self.dashboard_pages = Gauge(
            "tapetum_dashboard_pages", "Pages of the dashboard that this process holds.", registry=r
        )
        self.workers = Gauge("tapetum_workers", "Workers seen lately.", registry=r)
        worker = ("worker",)
        self.ingest_queued = Gauge(
            "tapetum_ingest_queued", "Tracklets on a worker's disk that the gallery has not yet.", worker, registry=r
        )
        self.ingest_oldest = Gauge(
            "tapetum_ingest_oldest_seconds", "For how long the oldest of them has waited.", worker, registry=r
        )
        self.ingest_quarantined = Gauge(
            "tapetum_ingest_quarantined", "Tracklets set aside because they cannot be delivered.", worker, registry=r
        )
        self.redis_up = Gauge("tapetum_redis_up", "1 when Redis answers.", registry=r)
        camera = ("camera",)
        self.camera_state = Gauge(
            "tapetum_camera_state", "1 for the state a camera is in.", ("camera", "state"), registry=r
        )
        self.camera_decoded_fps = Gauge("tapetum_camera_decoded_fps", "Frames decoded a second.", camera, registry=r)
        self.camera_analysed_fps = Gauge("tapetum_camera_analysed_fps", "Frames analysed a second.", camera, registry=r)
        self.camera_latency = Gauge(
            "tapetum_camera_latency_p95_seconds", "Capture to tracked box, 95th percentile.", camera, registry=r
        )
        self.camera_frame_age = Gauge(
            "tapetum_camera_report_age_seconds", "Age of the worker's last report.", camera, registry=r
        )
        self.camera_reconnects = Gauge(
            "tapetum_camera_reconnects", "Reconnects since the worker took the camera.", camera, registry=r
        )
        self.camera_tracklets = Gauge(
            "tapetum_camera_tracklets", "Tracklets since the worker took the camera.", camera, registry=r
        )
        self.camera_skipped = Gauge(
            "tapetum_camera_frames_skipped", "Frames not analysed.", ("camera", "reason"), registry=r
        )

    def observe_search(self, took_s: float) -> None:
        """Note how long one search took."""
        self.searches.observe(took_s)
        with self._search_lock:
            self._search_times[f"search.{latency_name(took_s)}"] += 1

    def search_times(self) -> dict[str, float]:
        """Searches since this was asked before, by how long they took."""
        with self._search_lock:
            times, self._search_times = self._search_times, Counting()
        return dict(times)

    def observe_workers(self, count: int, reports: Sequence[WorkerReport]) -> None:
        """Replace what is known about workers; one that is gone disappears."""
        self.workers.set(count)
        for gauge in (self.ingest_queued, self.ingest_oldest, self.ingest_quarantined):
            gauge.clear()
        for report in reports:
            self.ingest_queued.labels(report.worker_id).set(report.delivery.queued)
            self.ingest_oldest.labels(report.worker_id).set(report.delivery.oldest_s or 0.0)
            self.ingest_quarantined.labels(report.worker_id).set(report.delivery.quarantined)

    def observe_cameras(self, reports: Sequence[CameraHealth], age_s: Callable[[CameraHealth], float]) -> None:
        """Replace what is known about cameras; a removed camera disappears."""
        for gauge in (
            self.camera_state,
            self.camera_decoded_fps,
            self.camera_analysed_fps,
            self.camera_latency,
            self.camera_frame_age,
            self.camera_reconnects,
            self.camera_tracklets,
            self.camera_skipped,
        ):
            gauge.clear()
        for health in reports:
            camera = health.camera_id
            for state in CameraState:
                self.camera_state.labels(camera, state.value).set(state is health.state)
            self.camera_decoded_fps.labels(camera).set(health.decoded_fps)
            self.camera_analysed_fps.labels(camera).set(health.analysed_fps)
            if health.latency_p95_s is not None:
                self.camera_latency.labels(camera).set(health.latency_p95_s)
            self.camera_frame_age.labels(camera).set(age_s(health))
            self.camera_reconnects.labels(camera).set(health.reconnects)
            self.camera_tracklets.labels(camera).set(health.tracklets)
            for reason, count in health.frames_skipped.items():
                self.camera_skipped.labels(camera, reason).set(count)

    def render(self) -> bytes:
        """The text format that Prometheus reads."""
        return generate_latest(self.registry)


class RequestTimer:
    """ASGI middleware that times requests by their route, never by their path (paths hold ids)."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = _route(scope)
                self._metrics.requests.labels(scope["method"], route, str(message["status"])).observe(
                    time.perf_counter() - started
                )
            await send(message)

        await self._app(scope, receive, timed)


def _route(scope: Scope) -> str:
    """The route's template. A router that was included knows its path without the prefix it was included under."""
    path = str(getattr(scope.get("route"), "path", None) or "other")
    prefixed = path == "other" or not scope["path"].startswith(API_PREFIX) or path.startswith(API_PREFIX)
    return path if prefixed else API_PREFIX + path
