"""Everything the routes and the pages work with, put together once."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

import structlog
from anyio import CapacityLimiter
from redis.exceptions import RedisError

from models.types import Modality
from pipeline.camera import CameraConfig
from pipeline.camera_url import CameraUrlError, UrlPolicy, check_camera_url, mask_url
from pipeline.sealing import Sealer
from pipeline.types import Image
from service.alerts.webhook_address import WebhookPolicy
from service.api.alerting import Alerting
from service.api.engines import LoadedDetector, LoadedModel, PhotoEngines
from service.api.gallery_search import GallerySearch
from service.api.photo_store import PhotoStore
from service.api.probing import CameraProbe
from service.audit import AuditLog, Verifier, ViewNotes
from service.camera_board import CameraHealthReader, CameraRegistry
from service.cases import CaseStore, Exporter, ExportStore
from service.cases.exporter import ExportParts
from service.cases.signing import SigningKey
from service.erasables import erasables
from service.gallery import (
    Arrivals,
    Eraser,
    Gallery,
    GalleryUnavailable,
    Holds,
    IndexFollower,
    MediaStore,
    Retention,
    Swept,
    VectorIndex,
)
from service.gallery.model_in_use import GalleryModel
from service.gallery.store import redis_at_work
from service.history import HistoryReader, ProcessRecorder
from service.live import LiveHub
from service.metrics import Metrics
from service.migrations import migrate
from service.photos import PersonDetector
from service.plans import PlanStore
from service.problems import ProblemError
from service.redis_server import connect, redis_url
from service.reembedding import Jobs
from service.sealing import KeyMismatchError, KeyRegistry, claimed_sealer
from service.search import PhotoPersonVector, Searcher
from service.search_store import SearchStore
from service.searches import Searches
from service.security.accounts import AccountStore
from service.security.oidc import Provider, provider_of
from service.security.sessions import SessionStore
from service.security.throttle import LoginThrottle
from service.security.tokens import TokenStore
from service.settings import Settings
from service.subjects import SubjectStore, Walking, WalkingRules, WalkingTimes
from service.version import package_version
from service.worker_reports import WorkerReport, WorkerReports

__all__ = ["Loaders", "Services", "build_services"]

_log = structlog.get_logger(__name__)
NAMES_KEPT_S = 2.0
REDIS_AWAY = "Redis does not answer."


@dataclass(frozen=True, slots=True)
class Loaders:
    """How this process gets what is slow or outside: networks, the judge of light, a look at a camera."""

    model: Callable[[], LoadedModel]
    detector: Callable[[], LoadedDetector]
    judge_photo: Callable[[Image], Modality]
    probe: Callable[[CameraConfig, UrlPolicy], CameraProbe]


@dataclass
class Services:
    """The services of one API process. `start` and `close` belong to the application's lifespan.

    Routes and pages reach them through `service.api.scoped.Scoped` only, as one account may.
    """

    settings: Settings
    redis: Any
    sealer: Sealer
    oidc: Provider | None
    loaders: Loaders
    gallery: Gallery
    media: MediaStore
    holds: Holds
    eraser: Eraser
    cameras: CameraRegistry
    health: CameraHealthReader
    live: LiveHub
    history: HistoryReader
    accounts: AccountStore
    tokens: TokenStore
    sessions: SessionStore
    throttle: LoginThrottle
    photos: PhotoStore
    searches: Searches
    subjects: SubjectStore
    walking_times: WalkingTimes
    plans: PlanStore
    cases: CaseStore
    exports: ExportStore
    url_policy: UrlPolicy
    audit: AuditLog
    views: ViewNotes
    verification: Verifier
    metrics: Metrics = field(default_factory=Metrics)
    # Heavy work in parallel only helps the queue grow: two photos, two cameras at a time. Eight searches, because so
    # many share one reading of the index.
    photo_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    search_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))
    probe_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    password_checks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    # Readiness answers also while Redis hangs and every other thread waits for it.
    readiness_threads: Callable[[], CapacityLimiter] = field(default_factory=lambda: cache(lambda: CapacityLimiter(2)))

    def __post_init__(self) -> None:
        self.search = GallerySearch(
            self.redis,
            self.gallery,
            self.media,
            self.sealer,
            self._photo_person,
            self.audit.append,
            lambda model: self.alerting.use_model(model),
        )
        self.jobs = Jobs(self.redis)
        self.engines = PhotoEngines(self.loaders.model, self.loaders.detector, self.search.use)
        self.retention = Retention(
            self.redis,
            self.gallery,
            self.media,
            self.holds,
            default_days=self.settings.retention_days,
            keep_days=self.keep_days,
            on_swept=self._note_swept,
            elsewhere=erasables(self.redis, self.settings),
            on_sweep=lambda now: self.alerting.tidy(now),
        )
        s = self.settings
        self.alerting = Alerting(
            self.redis,
            redis_url(s),
            self.sealer,
            self.gallery,
            self.accounts,
            self.audit,
            WebhookPolicy(s.webhook_allow_private, s.webhook_allow_loopback),
            self.metrics,
            self.camera_names,
        )
        self.keys = KeyRegistry(self.redis, self.sealer)
        self.exporter = Exporter(self._export_parts())
        self.recorder = ProcessRecorder(
            self.redis, f"API, {socket.gethostname()}", self._levels, self.metrics.search_times
        )
        self._names: tuple[float, dict[str, str]] = (-NAMES_KEPT_S, {})

    def start(self) -> None:
        """Record with what configuration this process runs; load networks and index in the background."""
        self.audit.append("service.start", configuration=told_settings(self.settings), version=package_version())
        if not any(account.active for account in self.accounts.list()):
            _log.warning("no_account", note="nobody can log in: make a password with `tapetum password`")
        self.views.start()
        self.engines.start()
        self.retention.start()
        self.exporter.start()
        self.alerting.start()
        self.recorder.start()

    def close(self) -> None:
        self.recorder.stop()
        self.search.close()
        self.alerting.stop()
        self.retention.stop()
        self.exporter.stop()
        self.views.stop()
        self.redis.close()

    @property
    def index(self) -> VectorIndex | None:
        """Of the gallery's model; None until a model is loaded."""
        return self.search.current.index if self.search.current else None

    @property
    def follower(self) -> IndexFollower | None:
        return self.search.current.follower if self.search.current else None

    @property
    def searcher(self) -> Searcher | None:
        return self.search.current.searcher if self.search.current else None

    def _photo_person(self, photo_id: str, person: int, account: str) -> PhotoPersonVector | None:
        photo = self.photos.get(photo_id)
        if photo is None or photo.account != account or person >= len(photo.vectors):
            return None
        return PhotoPersonVector(photo.vectors[person], photo.modality, photo.model_hash)

    def _note_swept(self, swept: Swept) -> None:
        self.metrics.retention_removed.inc(swept.records)
        self.audit.append(
            "retention", records=swept.records, pictures=swept.pictures, orphans=swept.orphans, held=swept.held
        )

    def export_key(self) -> SigningKey:
        """The key of this installation, made when it is first needed."""
        return SigningKey.of_folder(self.settings.data_dir)

    def _export_parts(self) -> ExportParts:
        return ExportParts(
            store=self.exports,
            cases=self.cases,
            subjects=self.subjects,
            gallery=self.gallery,
            media=self.media,
            audit=self.audit,
            key=self.export_key,
            detector=self._detector,
            camera_names=self.camera_names,
            walking=self.walking,
            version=package_version(),
        )

    def _detector(self, timeout_s: float) -> PersonDetector | None:
        """Waits for it while it is being loaded. Raises LookupError when it cannot be."""
        if self.engines.detector is None:
            self.engines.wait(timeout_s)
        if self.engines.detector is None and self.engines.state == "failed":
            raise LookupError("detector")
        return self.engines.detector.detector if self.engines.detector is not None else None

    def walking(self) -> Walking:
        """What is known about the ways between cameras."""
        s = self.settings
        return Walking(
            WalkingRules(s.max_speed_mps, s.camera_view_m, s.clock_slack_s),
            {c.id: c.position for c in self.camera_configs() if c.position is not None},
            self.walking_times.all(),
        )

    # -- what the routes ask ---------------------------------------------------------------------

    def require_model(self) -> LoadedModel:
        """The model in use. Raises ProblemError 503 while it loads."""
        if self.engines.model is None:
            self.engines.require()
        assert self.engines.model is not None  # noqa: S101  require() has raised otherwise
        return self.engines.model

    def gallery_model(self) -> GalleryModel:
        """The model that the gallery is searched by. Raises ProblemError 503 while this process has none."""
        if self.search.current is None:
            self.engines.require()
        assert self.search.current is not None  # noqa: S101  require() has raised otherwise
        return self.search.current.model

    def require_searcher(self) -> Searcher:
        """The search. Raises ProblemError 503 until the first snapshot of the gallery is in the index."""
        self.require_model()
        if self.searcher is None or self.follower is None or not self.follower.stats().ready:
            raise ProblemError(503, "index-loading", "The gallery is still being loaded.", headers={"Retry-After": "2"})
        return self.searcher

    def judge_photo(self, image: Image) -> Modality:
        return self.loaders.judge_photo(image)

    def not_ready(self) -> list[str]:
        """Why this process cannot serve, in words; empty when it can."""
        reasons = []
        try:
            self.redis.ping()
            self.keys.claim()
        except KeyMismatchError as error:
            reasons.append(str(error))
        except Exception:
            reasons.append(REDIS_AWAY)
        if self.engines.model is None:
            reasons.append(
                "The re-identification model cannot be used. The log of the service says why."
                if self.engines.error
                else "The re-identification model is loading."
            )
        elif self.follower is None or not self.follower.stats().ready:
            reasons.append("The gallery is being loaded.")
        return reasons

    def worker_reports(self) -> tuple[WorkerReport, ...]:
        """What the workers seen lately say about themselves."""
        return WorkerReports(self.redis).read(self.health.workers())

    def camera_configs(self) -> list[CameraConfig]:
        return [record.config for record in self.cameras.list()]

    def keep_days(self) -> Mapping[str, float | None]:
        """For how long sightings are kept, of the cameras that differ from the settings."""
        return {config.id: config.keep_days for config in self.camera_configs() if config.keep_days is not None}

    def camera_names(self) -> Mapping[str, str]:
        """Names by camera id, at most two seconds old."""
        read_at, names = self._names
        if time.monotonic() - read_at > NAMES_KEPT_S:
            names = {config.id: config.name for config in self.camera_configs()}
            self._names = (time.monotonic(), names)
        return names

    async def probe_camera(self, config: CameraConfig) -> CameraProbe:
        """Look at a camera once: the policy first, then the stream."""
        async with self.probe_slots:
            return await asyncio.to_thread(self._probe, config)

    def _probe(self, config: CameraConfig) -> CameraProbe:
        try:
            check_camera_url(config.url, self.url_policy)
        except CameraUrlError as error:
            return CameraProbe(reason=str(error))
        return self.loaders.probe(config, self.url_policy)

    def _levels(self) -> dict[str, float]:
        """What this process can say of the installation now."""
        with redis_at_work():
            levels = {"alerts_waiting": float(self.alerting.backlog())}
        return levels | ({"gallery": float(self.index.stats().rows)} if self.index is not None else {})

    def observe(self, now: datetime) -> None:
        """Bring the gauges up to date."""
        m = self.metrics
        m.live_viewers.set(self.live.viewers)
        if self.index is not None:
            stats = self.index.stats()
            m.gallery_size.set(stats.rows)
            m.gallery_memory.set(stats.vector_bytes)
            m.gallery_left_out.set(stats.other_model + stats.refused)
        try:
            m.alerts_waiting.set(self.alerting.backlog())
            reports = list(self.health.get_many([c.id for c in self.camera_configs()]).values())
            m.observe_workers(len(self.health.workers()), self.worker_reports())
            m.redis_up.set(1)
        except (GalleryUnavailable, RedisError, OSError):
            m.redis_up.set(0)
            reports = []
        m.observe_cameras(reports, lambda report: max(0.0, (now - report.updated_at).total_seconds()))


