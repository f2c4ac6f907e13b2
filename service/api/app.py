"""The application: routes, errors, the gate in front, and the dashboard behind it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.api import (
    alerts,
    audit,
    cameras,
    cases,
    erasures,
    exports,
    health,
    history,
    live,
    oidc,
    photos,
    plans,
    reembedding,
    search,
    searches,
    session,
    subjects,
    system,
    tokens,
    tracklets,
    users,
    watchlist,
    webhooks,
)
from service.api.access import check_permissions
from service.api.document import describe_all
from service.api.errors import install_error_handlers, no_such_address
from service.api.limits import BodyLimit
from service.api.services import Services
from service.metrics import API_PREFIX, RequestTimer
from service.security.cross_origin import CrossOrigin
from service.security.gate import Gate
from service.security.headers import Shell
from service.security.rates import Policy, RateLimit
from service.settings import Settings
from service.version import package_version

__all__ = ["create_app"]

PHOTOS_PATH = f"{API_PREFIX}/photos"
_UPLOADS = re.compile(rf"{PHOTOS_PATH}|{API_PREFIX}/plans/[^/]+/image")

_TAGS = [
    {"name": "session", "description": "Log in and out."},
    {"name": "cameras", "description": "Add, test, watch and remove cameras."},
    {"name": "tracklets", "description": "Sightings: one person, one camera, one stretch of time."},
    {"name": "subjects", "description": "Persons as far as people have decided: sightings that were confirmed."},
    {"name": "plans", "description": "Floor plans: where cameras stand, to scale, with a picture."},
    {"name": "cases", "description": "What somebody gathers about a question: notes, sightings, subjects."},
    {"name": "exports", "description": "Cases as signed files, without bystanders."},
    {"name": "erasure", "description": "Sightings erased for good, and legal holds."},
    {"name": "photos", "description": "Find the persons of a photo, to search with them. Photos are not kept."},
    {"name": "search", "description": "Rank the gallery's sightings by likeness. Evidence, never proof."},
    {"name": "watchlist", "description": "Persons to watch for, why, for whom and until when."},
    {"name": "alerts", "description": "Sightings that resemble somebody on the watchlist, as they come in."},
    {"name": "webhooks", "description": "Programs elsewhere that are told of alerts."},
    {"name": "users", "description": "Accounts: roles, and the cameras each may see."},
    {"name": "tokens", "description": "API tokens for programs."},
    {"name": "audit", "description": "Who did what, in a chain of hashes."},
    {"name": "system", "description": "What runs here."},
    {"name": "health", "description": "For load balancers and Prometheus."},
]


def create_app(settings: Settings, services: Services, *, dashboard: bool = True) -> FastAPI:
    """The application over given services; it starts and closes them.

    Args:
        dashboard: also mount the operator's page. NiceGUI holds its state in the process, so a process
            can have one application with it.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(services.start)
        try:
            yield
        finally:
            await services.live.close()
            await services.alerting.bell.close()
            await run_in_threadpool(services.close)

    app = FastAPI(
        title="Tapetum",
        version=package_version(),
        summary="Finds a person across day and night cameras.",
        description=(
            "Every request but the health checks and the login needs `Authorization: Bearer` with the token of a "
            "session (`POST /api/v1/session`) or an API token (`POST /api/v1/tokens`). `x-permission` names what an "
            "operation needs; what an account's scope of cameras leaves out does not exist for it. Errors are "
            "`application/problem+json`."
        ),
        openapi_tags=_TAGS,
        openapi_url=f"{API_PREFIX}/openapi.json",
        # Their pages load scripts from elsewhere; the document itself is enough for every tool.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.services = services
    app.state.settings = settings
    api = APIRouter(prefix=API_PREFIX)
    for part in (session, cameras, live, tracklets, erasures, photos, search, searches, users, tokens, audit, system):
        api.include_router(part.router)
    for part in (subjects, plans, cases, exports, watchlist, alerts, webhooks, reembedding, history):
        api.include_router(part.router)
    app.include_router(health.router)
    app.include_router(api)
    app.include_router(oidc.router)
    # So that the page behind it does not answer for the API.
    app.mount("/api", no_such_address)
    describe_all(app)
    check_permissions(app)
    install_error_handlers(app)
    if dashboard:
        from service.dashboard.mount import mount_dashboard

        mount_dashboard(app, services)
    # The last one added stands outermost.
    app.add_middleware(
        RateLimit,
        client=services.redis,
        prefix=f"{API_PREFIX}/",
        everything=Policy("requests", settings.rate_limit_per_minute),
        policies={PHOTOS_PATH: Policy("photos", settings.photo_limit_per_minute)},
    )
    token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
    app.add_middleware(Gate, sessions=services.sessions, metrics_token=token)
    app.add_middleware(BodyLimit, uploads=_UPLOADS, upload_bytes=settings.max_upload_bytes)
    app.add_middleware(RequestTimer, metrics=services.metrics)
    if settings.cors_origins:
        app.add_middleware(CrossOrigin, origins=settings.cors_origins, prefix=f"{API_PREFIX}/")
    app.add_middleware(Shell, tiles=settings.map_origin)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    return app
