"""A typed client of the REST API: what the command line uses, and programs of others. See docs/client.md."""

from service.client.alerting import AlertEvent
from service.client.client import Client
from service.client.errors import (
    ApiError,
    ConflictError,
    DamagedError,
    NotAllowedError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
    UnreachableError,
)

__all__ = [
    "AlertEvent",
    "ApiError",
    "Client",
    "ConflictError",
    "DamagedError",
    "NotAllowedError",
    "NotFoundError",
    "RateLimitedError",
    "RefusedError",
    "UnavailableError",
    "UnreachableError",
]