def build_services(settings: Settings, *, loaders: Loaders | None = None) -> Services:
    """Connect and put together; the networks are loaded by `Services.start`.

    Raises:
        RedisServerError: nothing answers at the Redis address.
        SettingsError, KeyMismatchError: the keys of encryption at rest are wrong.
        SchemaError: the data are not of this program's version, and cannot be brought there.
    """
    redis = connect(settings)
    migrate(redis, settings)
    policy = settings.url_policy
    accounts = AccountStore(redis)
    tokens = TokenStore(redis, accounts)
    audit = AuditLog(redis)
    sealer = claimed_sealer(settings, redis)
    gallery, media, holds = Gallery(redis, sealer), MediaStore(settings.media_base, sealer), Holds(redis)
    return Services(
        settings=settings,
        redis=redis,
        sealer=sealer,
        oidc=provider_of(settings),
        loaders=loaders or _real_loaders(settings),
        gallery=gallery,
        media=media,
        holds=holds,
        eraser=Eraser(redis, gallery, media, holds, erasables(redis, settings)),
        cameras=CameraRegistry(redis, check_url=partial(check_camera_url, policy=policy)),
        health=CameraHealthReader(redis),
        live=LiveHub(redis_url(settings)),
        history=HistoryReader(redis),
        accounts=accounts,
        tokens=tokens,
        sessions=SessionStore(redis, tokens, timedelta(hours=settings.session_hours)),
        throttle=LoginThrottle(redis),
        photos=PhotoStore(redis, sealer),
        searches=Searches(
            SearchStore(redis, sealer), gallery, Arrivals(redis, gallery), timedelta(days=settings.search_days)
        ),
        subjects=SubjectStore(redis),
        walking_times=WalkingTimes(redis),
        plans=PlanStore(redis, media),
        cases=CaseStore(redis),
        exports=ExportStore(redis, settings.exports_dir, sealer),
        url_policy=policy,
        audit=audit,
        views=ViewNotes(audit),
        verification=Verifier(audit),
    )


def told_settings(settings: Settings) -> dict[str, Any]:
    """The configuration for the audit log: secrets as stars, addresses without credentials."""
    told = settings.model_dump(mode="json")
    if told["media_url"] is not None:
        told["media_url"] = mask_url(told["media_url"])
    told["map_tiles"] = settings.map_origin  # the rest of it may hold a key
    return told


def _real_loaders(settings: Settings) -> Loaders:
    from service.api.loading import real_loaders

    return real_loaders(settings)
